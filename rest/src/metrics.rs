//! The process's numbers as Prometheus text, for callers on the same machine; to all others there is no such path.

use axum::extract::{FromRef, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{ApiError, ApiResult};
use crate::extract::peer::is_local;
use crate::vitals::Vitals;

const PROMETHEUS_TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Vitals: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(show_metrics))
}

/// The process's numbers as Prometheus text; only from the same machine
#[utoipa::path(get, path = "/metrics", tag = "operations", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn show_metrics(State(vitals): State<Vitals>, parts: Parts) -> ApiResult<impl IntoResponse> {
    if !is_local(&parts) {
        return Err(ApiError::not_found());
    }
    Ok(([(CONTENT_TYPE, PROMETHEUS_TEXT)], (vitals.metrics)()))
}
