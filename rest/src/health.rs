//! Whether the process lives, and whether it can serve: two questions, since only the second may depend on others.

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::request::Parts;
use hubbub_protocol::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiResult;
use crate::extract::peer::is_local;
use crate::model::{Data, data};
use crate::vitals::Vitals;

pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Vitals: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(show_health)).routes(routes!(show_live)).routes(routes!(show_ready))
}

/// How the process is.
#[derive(Serialize, ToSchema)]
struct HealthReport {
    /// `ok`, `live`, `ready`; or `degraded`.
    #[schema(examples("ok"))]
    status: &'static str,
    /// Why it is degraded: `bus_down`, when other processes cannot be told of what happens here and find it themselves, a
    /// little later; and of `/health`, whatever keeps `/health/ready` from 200.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    reasons: Vec<&'static str>,
    /// The version of the server.
    version: &'static str,
    /// Open sockets; told to callers on the same machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<u64>,
}

impl HealthReport {
    const fn new(status: &'static str) -> Self {
        Self { status, reasons: Vec::new(), version: env!("CARGO_PKG_VERSION"), connections: None }
    }
}

/// How the process is, for people
#[utoipa::path(get, path = "/health", tag = "operations", security(()), responses((status = 200, body = Data<HealthReport>)))]
async fn show_health(State(vitals): State<Vitals>, parts: Parts) -> Json<Data<HealthReport>> {
    let obstacles = vitals.obstacles().into_iter().map(|(_, reason)| reason);
    let reasons: Vec<_> = obstacles.chain(vitals.burdens()).collect();
    let status = if reasons.is_empty() { "ok" } else { "degraded" };
    let connections = is_local(&parts).then(|| vitals.port.connections());
    data(HealthReport { reasons, connections, ..HealthReport::new(status) })
}

/// Whether the process lives; rests on nothing else
#[utoipa::path(get, path = "/health/live", tag = "operations", security(()), responses((status = 200, body = Data<HealthReport>)))]
async fn show_live() -> Json<Data<HealthReport>> {
    data(HealthReport::new("live"))
}

/// Whether to send requests here: the store reads and writes, and the process is not stopping. Without its bus it is
/// `degraded`, and serves
#[utoipa::path(get, path = "/health/ready", tag = "operations", security(()), responses((status = 200, body = Data<HealthReport>)))]
async fn show_ready(State(vitals): State<Vitals>) -> ApiResult<Json<Data<HealthReport>>> {
    let obstacles = vitals.obstacles();
    if let Some((code, _)) = obstacles.first() {
        let reasons: Vec<_> = obstacles.iter().map(|(_, reason)| *reason).collect();
        return Err(ErrorBody::new(*code, "not ready to serve").with("reasons", reasons.join(", ")).into());
    }
    let reasons = vitals.burdens();
    let status = if reasons.is_empty() { "ready" } else { "degraded" };
    Ok(data(HealthReport { reasons, ..HealthReport::new(status) }))
}
