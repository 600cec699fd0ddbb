//! What tells how a process is, whatever its role: all that health and numbers need, so that a process of sockets alone can
//! answer for itself too.

use std::sync::Arc;

use axum::extract::FromRef;
use hubbub_protocol::ErrorCode;
use hubbub_storage::store::{Engine, Health};

use crate::cluster::Cluster;
use crate::port::HubPort;
use crate::state::{MetricsText, RestState};

/// How the process is.
#[derive(Clone)]
pub struct Vitals {
    /// The store's life.
    pub engine: Arc<dyn Engine>,
    /// The hub, which knows of sockets and of the end.
    pub port: Arc<dyn HubPort>,
    /// The other processes, if there may be any.
    pub cluster: Option<Arc<dyn Cluster>>,
    /// The metrics' text.
    pub metrics: MetricsText,
}

impl FromRef<RestState> for Vitals {
    fn from_ref(state: &RestState) -> Self {
        state.vitals()
    }
}

impl Vitals {
    /// What keeps this process from serving. The engine's own words stay in the log.
    pub(crate) fn obstacles(&self) -> Vec<(ErrorCode, &'static str)> {
        let mut obstacles = Vec::new();
        if self.port.draining() {
            obstacles.push((ErrorCode::Draining, "draining"));
        }
        match self.engine.health() {
            Health::Ready => {}
            Health::Unreachable(_) => obstacles.push((ErrorCode::StoreUnavailable, "store_unreachable")),
            Health::Stopped(_) => obstacles.push((ErrorCode::StoreUnavailable, "store_stopped")),
        }
        obstacles
    }

    /// What makes it slower, and keeps it from nothing (REDIS-FREE TRUTH).
    pub(crate) fn burdens(&self) -> Vec<&'static str> {
        let bus_is_down = self.cluster.as_ref().is_some_and(|cluster| !cluster.is_up());
        bus_is_down.then_some("bus_down").into_iter().collect()
    }
}
