//! The query of a request, and the words that pages of lists share.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubbub_protocol::limits::{DEFAULT_PAGE, MAX_PAGE};
use hubbub_protocol::{ErrorBody, ErrorCode};
use serde::de::DeserializeOwned;

use crate::error::{ApiError, ApiResult};
use crate::state::RestState;

/// A request's query. Its type refuses names it does not know, so that a misspelt one is not silently without effect.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<RestState> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &RestState) -> ApiResult<Self> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(ApiError::field("query", rejection.body_text())),
        }
    }
}

/// How many a page holds (BOUNDED).
pub(crate) fn page_size(limit: Option<usize>) -> ApiResult<usize> {
    match limit {
        None => Ok(DEFAULT_PAGE),
        Some(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
        Some(_) => {
            let message = format!("`limit` is 1 to {MAX_PAGE}");
            let body = ErrorBody::new(ErrorCode::ValidationFailed, message);
            Err(body.with("field", "limit").with("limit", "max_page").with("max", MAX_PAGE).into())
        }
    }
}

/// A place in a list, as text that clients hand back unread. It names a place alone: whose list it is, the caller says.
pub(crate) fn to_cursor(place: &[u8; 16]) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

/// The place that a cursor names.
pub(crate) fn from_cursor(cursor: Option<&str>) -> ApiResult<Option<[u8; 16]>> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Some).ok_or_else(|| ApiError::field("cursor", "`cursor` is no `next_cursor` of this list"))
}
