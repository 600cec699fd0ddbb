//! The axum sidecar: accounts, conversations, history and health over HTTP.
//!
//! A handler extracts, authorises, makes one call and maps its answer; what may be done is said in `domain`, and what is
//! done goes through [`port::HubPort`], the same way as from a socket.
//!
//! | Resource | Paths | File |
//! | --- | --- | --- |
//! | logins | `/auth/*` | `routes/auth.rs` |
//! | people | `/users/*` | `routes/users.rs` |
//! | conversations | `/conversations`, `/conversations/{id}`, `…/read` | `routes/conversations.rs` |
//! | messages | `/conversations/{id}/messages`, `/messages/{id}/*` | `routes/messages.rs` |
//! | groups | `/groups`, `/groups/{id}`, `…/leave`, `…/transfer` | `routes/groups.rs` |
//! | members | `/groups/{id}/members/*` | `routes/members.rs` |
//! | operations | `/health/*`, `/metrics`, `/limits` | `health.rs`, `metrics.rs`, `limits.rs` |
//! | keys of logins, for hubs | `/.well-known/jwks.json` | `jwks.rs` |
//! | description | `/openapi.json`, `/swagger` | `openapi.rs`, `swagger.rs` |
//!
//! Everything is mounted at `/` and at `/api`. Answers are `{"data": …}`, lists `{"data": […], "next_cursor": …}`, failures
//! `{"error": …}`. To add a resource: one file in `routes/` and one line in [`router`]'s table.
//!
//! Keeps BOUNDED (bodies, pages, deadlines, rates), MEMBERS-ONLY (foreign and missing things are told alike), HONEST
//! (a write that ran out of time is `unknown_outcome`). Leaves accepting connections and their head's deadline to `server`.

pub mod cluster;
mod cookie;
mod error;
mod extract;
mod health;
mod jwks;
mod layers;
mod limits;
mod metrics;
mod model;
pub mod network;
mod openapi;
pub mod port;
mod routes;
pub mod state;
mod swagger;
mod throttle;
pub mod vitals;

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::routing::any;
use axum::{Extension, Router};
use hubbub_protocol::ErrorCode;
use utoipa_axum::router::OpenApiRouter;

pub use crate::extract::peer::Encrypted;
pub use crate::state::{CookieSecure, RateLimits, RestState, Services, Settings};

use crate::error::ApiError;
use crate::layers::auth_rate::auth_rate;
use crate::layers::idempotency::idempotency;
use crate::metrics::MetricsFrom;
use crate::vitals::Vitals;

/// All routes with all layers, at `/` and at `/api`. The peer's address is expected as
/// `axum::extract::ConnectInfo<SocketAddr>` among a request's extensions, and [`Encrypted`] where it came over TLS.
pub fn router(state: &RestState) -> Router {
    let (api, document) = resources(state).split_for_parts();
    let api = api.merge(openapi::serve(&document)).merge(swagger::serve()).with_state(state.clone());
    let both = Router::new().merge(api.clone()).nest("/api", api);
    // Where there are sockets, these paths come here only behind another request on the same connection.
    let both = ["/ws", "/ws/human", "/ws/agent"].into_iter().fold(both, |both, path| both.route(path, any(no_socket)));
    let both = both.layer(Extension(SocketsHere(state.settings().sockets)));
    let both = both.layer(Extension(MetricsFrom(state.settings().metrics_from.clone())));
    let both = both.fallback(no_such_path).method_not_allowed_fallback(no_such_method);
    layers::around(both, state.shared_settings())
}

/// What a process answers by HTTP that has sockets alone: how it is, and nothing else.
pub fn vitals_router(vitals: Vitals, settings: Settings) -> Router {
    let (own, _document) =
        OpenApiRouter::new().merge(health::routes()).merge(metrics::routes()).with_state(vitals).split_for_parts();
    let own = own.layer(Extension(MetricsFrom(settings.metrics_from.clone())));
    let own = own.fallback(no_rest).method_not_allowed_fallback(no_such_method);
    layers::around(own, Arc::new(settings))
}

fn resources(state: &RestState) -> OpenApiRouter<RestState> {
    let once = from_fn_with_state(state.clone(), idempotency);
    let slowed = from_fn_with_state(state.clone(), auth_rate);
    OpenApiRouter::with_openapi(openapi::frame())
        .merge(routes::auth::routes().route_layer(slowed))
        .merge(routes::users::routes())
        .merge(routes::conversations::routes().route_layer(once.clone()))
        .merge(routes::messages::routes().route_layer(once.clone()))
        .merge(routes::groups::routes().route_layer(once.clone()))
        .merge(routes::members::routes().route_layer(once))
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(limits::routes())
        .merge(jwks::routes())
}

async fn no_such_path() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such path; `/openapi.json` lists those there are")
}

/// Whether this process takes sockets.
#[derive(Clone, Copy)]
struct SocketsHere(bool);

async fn no_socket(Extension(SocketsHere(here)): Extension<SocketsHere>) -> ApiError {
    let message = if here {
        "a socket takes a connection of its own: open a new one"
    } else {
        "this process takes no sockets: open them at one whose role is `hub` or `all`"
    };
    ApiError::new(ErrorCode::NotFound, message)
}

async fn no_rest() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "this process takes sockets alone: ask one whose role is `rest` or `all`")
}

async fn no_such_method() -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, "this path does not take this method; `Allow` names those it takes")
}
