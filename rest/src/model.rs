//! Bodies of requests and answers. Input types refuse unknown fields and hold nothing that a client may not set; output
//! types hold nothing that it may not see. Neither is a type of the store.

pub(crate) mod auth;
pub(crate) mod conversations;
pub(crate) mod groups;
pub(crate) mod messages;
pub(crate) mod users;

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::openapi::words;

/// What every successful answer is wrapped in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Data<T> {
    /// The answer.
    data: T,
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items.
    data: Vec<T>,
    /// Send it as `cursor` for the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The answer that holds this.
pub(crate) fn data<T>(data: T) -> Json<Data<T>> {
    Json(Data { data })
}

/// The page that holds these.
pub(crate) fn page<T>(data: Vec<T>, next_cursor: Option<String>) -> Json<Page<T>> {
    Json(Page { data, next_cursor })
}

/// A refusal, as every failure is answered.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes `protocol::ErrorBody` in OpenAPI; never built")]
pub(crate) struct Error {
    /// What went wrong.
    error: ErrorDetail,
}

/// What went wrong.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes `protocol::ErrorBody` in OpenAPI; never built")]
pub(crate) struct ErrorDetail {
    /// For programs.
    #[schema(value_type = words::ErrorCode)]
    code: (),
    /// For developers: one English sentence.
    message: String,
    /// For translators.
    #[schema(examples("error.access.not_found"))]
    i18n_key: String,
    /// The particulars: `field`, `limit`, `max`, `retry_after` …
    #[schema(value_type = Option<Object>)]
    params: Option<()>,
    /// Whether the same request can succeed later, unchanged.
    retryable: bool,
    /// The request's id in the server's log.
    #[schema(value_type = words::Uuid)]
    request_id: (),
}
