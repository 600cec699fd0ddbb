//! `/groups/{id}/members`: who is in a group, and with which rank.

use axum::Json;
use axum::extract::State;
use hubbub_domain::conversation::{AddMembers, ChangeRole, Command, RemoveMember};
use hubbub_domain::identity::Caller;
use hubbub_protocol::member::Member;
use hubbub_protocol::{ConversationId, UserId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::act;
use super::groups::find_group;
use super::people::check_exist;
use crate::error::ApiResult;
use crate::extract::page::{from_cursor, page_size, to_cursor};
use crate::extract::{Body, InPath, Params};
use crate::model::conversations::{Done, ListPage};
use crate::model::groups::{NewMembers, NewRole};
use crate::model::{Data, Page, data, page};
use crate::openapi::words;
use crate::state::RestState;

pub(crate) fn routes() -> OpenApiRouter<RestState> {
    OpenApiRouter::new().routes(routes!(list_members, add_members)).routes(routes!(remove_member, change_role))
}

/// The members of a group
#[utoipa::path(get, path = "/groups/{id}/members", tag = "groups",
    params(("id" = words::Uuid, Path, description = "The group"), ListPage),
    responses((status = 200, body = Page<words::Member>)))]
async fn list_members(
    State(state): State<RestState>,
    caller: Caller,
    InPath(id): InPath<ConversationId>,
    Params(query): Params<ListPage>,
) -> ApiResult<Json<Page<Member>>> {
    let limit = page_size(query.limit)?;
    let after = from_cursor(query.cursor.as_deref())?.map(UserId::from_bytes);
    find_group(&state, &caller, id).await?;
    let mut members = state.conversations().members(caller.user_id, id).await?;
    members.sort_unstable_by_key(|member| member.user_id);
    let begin = after.map_or(0, |after| members.partition_point(|member| member.user_id <= after));
    let rest = &members[begin..];
    let found = &rest[..limit.min(rest.len())];
    let next = found.last().filter(|_| found.len() < rest.len()).map(|last| to_cursor(last.user_id.as_bytes()));
    Ok(page(found.to_vec(), next))
}

/// Add members
#[utoipa::path(post, path = "/groups/{id}/members", tag = "groups", request_body = NewMembers,
    params(("id" = words::Uuid, Path, description = "The group")),
    responses((status = 200, body = Data<Done>)))]
async fn add_members(
    State(state): State<RestState>,
    caller: Caller,
    InPath(id): InPath<ConversationId>,
    Body(body): Body<NewMembers>,
) -> ApiResult<Json<Data<Done>>> {
    check_exist(&state, "user_ids", &body.user_ids).await?;
    let add = Command::AddMembers(AddMembers { user_ids: body.user_ids });
    Ok(data(state.port().submit(id, act(&caller, add)).await?.into()))
}

/// Remove a member
#[utoipa::path(delete, path = "/groups/{id}/members/{user_id}", tag = "groups",
    params(
        ("id" = words::Uuid, Path, description = "The group"),
        ("user_id" = words::Uuid, Path, description = "The member"),
    ),
    responses((status = 200, body = Data<Done>)))]
async fn remove_member(
    State(state): State<RestState>,
    caller: Caller,
    InPath((id, user_id)): InPath<(ConversationId, UserId)>,
) -> ApiResult<Json<Data<Done>>> {
    let remove = Command::RemoveMember(RemoveMember { user_id });
    Ok(data(state.port().submit(id, act(&caller, remove)).await?.into()))
}

/// Change a member's rank
#[utoipa::path(patch, path = "/groups/{id}/members/{user_id}", tag = "groups", request_body = NewRole,
    params(
        ("id" = words::Uuid, Path, description = "The group"),
        ("user_id" = words::Uuid, Path, description = "The member"),
    ),
    responses((status = 200, body = Data<Done>)))]
async fn change_role(
    State(state): State<RestState>,
    caller: Caller,
    InPath((id, user_id)): InPath<(ConversationId, UserId)>,
    Body(body): Body<NewRole>,
) -> ApiResult<Json<Data<Done>>> {
    let change = Command::ChangeRole(ChangeRole { user_id, role: body.role });
    Ok(data(state.port().submit(id, act(&caller, change)).await?.into()))
}
