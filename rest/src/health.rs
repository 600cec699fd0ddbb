//! Whether the process lives, and whether it can serve: two questions, since only the second may depend on others.

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use hubbub_protocol::{ErrorBody, ErrorCode};
use hubbub_storage::store::Health;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiResult;
use crate::extract::peer::is_local;
use crate::model::{Data, data};
use crate::state::RestState;

pub(crate) fn routes() -> OpenApiRouter<RestState> {
    OpenApiRouter::new().routes(routes!(show_health)).routes(routes!(show_live)).routes(routes!(show_ready))
}

/// How the process is.
#[derive(Serialize, ToSchema)]
struct HealthReport {
    /// `ok`, `live`, `ready`; or `degraded`, when `/health/ready` says why.
    #[schema(examples("ok"))]
    status: &'static str,
    /// The version of the server.
    version: &'static str,
    /// Open sockets; told to callers on the same machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<u64>,
}

impl HealthReport {
    const fn new(status: &'static str) -> Self {
        Self { status, version: env!("CARGO_PKG_VERSION"), connections: None }
    }
}

/// How the process is, for people
#[utoipa::path(get, path = "/health", tag = "operations", security(()), responses((status = 200, body = Data<HealthReport>)))]
async fn show_health(State(state): State<RestState>, parts: Parts) -> Json<Data<HealthReport>> {
    let status = if obstacles(&state).is_empty() { "ok" } else { "degraded" };
    let connections = is_local(&parts).then(|| state.port().connections());
    data(HealthReport { connections, ..HealthReport::new(status) })
}

/// Whether the process lives; rests on nothing else
#[utoipa::path(get, path = "/health/live", tag = "operations", security(()), responses((status = 200, body = Data<HealthReport>)))]
async fn show_live() -> Json<Data<HealthReport>> {
    data(HealthReport::new("live"))
}

/// Whether to send requests here: the store reads and writes, and the process is not stopping
#[utoipa::path(get, path = "/health/ready", tag = "operations", security(()), responses((status = 200, body = Data<HealthReport>)))]
async fn show_ready(State(state): State<RestState>) -> ApiResult<Json<Data<HealthReport>>> {
    let obstacles = obstacles(&state);
    let Some((code, _)) = obstacles.first() else { return Ok(data(HealthReport::new("ready"))) };
    let reasons: Vec<_> = obstacles.iter().map(|(_, reason)| *reason).collect();
    Err(ErrorBody::new(*code, "not ready to serve").with("reasons", reasons.join(", ")).into())
}

/// What keeps this process from serving. The engine's own words stay in the log.
fn obstacles(state: &RestState) -> Vec<(ErrorCode, &'static str)> {
    let mut obstacles = Vec::new();
    if state.port().draining() {
        obstacles.push((ErrorCode::Draining, "draining"));
    }
    match state.services().store.engine.health() {
        Health::Ready => {}
        Health::Unreachable(_) => obstacles.push((ErrorCode::StoreUnavailable, "store_unreachable")),
        Health::Stopped(_) => obstacles.push((ErrorCode::StoreUnavailable, "store_stopped")),
    }
    obstacles
}
