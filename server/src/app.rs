//! A whole Hubbub in this process: the parts are made, joined and started here, and stopped in the opposite order.
//!
//! Nothing else in the workspace knows all the parts. Tests start the same thing on port 0. What the parts are follows from
//! the role: `all` has a hub and REST on one port, `hub` no REST and no key that signs, `rest` no hub.
//! Keeps DRAINED together with the hub, whose promise it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::future::BoxFuture;
use hubbub_domain::accounts::Accounts;
use hubbub_domain::cluster::Word;
use hubbub_domain::conversations::Conversations;
use hubbub_domain::sessions::{Logins, Sessions};
use hubbub_domain::tokens::{KeyRing, Verifier};
use hubbub_hub::{HttpDoor, Hub, Tls};
use hubbub_protocol::limits::Limits;
use hubbub_rest::cluster::Cluster;
use hubbub_rest::port::HubPort;
use hubbub_rest::vitals::Vitals;
use hubbub_rest::{RestState, Services};
use hubbub_storage::bus::{BusEvent, ClusterBus, OpenBus, Topic};
use hubbub_storage::clock::{Clock, SystemClock};
use hubbub_storage::error::{Reason, StoreError};
use hubbub_storage::store::Store;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster_port::{self, ClusterPort, OverBus};
use crate::config::{Config, CookieSecure, Role};
use crate::http_door::{AxumDoor, Deadlines};
use crate::hub_port::LocalHub;
use crate::jwks::{self, Following};
use crate::rest_door::RestDoor;
use crate::start_error::StartError;
use crate::telemetry::Numbers;
use crate::{listen, opening};

/// An HTTP peer that takes not one byte of its answer for so long is gone.
const TAKING_DEADLINE: Duration = Duration::from_secs(10);

/// How often recorded numbers are taken in: each histogram keeps its samples one by one until then (BOUNDED).
const TAKE_IN_EVERY: Duration = Duration::from_secs(1);

/// A Hubbub that accepts connections.
pub struct App {
    address: SocketAddr,
    /// Whether TLS is spoken there.
    encrypted: bool,
    front: Front,
    door: AxumDoor,
    store: Store,
    bus: Arc<dyn ClusterBus>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    /// Cancelled when nobody accepts connections any more, for whatever reason.
    deaf: CancellationToken,
}

/// Who accepts connections.
#[derive(Clone)]
enum Front {
    /// The hub, which hands on what is no socket.
    Hub(Hub),
    /// A door to REST alone.
    Rest(RestDoor),
}

/// What every role stands on.
struct Ground {
    store: Store,
    clock: Arc<dyn Clock>,
    conversations: Conversations,
    bus: Arc<dyn ClusterBus>,
    numbers: Numbers,
}

/// What a role puts together: who accepts, what is answered by HTTP, and what runs beside.
struct Parts {
    front: Front,
    router: Router,
    /// A hub's keys, which it follows.
    keys: Option<Following>,
    /// What is heard on the bus, where no hub hears it.
    unheard: Option<mpsc::Receiver<BusEvent>>,
}

impl App {
    /// Opens the store, starts all parts and accepts connections.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what to do about it. Nothing is left running.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        // Bound first and opened last: a port that is taken is told before the data folder is touched, and nobody is
        // accepted before there is something to say.
        let bound = listen::bind_patiently(config.listen).await?;
        opening::check_secrets(config).await?;
        let (tls, certificate) = opening::tls(config).await?.unzip();
        let store = opening::store(config).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let conversations = Conversations::new(store.clone(), Arc::clone(&clock));
        // A hub asks for its keys before it joins the bus, where others would count on it.
        let (parts, ground) = match config.role {
            Role::Hub => {
                let (verifier, following) = jwks::open(&config.keys).await?;
                let numbers = Numbers::of_this_process();
                let OpenBus { bus, events } = opening::bus(config).await?;
                let ground = Ground { store, clock, conversations, bus, numbers };
                (ground.hub(config, verifier, following, events)?, ground)
            }
            Role::All | Role::Rest => {
                let keys = opening::keys(config).await?;
                let numbers = Numbers::of_this_process();
                let OpenBus { bus, events } = opening::bus(config).await?;
                let ground = Ground { store, clock, conversations, bus, numbers };
                let parts = if config.role == Role::All {
                    ground.all(config, keys, events)?
                } else {
                    ground.rest(config, keys, events)
                };
                (parts, ground)
            }
        };
        let listener = bound.listen()?;
        let address = listen::address_of(&listener, config.listen)?;
        let deadlines = Deadlines { head: config.hub.head_deadline, taking: TAKING_DEADLINE };
        let app = Self {
            address,
            encrypted: tls.is_some(),
            front: parts.front,
            door: AxumDoor::new(parts.router, deadlines),
            store: ground.store,
            bus: ground.bus,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            deaf: CancellationToken::new(),
        };
        app.spawn_front(listener, tls);
        if let Some(certificate) = certificate {
            certificate.tell_doubts();
            app.spawn_until_stopping(certificate.follow());
        }
        app.spawn_until_stopping(take_in(ground.numbers));
        if let Some(following) = parts.keys {
            app.spawn_until_stopping(following.follow());
        }
        if let Some(events) = parts.unheard {
            app.spawn_until_stopping(overhear(events, Arc::clone(&app.bus)));
        }
        app.tasks.close();
        Ok(app)
    }

    fn spawn_front(&self, listener: TcpListener, tls: Option<Tls>) {
        let (front, door): (_, Arc<dyn HttpDoor>) = (self.front.clone(), Arc::new(self.door.clone()));
        let deaf = self.deaf.clone().drop_guard();
        self.tasks.spawn(async move {
            match front {
                Front::Hub(hub) => hub.serve(listener, tls, door).await,
                Front::Rest(rest) => rest.serve(listener, tls, door).await,
            }
            drop(deaf);
        });
    }

    fn spawn_until_stopping(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.stopping.clone().run_until_cancelled_owned(work));
    }

    /// Where it listens: the port is real where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.encrypted { "https" } else { "http" }, self.address)
    }

    /// Waits until the store has stopped because of a failed write or sync: then nothing more can be done here.
    pub fn store_stopped(&self) -> BoxFuture<'static, Reason> {
        self.store.engine.stopped()
    }

    /// Waits until a part has ended that nobody asked to, and tells which: the rest can still be stopped softly.
    pub fn part_ended(&self) -> impl Future<Output = &'static str> + Send + 'static {
        let (front, deaf) = (self.front.clone(), self.deaf.clone());
        async move {
            let shard_ended = async {
                match front {
                    Front::Hub(hub) => hub.failed().await,
                    Front::Rest(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shard_ended => "a shard",
                () = deaf.cancelled() => "the accept loop",
            }
        }
    }

    /// Tells every client when to come back, answers what was accepted, and closes the bus and the store (DRAINED).
    ///
    /// `drain` bounds the hub's part; the caller bounds the whole.
    ///
    /// # Errors
    ///
    /// What the store says to being closed; all else has ended.
    pub async fn stop(self, drain: Duration) -> Result<(), StoreError> {
        // Requests by HTTP go to the hub as well, so both are finished together.
        match &self.front {
            Front::Hub(hub) => tokio::join!(hub.drain(drain), self.door.finish()),
            Front::Rest(rest) => tokio::join!(rest.drain(), self.door.finish()),
        };
        self.stopping.cancel();
        self.tasks.wait().await;
        self.bus.close().await;
        self.store.engine.close().await
    }
}

impl Ground {
    /// Sockets and REST.
    fn all(&self, config: &Config, keys: KeyRing, events: mpsc::Receiver<BusEvent>) -> Result<Parts, StartError> {
        let sessions = self.sessions(Verifier::fixed(keys.public_keys().clone()));
        let hub = self.start_hub(config, sessions.clone(), events)?;
        let router = self.router(config, keys, sessions, Arc::new(LocalHub(hub.clone())));
        Ok(Parts { front: Front::Hub(hub), router, keys: None, unheard: None })
    }

    /// Sockets alone: what knows the keys here can give no token.
    fn hub(
        &self,
        config: &Config,
        verifier: Verifier,
        following: Following,
        events: mpsc::Receiver<BusEvent>,
    ) -> Result<Parts, StartError> {
        let hub = self.start_hub(config, self.sessions(verifier), events)?;
        let vitals = Vitals {
            engine: Arc::clone(&self.store.engine),
            port: Arc::new(LocalHub(hub.clone())),
            cluster: self.cluster(),
            metrics: self.metrics(),
        };
        let router = hubbub_rest::vitals_router(vitals, rest_settings(config));
        Ok(Parts { front: Front::Hub(hub), router, keys: Some(following), unheard: None })
    }

    /// REST alone.
    fn rest(&self, config: &Config, keys: KeyRing, events: mpsc::Receiver<BusEvent>) -> Parts {
        let draining = CancellationToken::new();
        let port = ClusterPort::new(self.conversations.clone(), Arc::clone(&self.bus), draining.clone());
        let sessions = self.sessions(Verifier::fixed(keys.public_keys().clone()));
        let router = self.router(config, keys, sessions, Arc::new(port));
        let front = Front::Rest(RestDoor::new(&config.hub, draining));
        Parts { front, router, keys: None, unheard: Some(events) }
    }

    fn start_hub(
        &self,
        config: &Config,
        sessions: Sessions,
        events: mpsc::Receiver<BusEvent>,
    ) -> Result<Hub, StartError> {
        let Self { store, clock, conversations, bus, .. } = self;
        let bus = OpenBus { bus: Arc::clone(bus), events };
        Ok(Hub::start(config.hub.clone(), store.clone(), conversations.clone(), sessions, Arc::clone(clock), bus)?)
    }

    fn router(&self, config: &Config, keys: KeyRing, sessions: Sessions, port: Arc<dyn HubPort>) -> Router {
        let Self { store, clock, conversations, .. } = self;
        let services = Services {
            store: store.clone(),
            clock: Arc::clone(clock),
            accounts: Accounts::new(store.clone(), Arc::clone(clock)),
            sessions,
            jwks: keys.public_keys().to_jwks().into(),
            logins: Logins::new(store.clone(), Arc::clone(clock), Arc::new(keys)),
            conversations: conversations.clone(),
            port,
            cluster: self.cluster(),
            metrics: self.metrics(),
        };
        hubbub_rest::router(&RestState::new(services, rest_settings(config)))
    }

    fn sessions(&self, verifier: Verifier) -> Sessions {
        Sessions::new(self.store.clone(), Arc::clone(&self.clock), verifier)
    }

    /// The other processes, if there may be any.
    fn cluster(&self) -> Option<Arc<dyn Cluster>> {
        (!self.bus.is_alone()).then(|| Arc::new(OverBus(Arc::clone(&self.bus))) as _)
    }

    fn metrics(&self) -> Arc<dyn Fn() -> String + Send + Sync> {
        let numbers = self.numbers.clone();
        Arc::new(move || numbers.render())
    }
}

async fn take_in(numbers: Numbers) {
    loop {
        tokio::time::sleep(TAKE_IN_EVERY).await;
        numbers.take_in();
    }
}

/// Takes what is heard where there are no sockets to tell, so that the bus need not call this process too slow.
async fn overhear(mut events: mpsc::Receiver<BusEvent>, bus: Arc<dyn ClusterBus>) {
    while let Some(event) = events.recv().await {
        match event {
            BusEvent::Up => tracing::info!("the bus carries"),
            BusEvent::Down => tracing::warn!("the bus carries nothing: others find what happens here by looking"),
            // What was done here meanwhile, such as the end of a session, nobody heard of (MEMBERS-ONLY).
            BusEvent::Missed => cluster_port::say(bus.as_ref(), Topic::Cluster, &Word::Unheard),
            BusEvent::Heard { .. } => {}
        }
    }
}

fn rest_settings(config: &Config) -> hubbub_rest::Settings {
    let Config { rest, hub, .. } = config;
    hubbub_rest::Settings {
        limits: Limits {
            max_outbox_bytes: u64::try_from(hub.max_outbox_bytes).unwrap_or(u64::MAX),
            head_deadline_ms: milliseconds(hub.head_deadline),
            login_deadline_ms: milliseconds(hub.login_deadline),
            heartbeat_ms: milliseconds(hub.heartbeat),
            ..Limits::default()
        },
        sockets: config.role != Role::Rest,
        rate_limits: hubbub_rest::RateLimits {
            auth_per_minute: rest.auth_per_minute,
            general_per_minute: rest.general_per_minute,
            exempt_loopback: hub.exempt_loopback,
        },
        allowed_origins: hub.allowed_origins.clone(),
        metrics_from: config.metrics_from.clone().into(),
        cookie_secure: match rest.cookie_secure {
            CookieSecure::Always => hubbub_rest::CookieSecure::Always,
            CookieSecure::UnlessLoopback => hubbub_rest::CookieSecure::UnlessLoopback,
        },
        deadline: rest.deadline,
        body_deadline: rest.body_deadline,
    }
}

/// For machines, which read numbers of 64 bits.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
