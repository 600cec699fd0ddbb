//! The one way a request fails: an [`ErrorBody`], answered as `{"error": …}` with its status.
//!
//! A handler's error carries the body only; [`crate::layers::answer`] writes it out last, when the request id is at hand.
//! So every failure has one shape: those of handlers, of the router, of a caught panic and of a deadline.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hubbub_protocol::{ErrorBody, ErrorCode};
use serde::Serialize;

/// A refusal on its way out.
#[derive(Debug, Clone)]
pub struct ApiError(pub(crate) ErrorBody);

/// What a handler answers.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// A refusal with this code and one English sentence.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ErrorBody::new(code, message))
    }

    /// A field of the request that is wrong.
    pub(crate) fn field(field: &str, message: impl Into<String>) -> Self {
        Self(ErrorBody::new(ErrorCode::ValidationFailed, message).with("field", field))
    }

    /// There is no such thing, or not for this caller: told alike (MEMBERS-ONLY).
    pub(crate) fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "there is no such thing, or not for you")
    }

    /// Too many requests; `seconds` heal it.
    pub(crate) fn rate_limited(limit: &str, per_minute: u32, seconds: u64) -> Self {
        let message = format!("more than {per_minute} requests a minute; come back in {seconds} s");
        Self(
            ErrorBody::new(ErrorCode::RateLimited, message)
                .with("limit", limit)
                .with("max", u64::from(per_minute))
                .with("retry_after", seconds),
        )
    }
}

impl From<ErrorBody> for ApiError {
    fn from(body: ErrorBody) -> Self {
        Self(body)
    }
}

/// The status alone; the body follows in [`crate::layers::answer`], which finds it among the extensions.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Refusal(self.0));
        response
    }
}

/// A refusal as it waits among a response's extensions for its request id.
#[derive(Debug, Clone)]
pub(crate) struct Refusal(pub(crate) ErrorBody);

/// How a refusal is written.
#[derive(Serialize)]
pub(crate) struct ErrorEnvelope<'a> {
    pub(crate) error: &'a ErrorBody,
}
