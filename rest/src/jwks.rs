//! The public keys of access tokens, for processes that verify tokens and cannot make them: a JWK Set (RFC 7517).

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::openapi::words;
use crate::state::RestState;

const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// As long as a hub keeps a set without looking again.
const FIVE_MINUTES: HeaderValue = HeaderValue::from_static("public, max-age=300");

pub(crate) fn routes() -> OpenApiRouter<RestState> {
    OpenApiRouter::new().routes(routes!(show_jwks))
}

/// The public keys of access tokens, as a JWK Set
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "operations", security(()),
    responses((status = 200, body = words::JwkSet, content_type = "application/jwk-set+json")))]
async fn show_jwks(State(state): State<RestState>) -> impl IntoResponse {
    ([(CONTENT_TYPE, JWK_SET), (CACHE_CONTROL, FIVE_MINUTES)], state.jwks().to_string())
}
