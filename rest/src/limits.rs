//! The limits that this server keeps, for clients to read before they meet one.

use axum::Json;
use axum::extract::State;
use hubbub_protocol::limits::Limits;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::model::{Data, data};
use crate::openapi::words;
use crate::state::RestState;

pub(crate) fn routes() -> OpenApiRouter<RestState> {
    OpenApiRouter::new().routes(routes!(show_limits))
}

/// Every limit that this server keeps
#[utoipa::path(get, path = "/limits", tag = "operations", security(()),
    responses((status = 200, body = Data<words::Limits>)))]
async fn show_limits(State(state): State<RestState>) -> Json<Data<Limits>> {
    data(state.settings().limits)
}
