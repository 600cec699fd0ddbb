//! What every request passes before its handler and every answer after it, outermost first.
//!
//! 1. [`answer`]: request id, refusals written out, security headers, one log line, metrics;
//! 2. CORS for the origins on the list;
//! 3. panics caught, so that one request's fault ends one request;
//! 4. [`deadline`]: no request is served for longer than the setting.

pub(crate) mod answer;
pub(crate) mod auth_rate;
mod cors;
mod deadline;
pub(crate) mod idempotency;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use hubbub_protocol::ErrorCode;
use tower_http::catch_panic::CatchPanicLayer;

use crate::error::ApiError;
use crate::state::Settings;

/// Puts all of them around a router. A later layer is further out.
pub(crate) fn around(router: Router, settings: Arc<Settings>) -> Router {
    router
        .layer(from_fn_with_state(Arc::clone(&settings), deadline::deadline))
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(cors::layer(&settings.allowed_origins))
        .layer(from_fn_with_state(settings, answer::answer))
}

/// The panic's own words went to the log by its hook; the client gets none of them.
fn answer_panic(_panic: Box<dyn Any + Send + 'static>) -> Response {
    metrics::counter!("hubbub_http_panics_total").increment(1);
    ApiError::new(ErrorCode::Internal, "a fault of the server; its log knows more under `request_id`").into_response()
}
