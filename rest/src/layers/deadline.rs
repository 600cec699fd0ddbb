//! No request is served for longer than the setting (BOUNDED).
//!
//! What was handed to the store by then is not undone, so a write that runs out of time is answered as unknown (HONEST).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hubbub_protocol::ErrorCode;

use crate::error::ApiError;
use crate::state::Settings;

pub(super) async fn deadline(State(settings): State<Arc<Settings>>, request: Request, next: Next) -> Response {
    let only_reads = request.method().is_safe();
    match tokio::time::timeout(settings.deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) if only_reads => {
            ApiError::new(ErrorCode::Overloaded, "the server did not get to it in time: try again").into_response()
        }
        Err(_) => {
            let message = "no outcome in time: repeat it with the same `client_message_id` or `Idempotency-Key`";
            ApiError::new(ErrorCode::UnknownOutcome, message).into_response()
        }
    }
}
