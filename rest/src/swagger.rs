//! Swagger UI over `/openapi.json`, from files inside the binary. Addresses are relative, so that it works under `/api` too.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hubbub_protocol::ErrorCode;
use utoipa_swagger_ui::Config;

use crate::error::{ApiError, ApiResult};
use crate::state::RestState;

/// Its own scripts alone; its style sheet is written from script.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

pub(crate) fn serve() -> Router<RestState> {
    Router::new()
        .route("/swagger", get(|| async { (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "swagger/")]) }))
        .route("/swagger/", get(|| async { file("index.html") }))
        .route("/swagger/{*file}", get(|Path(name): Path<String>| async move { file(&name) }))
}

fn file(name: &str) -> ApiResult<Response> {
    let found = utoipa_swagger_ui::serve(name, Arc::new(Config::from("../openapi.json")));
    let found = found.map_err(|_| ApiError::new(ErrorCode::Internal, "Swagger UI could not be prepared"))?;
    let file = found.ok_or_else(ApiError::not_found)?;
    let content_type = HeaderValue::from_str(&file.content_type).map_err(|_| ApiError::not_found())?;
    Ok(([(CONTENT_TYPE, content_type), (CONTENT_SECURITY_POLICY, POLICY)], file.bytes.into_owned()).into_response())
}
