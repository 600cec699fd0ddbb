//! `/users`: one's own profile, and others'.

use axum::Json;
use axum::extract::State;
use hubbub_domain::identity::Caller;
use hubbub_protocol::UserId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiResult;
use crate::extract::page::page_size;
use crate::extract::{Body, InPath, Params};
use crate::model::users::{Profile, ProfileChange, PublicProfile, Search};
use crate::model::{Data, Page, data, page};
use crate::openapi::words;
use crate::state::RestState;

pub(crate) fn routes() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(show_own_profile, change_own_profile))
        .routes(routes!(search_users))
        .routes(routes!(show_user))
}

/// One's own profile
#[utoipa::path(get, path = "/users/me", tag = "users", responses((status = 200, body = Data<Profile>)))]
async fn show_own_profile(State(state): State<RestState>, caller: Caller) -> ApiResult<Json<Data<Profile>>> {
    Ok(data(state.accounts().profile(caller.user_id).await?.into()))
}

/// Change one's own profile
#[utoipa::path(patch, path = "/users/me", tag = "users", request_body = ProfileChange,
    responses((status = 200, body = Data<Profile>)))]
async fn change_own_profile(
    State(state): State<RestState>,
    caller: Caller,
    Body(change): Body<ProfileChange>,
) -> ApiResult<Json<Data<Profile>>> {
    Ok(data(state.accounts().update(caller.user_id, change.into()).await?.into()))
}

/// People whose handle begins so
#[utoipa::path(get, path = "/users/search", tag = "users", params(Search),
    responses((status = 200, body = Page<PublicProfile>)))]
async fn search_users(
    State(state): State<RestState>,
    _caller: Caller,
    Params(query): Params<Search>,
) -> ApiResult<Json<Page<PublicProfile>>> {
    let found = state.accounts().search(&query.q, page_size(query.limit)?).await?;
    Ok(page(found.into_iter().map(Into::into).collect(), None))
}

/// A person
#[utoipa::path(get, path = "/users/{id}", tag = "users", params(("id" = words::Uuid, Path, description = "The person")),
    responses((status = 200, body = Data<PublicProfile>)))]
async fn show_user(
    State(state): State<RestState>,
    _caller: Caller,
    InPath(id): InPath<UserId>,
) -> ApiResult<Json<Data<PublicProfile>>> {
    Ok(data(state.accounts().public(id).await?.into()))
}
