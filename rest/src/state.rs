//! What every handler shares: the services it may call and the settings it keeps. Built once by `server`, cheap to clone.

use std::sync::Arc;
use std::time::Duration;

use hubbub_domain::accounts::Accounts;
use hubbub_domain::conversations::Conversations;
use hubbub_domain::sessions::{Logins, Sessions};
use hubbub_protocol::limits::Limits;
use hubbub_storage::clock::Clock;
use hubbub_storage::families::idempotency::IdempotencyKeys;
use hubbub_storage::records::Table;
use hubbub_storage::store::Store;

use crate::cluster::Cluster;
use crate::network::Network;
use crate::port::HubPort;
use crate::throttle::Throttle;
use crate::vitals::Vitals;

pub use crate::throttle::RateLimits;

/// Writes the process's metrics as Prometheus text.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// What the handlers call.
#[derive(Clone)]
pub struct Services {
    /// For readiness and the answers kept under idempotency keys.
    pub store: Store,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Who has an account.
    pub accounts: Accounts,
    /// Who is logged in.
    pub sessions: Sessions,
    /// Logging in and out.
    pub logins: Logins,
    /// The keys that verify access tokens, for other processes, as a JWK Set.
    pub jwks: Arc<str>,
    /// What conversations hold.
    pub conversations: Conversations,
    /// The hub, where acts go.
    pub port: Arc<dyn HubPort>,
    /// The other processes, if there may be any.
    pub cluster: Option<Arc<dyn Cluster>>,
    /// The metrics' text.
    pub metrics: MetricsText,
}

/// When the refresh cookie is marked `Secure`, and has the name that browsers take from the host itself alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CookieSecure {
    /// Always: clients reach it by HTTPS alone.
    Always,
    /// But for plain HTTP to a loopback name from a loopback address, so that a first try needs no certificate.
    #[default]
    UnlessLoopback,
}

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The limits as `GET /limits` tells them.
    pub limits: Limits,
    /// Whether this process takes sockets, too.
    pub sockets: bool,
    /// How often one may ask.
    pub rate_limits: RateLimits,
    /// Origins of other sites whose pages may call, exactly as browsers spell them: `https://chat.example`.
    pub allowed_origins: Vec<String>,
    /// Who may read the metrics besides callers on the same machine.
    pub metrics_from: Arc<[Network]>,
    /// When the refresh cookie is marked `Secure`.
    pub cookie_secure: CookieSecure,
    /// From a request's head to its answer.
    pub deadline: Duration,
    /// From a request's head to the end of its body.
    pub body_deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            sockets: true,
            rate_limits: RateLimits::default(),
            allowed_origins: Vec::new(),
            metrics_from: Arc::new([]),
            cookie_secure: CookieSecure::default(),
            deadline: Duration::from_secs(30),
            body_deadline: Duration::from_secs(10),
        }
    }
}

/// What every handler shares.
#[derive(Clone)]
pub struct RestState {
    inner: Arc<Inner>,
}

struct Inner {
    services: Services,
    settings: Arc<Settings>,
    idempotency: Table<IdempotencyKeys>,
    throttle: Throttle,
}

impl RestState {
    /// The state over these services, with these settings.
    #[must_use]
    pub fn new(services: Services, settings: Settings) -> Self {
        let idempotency = Table::new(Arc::clone(&services.store.records));
        let throttle = Throttle::new(settings.rate_limits, services.cluster.clone());
        Self { inner: Arc::new(Inner { services, settings: Arc::new(settings), idempotency, throttle }) }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The settings, for the layers around everything.
    pub(crate) fn shared_settings(&self) -> Arc<Settings> {
        Arc::clone(&self.inner.settings)
    }

    /// How the process is.
    pub(crate) fn vitals(&self) -> Vitals {
        let Services { store, port, cluster, metrics, .. } = &self.inner.services;
        let (engine, cluster) = (Arc::clone(&store.engine), cluster.clone());
        Vitals { engine, port: Arc::clone(port), cluster, metrics: Arc::clone(metrics) }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.inner.services.clock.as_ref()
    }

    pub(crate) fn jwks(&self) -> Arc<str> {
        Arc::clone(&self.inner.services.jwks)
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.inner.services.accounts
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.inner.services.sessions
    }

    pub(crate) fn logins(&self) -> &Logins {
        &self.inner.services.logins
    }

    pub(crate) fn conversations(&self) -> &Conversations {
        &self.inner.services.conversations
    }

    pub(crate) fn port(&self) -> &dyn HubPort {
        self.inner.services.port.as_ref()
    }

    pub(crate) fn idempotency(&self) -> &Table<IdempotencyKeys> {
        &self.inner.idempotency
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.inner.throttle
    }
}
