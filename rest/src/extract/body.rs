//! JSON bodies: bounded in size and time, of the declared type, read straight into types that refuse unknown fields.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use hubbub_protocol::limits::MAX_BODY_BYTES;
use hubbub_protocol::{ErrorBody, ErrorCode};
use serde::de::DeserializeOwned;

use crate::error::{ApiError, ApiResult};
use crate::state::RestState;

/// A JSON body. Nesting is bounded by the types, and by `serde_json` at 128 besides.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<RestState> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &RestState) -> ApiResult<Self> {
        let (parts, body) = request.into_parts();
        check_type(&parts.headers)?;
        let bytes = read_body(&parts.headers, body, state.settings().body_deadline).await?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body that may be left empty, which reads as `{}`. Its content type is asked for all the same: a page of another
/// site cannot send it without being asked first (CORS).
pub(crate) struct OptionalBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<RestState> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &RestState) -> ApiResult<Self> {
        let (parts, body) = request.into_parts();
        check_type(&parts.headers)?;
        let bytes = read_body(&parts.headers, body, state.settings().body_deadline).await?;
        parse(if bytes.is_empty() { b"{}" } else { &bytes }).map(Self)
    }
}

fn check_type(headers: &HeaderMap) -> ApiResult<()> {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "this reads JSON: send it with `Content-Type: application/json`";
    Err(ErrorBody::new(ErrorCode::UnsupportedType, message).with("field", "Content-Type").into())
}

/// The bytes of a body, no more than [`MAX_BODY_BYTES`] of them, within the deadline (BOUNDED).
pub(crate) async fn read_body(headers: &HeaderMap, body: axum::body::Body, deadline: Duration) -> ApiResult<Bytes> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > MAX_BODY_BYTES) {
        return Err(too_large());
    }
    match tokio::time::timeout(deadline, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Over the limit, or the connection ended, in which case nobody hears the answer.
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(ApiError::new(ErrorCode::RequestTimeout, "the body did not arrive in time")),
    }
}

fn too_large() -> ApiError {
    let message = format!("a body has at most {MAX_BODY_BYTES} bytes");
    ErrorBody::new(ErrorCode::TooLarge, message).with("limit", "max_body_bytes").with("max", MAX_BODY_BYTES).into()
}

/// The parser's words name the field and what was expected there; they go to the sender alone, never to the log.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let what = if error.is_data() { "the body does not fit" } else { "the body is not JSON" };
        ApiError::field("body", format!("{what}: {error}"))
    })
}
