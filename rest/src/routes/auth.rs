//! `/auth`: accounts are made, sessions opened, renewed and ended.
//!
//! What sets or uses the refresh cookie takes JSON alone and no foreign origin (CSRF).

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hubbub_domain::accounts::Registration;
use hubbub_domain::identity::Caller;
use hubbub_domain::sessions::{Device, RefreshError, Tokens};
use hubbub_protocol::{ErrorCode, UserId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::cookie;
use crate::error::{ApiError, ApiResult};
use crate::extract::Body;
use crate::extract::body::OptionalBody;
use crate::extract::origin::check_origin;
use crate::model::auth::{Login, Me, OpenedSession, Refresh, Register, TokenTransport, device};
use crate::model::{Data, data};
use crate::state::RestState;

pub(crate) fn routes() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(show_me))
}

/// The head of a request that no page of another site is behind.
struct OwnPage(Parts);

impl FromRequestParts<RestState> for OwnPage {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> ApiResult<Self> {
        check_origin(&parts.headers, &state.settings().allowed_origins)?;
        Ok(Self(parts.clone()))
    }
}

/// Opens a session. A person has a bounded number of them, so it may end the oldest: their sockets go with them.
async fn open(state: &RestState, user_id: UserId, device: Device) -> ApiResult<Tokens> {
    let tokens = state.logins().open(user_id, device).await?;
    for session in &tokens.ended {
        state.port().end_session(*session);
    }
    Ok(tokens)
}

/// Make an account and log in
#[utoipa::path(post, path = "/auth/register", tag = "auth", security(()), request_body = Register,
    responses((status = 201, body = Data<OpenedSession>)))]
async fn register(
    State(state): State<RestState>,
    OwnPage(parts): OwnPage,
    Body(body): Body<Register>,
) -> ApiResult<Response> {
    let registration = Registration {
        email: body.email,
        password: body.account_password,
        display_name: body.display_name,
        handle: body.handle,
        locale: body.device_locale,
    };
    let profile = state.accounts().register(registration).await?;
    let tokens = open(&state, profile.public.user_id, device(body.device_id, body.device_name)).await?;
    answer(&state, &parts, StatusCode::CREATED, &tokens, body.token_transport)
}

/// Log in with a password
#[utoipa::path(post, path = "/auth/login", tag = "auth", security(()), request_body = Login,
    responses((status = 200, body = Data<OpenedSession>)))]
async fn login(
    State(state): State<RestState>,
    OwnPage(parts): OwnPage,
    Body(body): Body<Login>,
) -> ApiResult<Response> {
    let profile = state.accounts().login(&body.email, &body.account_password).await?;
    let tokens = open(&state, profile.public.user_id, device(body.device_id, body.device_name)).await?;
    answer(&state, &parts, StatusCode::OK, &tokens, body.token_transport)
}

/// Renew a session
///
/// With the refresh cookie, or with the refresh token in the body. Each token works once: one that is used again much
/// later ends the session, as then two hold it.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", security(()), request_body = Refresh,
    responses((status = 200, body = Data<OpenedSession>)))]
async fn refresh(
    State(state): State<RestState>,
    OwnPage(parts): OwnPage,
    OptionalBody(body): OptionalBody<Refresh>,
) -> ApiResult<Response> {
    let (token, transport) = match &body.refresh_token {
        Some(token) => (Some(token.as_str()), TokenTransport::Body),
        None => (cookie::refresh_token(&parts, state.settings().cookie_secure), TokenTransport::Cookie),
    };
    let token = token.ok_or_else(|| {
        ApiError::new(ErrorCode::MissingToken, "there is no refresh token, neither as cookie nor in the body")
    })?;
    match state.logins().refresh(token).await {
        Ok(tokens) => answer(&state, &parts, StatusCode::OK, &tokens, transport),
        Err(error) => refuse_refresh(&state, &parts, error, transport),
    }
}

fn refuse_refresh(
    state: &RestState,
    parts: &Parts,
    error: RefreshError,
    transport: TokenTransport,
) -> ApiResult<Response> {
    if let Some(session_id) = error.revoked {
        state.port().end_session(session_id);
    }
    // A cookie that can never work again is taken away; one that meets a busy server is not.
    let useless = transport == TokenTransport::Cookie && !error.body.code.retryable();
    let refusal = ApiError(error.body).into_response();
    if !useless {
        return Ok(refusal);
    }
    let mut headers = HeaderMap::new();
    headers.insert(SET_COOKIE, cookie::drop(parts, state.settings().cookie_secure)?);
    Ok((headers, refusal).into_response())
}

/// Log out: end this session and its sockets
#[utoipa::path(post, path = "/auth/logout", tag = "auth", responses((status = 204)))]
async fn logout(State(state): State<RestState>, caller: Caller, OwnPage(parts): OwnPage) -> ApiResult<Response> {
    state.logins().revoke(caller.session_id).await?;
    state.port().end_session(caller.session_id);
    let taken_away = cookie::drop(&parts, state.settings().cookie_secure)?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, taken_away)]).into_response())
}

/// Who is logged in
#[utoipa::path(get, path = "/auth/me", tag = "auth", responses((status = 200, body = Data<Me>)))]
async fn show_me(State(state): State<RestState>, caller: Caller) -> ApiResult<Json<Data<Me>>> {
    let profile = state.accounts().profile(caller.user_id).await?;
    Ok(data(Me::of(&caller, profile.into())))
}

/// A session's tokens, the refresh token by the way that was asked for.
fn answer(
    state: &RestState,
    parts: &Parts,
    status: StatusCode,
    tokens: &Tokens,
    transport: TokenTransport,
) -> ApiResult<Response> {
    let mut headers = HeaderMap::new();
    if transport == TokenTransport::Cookie {
        headers.insert(SET_COOKIE, cookie::keep(&tokens.refresh_token, parts, state.settings().cookie_secure)?);
    }
    Ok((status, headers, data(OpenedSession::of(tokens, transport))).into_response())
}
