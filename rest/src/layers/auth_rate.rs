//! How often one address may try to log in, register or refresh.

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::extract::peer::address_of;
use crate::state::RestState;

pub(crate) async fn auth_rate(State(state): State<RestState>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST
        && let Err(refusal) = state.throttle().count_auth(address_of(request.extensions())).await
    {
        return refusal.into_response();
    }
    next.run(request).await
}
