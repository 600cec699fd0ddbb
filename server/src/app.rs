//! A whole Hubbub in this process: the parts are made, joined and started here, and stopped in the opposite order.
//!
//! Nothing else in the workspace knows all the parts. Tests start the same thing on port 0.
//! Keeps DRAINED together with the hub, whose promise it is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hubbub_domain::accounts::Accounts;
use hubbub_domain::conversations::Conversations;
use hubbub_domain::sessions::{Logins, Sessions};
use hubbub_domain::tokens::{KeyRing, Verifier};
use hubbub_hub::{Hub, HubConfig};
use hubbub_protocol::limits::Limits;
use hubbub_rest::{RestState, Services};
use hubbub_storage::clock::{Clock, SystemClock};
use hubbub_storage::error::{Reason, StoreError};
use hubbub_storage::sqlite::SqliteConfig;
use hubbub_storage::store::Store;
use hubbub_storage::{memory, sqlite};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, CookieSecure, RestSection, StoreKind};
use crate::http_door::{AxumDoor, Deadlines};
use crate::hub_port::LocalHub;
use crate::keys;
use crate::start_error::StartError;
use crate::telemetry::Numbers;

/// How long a port that is in use is waited for.
const BIND_PATIENCE: Duration = Duration::from_secs(1);
const BIND_AGAIN: Duration = Duration::from_millis(20);

/// Connections that wait to be accepted: a storm of returning clients comes within a second, and what the queue does not
/// hold is tried again by the client's system a second later. The system's own limit may be lower.
const LISTEN_QUEUE: u32 = 4096;

/// An HTTP peer that takes not one byte of its answer for so long is gone.
const TAKING_DEADLINE: Duration = Duration::from_secs(10);

/// How often recorded numbers are taken in: each histogram keeps its samples one by one until then (BOUNDED).
const TAKE_IN_EVERY: Duration = Duration::from_secs(1);

/// A Hubbub that accepts connections.
pub struct App {
    address: SocketAddr,
    hub: Hub,
    door: AxumDoor,
    store: Store,
    tasks: TaskTracker,
    stopping: CancellationToken,
    /// Cancelled when nobody accepts connections any more, for whatever reason.
    deaf: CancellationToken,
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
        let socket = bind_patiently(config.listen).await?;
        let (store, keys) = open_store(config).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let conversations = Conversations::new(store.clone(), Arc::clone(&clock));
        let verifier = Verifier::fixed(keys.public_keys().clone());
        let jwks = keys.public_keys().to_jwks().into();
        let sessions = Sessions::new(store.clone(), Arc::clone(&clock), verifier);
        let logins = Logins::new(store.clone(), Arc::clone(&clock), Arc::new(keys));
        let accounts = Accounts::new(store.clone(), Arc::clone(&clock));
        let hub = Hub::start(
            config.hub.clone(),
            store.clone(),
            conversations.clone(),
            sessions.clone(),
            Arc::clone(&clock),
            hubbub_storage::bus::local::alone(),
        )?;
        let numbers = Numbers::of_this_process();
        let rendered = numbers.clone();
        let services = Services {
            store: store.clone(),
            clock,
            accounts,
            sessions,
            logins,
            jwks,
            conversations,
            cluster: None,
            port: Arc::new(LocalHub(hub.clone())),
            metrics: Arc::new(move || rendered.render()),
        };
        let router = hubbub_rest::router(RestState::new(services, rest_settings(&config.rest, &config.hub)));
        let deadlines = Deadlines { head: config.hub.head_deadline, taking: TAKING_DEADLINE };
        let door = AxumDoor::new(router, deadlines);
        let listener = socket.listen(LISTEN_QUEUE).map_err(|error| not_listening(config.listen, error))?;
        let address = listener.local_addr().map_err(|error| not_listening(config.listen, error))?;
        let (stopping, deaf) = (CancellationToken::new(), CancellationToken::new());
        let app = Self { address, hub, door, store, tasks: TaskTracker::new(), stopping, deaf };
        app.spawn_tasks(listener, numbers);
        Ok(app)
    }

    fn spawn_tasks(&self, listener: TcpListener, numbers: Numbers) {
        let (hub, door) = (self.hub.clone(), Arc::new(self.door.clone()));
        let deaf = self.deaf.clone().drop_guard();
        self.tasks.spawn(async move {
            hub.serve(listener, door).await;
            drop(deaf);
        });
        self.tasks.spawn(self.stopping.clone().run_until_cancelled_owned(async move {
            loop {
                tokio::time::sleep(TAKE_IN_EVERY).await;
                numbers.take_in();
            }
        }));
        self.tasks.close();
    }

    /// Where it listens: the port is real where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the store has stopped because of a failed write or sync: then nothing more can be done here.
    pub fn store_stopped(&self) -> BoxFuture<'static, Reason> {
        self.store.engine.stopped()
    }

    /// Waits until a part has ended that nobody asked to, and tells which: the rest can still be stopped softly.
    pub fn part_ended(&self) -> impl Future<Output = &'static str> + Send + 'static {
        let (hub, deaf) = (self.hub.clone(), self.deaf.clone());
        async move {
            tokio::select! {
                () = hub.failed() => "a shard",
                () = deaf.cancelled() => "the accept loop",
            }
        }
    }

    /// Tells every client when to come back, answers what was accepted, and closes the store (DRAINED).
    ///
    /// `drain` bounds the hub's part; the caller bounds the whole.
    ///
    /// # Errors
    ///
    /// What the store says to being closed; all else has ended.
    pub async fn stop(self, drain: Duration) -> Result<(), StoreError> {
        // Requests by HTTP go to the hub as well, so both are finished together.
        tokio::join!(self.hub.drain(drain), self.door.finish());
        self.stopping.cancel();
        self.tasks.wait().await;
        self.store.engine.close().await
    }
}

/// Binds the address; a process before that was just killed is given a moment to let it go.
async fn bind_patiently(address: SocketAddr) -> Result<TcpSocket, StartError> {
    let patience = tokio::time::Instant::now() + BIND_PATIENCE;
    loop {
        match bind(address) {
            Err(StartError::PortInUse(_)) if tokio::time::Instant::now() < patience => {
                tokio::time::sleep(BIND_AGAIN).await;
            }
            bound => return bound,
        }
    }
}

fn bind(address: SocketAddr) -> Result<TcpSocket, StartError> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // So that a restart need not wait for the last connections of the process before; somebody who listens is still
        // found out.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    bound().map_err(|error| not_listening(address, error))
}

fn not_listening(address: SocketAddr, source: io::Error) -> StartError {
    match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse(address),
        _ => StartError::Listen { address, source },
    }
}

/// The store and the keys beside it, opened on a thread that may wait for the disk.
async fn open_store(config: &Config) -> Result<(Store, KeyRing), StartError> {
    let (kind, data) = (config.store, config.data.clone());
    let opened = tokio::task::spawn_blocking(move || match kind {
        StoreKind::Memory => Ok((memory::open(), keys::passing()?)),
        // The configuration is refused before it comes to this; the folder is the answer that loses nothing.
        StoreKind::Sqlite | StoreKind::Cql => {
            let opened = sqlite::open(&SqliteConfig::at(&data))?;
            if let Some(recovered) = opened.recovered {
                tracing::info!(
                    records = recovered.log_records_checked,
                    all_else = recovered.meta_checked,
                    elapsed_ms = recovered.elapsed_ms,
                    "the last process did not close the store; what was checked of it is sound"
                );
            }
            Ok((opened.store, keys::load_or_make(&data)?))
        }
    });
    opened.await.unwrap_or(Err(StartError::Broken))
}

fn rest_settings(rest: &RestSection, hub: &HubConfig) -> hubbub_rest::Settings {
    hubbub_rest::Settings {
        limits: Limits {
            max_outbox_bytes: u64::try_from(hub.max_outbox_bytes).unwrap_or(u64::MAX),
            head_deadline_ms: milliseconds(hub.head_deadline),
            login_deadline_ms: milliseconds(hub.login_deadline),
            heartbeat_ms: milliseconds(hub.heartbeat),
            ..Limits::default()
        },
        sockets: true,
        rate_limits: hubbub_rest::RateLimits {
            auth_per_minute: rest.auth_per_minute,
            general_per_minute: rest.general_per_minute,
            exempt_loopback: hub.exempt_loopback,
        },
        allowed_origins: hub.allowed_origins.clone(),
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
