//! `/groups`: groups as a whole. A group is a conversation; its messages are under `/conversations`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use hubbub_domain::conversation::{ChangeRole, Command, Open, RemoveMember, UpdateGroup};
use hubbub_domain::conversations::Summary;
use hubbub_domain::identity::Caller;
use hubbub_protocol::member::{ConversationKind, Role};
use hubbub_protocol::{ClientMessageId, ConversationId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::people::check_exist;
use super::{act, created};
use crate::error::{ApiError, ApiResult};
use crate::extract::{Body, InPath};
use crate::layers::idempotency::ActSeed;
use crate::model::conversations::{Conversation, Done};
use crate::model::groups::{CreateGroup, GroupChange, Heir};
use crate::model::{Data, data};
use crate::openapi::words;
use crate::state::RestState;

pub(crate) fn routes() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(create_group))
        .routes(routes!(show_group, change_group))
        .routes(routes!(leave_group))
        .routes(routes!(transfer_group))
}

/// Create a group
#[utoipa::path(post, path = "/groups", tag = "groups", request_body = CreateGroup,
    responses((status = 201, body = Data<Conversation>), (status = 200, body = Data<Conversation>)))]
async fn create_group(
    State(state): State<RestState>,
    caller: Caller,
    seed: Option<Extension<ActSeed>>,
    Body(body): Body<CreateGroup>,
) -> ApiResult<(StatusCode, Json<Data<Conversation>>)> {
    check_exist(&state, "member_ids", &body.member_ids).await?;
    let (id, client_message_id) = ids(seed.map(|Extension(seed)| seed));
    let open = Open { kind: ConversationKind::Group, name: body.name, others: body.member_ids };
    let mut act = act(&caller, Command::Open(open));
    act.client_message_id = client_message_id;
    let stored = state.port().submit(id, act).await?;
    let group = find_group(&state, &caller, id).await?;
    Ok((created(&stored), data(group.into())))
}

/// A new group's id and the id of the act. Under an idempotency key both follow from it, so that a repetition meets the
/// group of the first try even if nobody learnt how that ended (ONCE).
fn ids(seed: Option<ActSeed>) -> (ConversationId, Option<ClientMessageId>) {
    let Some(ActSeed(seed)) = seed else { return (ConversationId::generate(), None) };
    let (mut id, mut act_id) = ([0; 16], [0; 16]);
    id.copy_from_slice(&seed[..16]);
    act_id.copy_from_slice(&seed[16..]);
    let id = uuid::Builder::from_custom_bytes(id).into_uuid().into_bytes();
    (ConversationId::from_bytes(id), Some(ClientMessageId::from_bytes(act_id)))
}

/// A group
#[utoipa::path(get, path = "/groups/{id}", tag = "groups",
    params(("id" = words::Uuid, Path, description = "The group")),
    responses((status = 200, body = Data<Conversation>)))]
async fn show_group(
    State(state): State<RestState>,
    caller: Caller,
    InPath(id): InPath<ConversationId>,
) -> ApiResult<Json<Data<Conversation>>> {
    Ok(data(find_group(&state, &caller, id).await?.into()))
}

/// Change a group's name or description
#[utoipa::path(patch, path = "/groups/{id}", tag = "groups", request_body = GroupChange,
    params(("id" = words::Uuid, Path, description = "The group")),
    responses((status = 200, body = Data<Conversation>)))]
async fn change_group(
    State(state): State<RestState>,
    caller: Caller,
    InPath(id): InPath<ConversationId>,
    Body(body): Body<GroupChange>,
) -> ApiResult<Json<Data<Conversation>>> {
    let update = UpdateGroup { name: body.name, description: body.description };
    state.port().submit(id, act(&caller, Command::UpdateGroup(update))).await?;
    Ok(data(find_group(&state, &caller, id).await?.into()))
}

/// Leave a group; its owner hands it on first, unless nobody else is left
#[utoipa::path(post, path = "/groups/{id}/leave", tag = "groups",
    params(("id" = words::Uuid, Path, description = "The group")),
    responses((status = 200, body = Data<Done>)))]
async fn leave_group(
    State(state): State<RestState>,
    caller: Caller,
    InPath(id): InPath<ConversationId>,
) -> ApiResult<Json<Data<Done>>> {
    let leave = Command::RemoveMember(RemoveMember { user_id: caller.user_id });
    Ok(data(state.port().submit(id, act(&caller, leave)).await?.into()))
}

/// Hand a group on to another member
#[utoipa::path(post, path = "/groups/{id}/transfer", tag = "groups", request_body = Heir,
    params(("id" = words::Uuid, Path, description = "The group")),
    responses((status = 200, body = Data<Conversation>)))]
async fn transfer_group(
    State(state): State<RestState>,
    caller: Caller,
    InPath(id): InPath<ConversationId>,
    Body(body): Body<Heir>,
) -> ApiResult<Json<Data<Conversation>>> {
    let change = ChangeRole { user_id: body.user_id, role: Role::Owner };
    state.port().submit(id, act(&caller, Command::ChangeRole(change))).await?;
    Ok(data(find_group(&state, &caller, id).await?.into()))
}

/// The group as its member sees it; a direct conversation is none.
pub(super) async fn find_group(state: &RestState, caller: &Caller, id: ConversationId) -> ApiResult<Summary> {
    let found = state.conversations().summary(caller.user_id, id).await?;
    if found.kind == ConversationKind::Group { Ok(found) } else { Err(ApiError::not_found()) }
}
