//! The bus over Redis: what one node says, Redis hands to those who watch.
//!
//! Opened by the server; one task ([`link`]) keeps two connections, one that listens and one that talks, and rebuilds both
//! whenever either breaks or the node no longer hears its own probes. Redis may be away, restart empty, kill connections
//! or lie: nothing true is in it (REDIS-FREE TRUTH), what it hands over is believed only with the cluster's mark
//! ([`super::frame`]), and what may have been lost is told as `Missed`. Every queue has a limit in [`RedisLimits`]; over it
//! things are dropped and counted, never waited for (BOUNDED). Redis 7.0 or later; pub/sub and counters that expire, no
//! data of any other kind.
//!
//! Leaves to its node to fill holes from the log, and to go on without it.

mod drops;
mod link;
mod metrics;
mod mouth;
mod names;
mod outbox;
mod shared;
mod topics;

use std::fmt;
use std::future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubbub_protocol::NodeId;
use redis::IntoConnectionInfo;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use zeroize::Zeroizing;

use self::shared::Shared;
use self::topics::Watching;
use super::{ClusterBus, OpenBus, Topic};
use crate::error::{Reason, StoreError, StoreResult};

/// How long opening waits for the first connection, before it goes on without.
const OPEN_WITHIN: Duration = Duration::from_secs(1);

/// How long a watch waits for its confirmation.
const WATCH_WITHIN: Duration = Duration::from_secs(1);

/// How long a count waits for its answer.
const COUNT_WITHIN: Duration = Duration::from_millis(50);

/// What has to be known to join the nodes at a Redis.
pub struct RedisConfig {
    /// `redis://[user:password@]host[:port]`, or `unix:///path`. Never logged.
    pub url: String,
    /// What all channels and keys begin with: clusters of different prefixes do not hear one another.
    pub prefix: String,
    /// What only this cluster's nodes know.
    pub secret: Zeroizing<[u8; 32]>,
    /// How much of everything.
    pub limits: RedisLimits,
}

impl RedisConfig {
    /// With the prefix `hubbub` and the usual limits.
    #[must_use]
    pub fn new(url: impl Into<String>, secret: Zeroizing<[u8; 32]>) -> Self {
        Self { url: url.into(), prefix: "hubbub".to_owned(), secret, limits: RedisLimits::default() }
    }
}

/// Shows nothing that is secret, nor the URL, which may hold a password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("prefix", &self.prefix)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The limits of one node's end of the bus.
#[derive(Debug, Clone, Copy)]
pub struct RedisLimits {
    /// Events that the node has not taken yet; over it they are dropped, and it is told `Missed`.
    pub events: usize,
    /// Things to be said; over it they are dropped.
    pub outbox: usize,
    /// The bytes of them.
    pub outbox_bytes: usize,
    /// Topics watched; over it a watch is refused as `Overloaded`.
    pub topics: usize,
    /// Watches that wait for their confirmation; over it they are refused as `Overloaded`.
    pub watching: usize,
    /// Counts that wait for their answer; over it nothing is known.
    pub counting: usize,
    /// Nodes heard within a minute; over it others are not heard.
    pub origins: usize,
    /// Topics of theirs that are told apart; over it they are told apart no longer.
    pub origin_topics: usize,
    /// How often the node asks whether it hears itself. After two and a half times that without an answer it is down.
    pub probe_every: Duration,
}

impl Default for RedisLimits {
    fn default() -> Self {
        Self {
            events: 8192,
            outbox: 8192,
            outbox_bytes: 16 * 1024 * 1024,
            topics: 1_000_000,
            watching: 65_536,
            counting: 1024,
            origins: 1024,
            origin_topics: 262_144,
            probe_every: Duration::from_secs(1),
        }
    }
}

/// Why a bus cannot even be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No address can be read from the URL.
    #[error("the Redis URL is malformed: {0}; it has the form redis://[user:password@]host[:port]")]
    Url(String),
    /// The URL asks for TLS.
    #[error(
        "this Redis URL asks for TLS, which is left to a tunnel (such as stunnel) beside each node: name its redis:// end"
    )]
    Tls,
    /// The prefix cannot be told apart in a channel's name.
    #[error("the Redis prefix has 1 to 64 characters of a-z, A-Z, 0-9, '_', '.' and '-'")]
    Prefix,
}

/// Opens a bus. If Redis cannot be reached it is open all the same, and down until it can.
///
/// # Errors
///
/// What no waiting mends: see [`OpenError`].
pub async fn open(config: RedisConfig) -> Result<OpenBus, OpenError> {
    let RedisConfig { url, prefix, secret, limits } = config;
    let client = client(&url)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(is_plain) {
        return Err(OpenError::Prefix);
    }
    let (events, receiver) = mpsc::channel(limits.events);
    let (closing, closes) = watch::channel(false);
    let (first, tried) = oneshot::channel();
    let (shared, outbox) = Shared::new(&secret, &prefix, limits, events, first);
    let shared = Arc::new(shared);
    // Waited for by `close`, which hears of its end by `Shared::ended`.
    tokio::spawn(link::run(Arc::clone(&shared), client, outbox, closes));
    // Up or not: whoever is in a hurry finds most buses up when they open.
    timeout(OPEN_WITHIN, tried).await.ok();
    Ok(OpenBus { bus: Arc::new(RedisBus { shared, closing }), events: receiver })
}

fn client(url: &str) -> Result<redis::Client, OpenError> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    if ["rediss", "valkeys"].iter().any(|tls| scheme.eq_ignore_ascii_case(tls)) {
        return Err(OpenError::Tls);
    }
    let malformed = |error: redis::RedisError| OpenError::Url(error.to_string());
    let info = url.into_connection_info().map_err(malformed)?;
    let settings = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP3).set_skip_set_lib_name();
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    redis::Client::open(info.set_redis_settings(settings).set_tcp_settings(tcp)).map_err(malformed)
}

/// One node's end. When it is dropped without being closed, its task ends by itself.
struct RedisBus {
    shared: Arc<Shared>,
    closing: watch::Sender<bool>,
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable(Reason::new("the bus is down"))
}

impl ClusterBus for RedisBus {
    fn node(&self) -> NodeId {
        self.shared.node
    }

    fn publish(&self, topic: Topic, body: Bytes) {
        if *self.closing.borrow() || !self.is_up() {
            self.shared.drops.dropped_out("down", 1);
        } else if let Err(reason) = self.shared.outbox.put(topic, body) {
            self.shared.drops.dropped_out(reason, 1);
        }
    }

    fn watch(&self, topic: Topic) -> BoxFuture<'static, StoreResult<()>> {
        let watching = self.shared.watch(topic);
        let confirmed = match watching {
            Ok(Watching::Soon(confirmed)) => confirmed,
            Ok(Watching::Already) => return future::ready(Ok(())).boxed(),
            Ok(Watching::Full) => return future::ready(Err(StoreError::Overloaded)).boxed(),
            Err(error) => return future::ready(Err(error)).boxed(),
        };
        let shared = Arc::clone(&self.shared);
        async move {
            match timeout(WATCH_WITHIN, confirmed).await {
                Ok(Ok(())) => Ok(()),
                // It may have been confirmed just now; else who is refused is told once it is.
                _ if shared.topics().refuse(topic) => Err(unavailable()),
                _ => Ok(()),
            }
        }
        .boxed()
    }

    fn unwatch(&self, topic: Topic) {
        self.shared.unwatch(topic);
    }

    fn is_up(&self) -> bool {
        self.shared.is_up()
    }

    fn is_alone(&self) -> bool {
        false
    }

    fn count(&self, key: &[u8], window: Duration) -> BoxFuture<'static, Option<u64>> {
        let Some((mut talking, permit)) = self.shared.may_count() else { return future::ready(None).boxed() };
        let key = self.shared.counter(key, window);
        async move {
            let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX.unsigned_abs());
            // A counter that lost its expiry to a cut in between gets one the next time.
            let mut pipe = redis::pipe();
            pipe.cmd("INCR").arg(&key).cmd("PEXPIRE").arg(&key).arg(window_ms).arg("NX").ignore();
            let counted = timeout(COUNT_WITHIN, pipe.query_async::<(u64,)>(&mut talking)).await;
            drop(permit);
            counted.ok()?.ok().map(|(count,)| count)
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.closing.send_replace(true);
        let mut ended = self.shared.ended.subscribe();
        async move {
            // It lives as long as its sender, which is in what this end holds.
            ended.wait_for(|ended| *ended).await.ok();
        }
        .boxed()
    }
}
