//! The process's numbers as Prometheus text, for callers on the same machine and from networks that the operator names; to
//! all others there is no such path.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{FromRef, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{ApiError, ApiResult};
use crate::extract::peer::{is_from, is_local};
use crate::network::Network;
use crate::vitals::Vitals;

const PROMETHEUS_TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

/// Who may read them besides callers on the same machine.
#[derive(Clone)]
pub(crate) struct MetricsFrom(pub(crate) Arc<[Network]>);

pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Vitals: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(show_metrics))
}

/// The process's numbers as Prometheus text; only from the same machine and networks that the operator names
#[utoipa::path(get, path = "/metrics", tag = "operations", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn show_metrics(
    State(vitals): State<Vitals>,
    Extension(MetricsFrom(networks)): Extension<MetricsFrom>,
    parts: Parts,
) -> ApiResult<impl IntoResponse> {
    if !is_local(&parts) && !is_from(&parts, &networks) {
        return Err(ApiError::not_found());
    }
    Ok(([(CONTENT_TYPE, PROMETHEUS_TEXT)], (vitals.metrics)()))
}
