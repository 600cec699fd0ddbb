//! Who calls, from `Authorization: Bearer`. A handler that takes a [`Caller`] is for those who are logged in.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use hubbub_domain::identity::Caller;
use hubbub_protocol::ErrorCode;

use super::peer::address_of;
use crate::error::{ApiError, ApiResult};
use crate::state::RestState;

/// Access tokens are under 1 KiB; more is not looked at.
const TOKEN_BYTES_MAX: usize = 4 * 1024;

impl FromRequestParts<RestState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> ApiResult<Self> {
        // A layer may have asked before; a request is counted once.
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(*caller);
        }
        let token = bearer(&parts.headers)?;
        match state.sessions().authenticate(token).await {
            Ok(caller) => {
                state.throttle().count_person(caller.user_id).await?;
                parts.extensions.insert(caller);
                Ok(caller)
            }
            Err(refusal) => {
                state.throttle().count_refused(address_of(&parts.extensions)).await?;
                Err(refusal.into())
            }
        }
    }
}

fn bearer(headers: &HeaderMap) -> ApiResult<&str> {
    let missing = || {
        let message = "this needs a login: send `Authorization: Bearer` with an access token";
        ApiError::new(ErrorCode::MissingToken, message)
    };
    let header = headers.get(AUTHORIZATION).ok_or_else(missing)?;
    let text = header.to_str().map_err(|_| missing())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(missing());
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(ApiError::new(ErrorCode::InvalidToken, "this token was not made here"));
    }
    Ok(token)
}
