//! The link to Redis: connects, keeps what is watched watched, says what is to be said, and asks whether it hears itself.
//!
//! One task, run for the life of the bus; connections and what they do are parts of it and end with it. Whatever fails,
//! both connections are dropped and built anew, after a pause of 50 ms to a second that differs from node to node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::metrics;
use super::mouth::Mouth;
use super::outbox::Said;
use super::shared::Shared;
use crate::bus::Topic;

/// Until a connection is there and has answered.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Until a batch of topics is confirmed; a Redis that is silent altogether is noticed by the probe before that.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);

/// Topics asked for at once.
const WATCH_AT_ONCE: usize = 512;

/// How often it is looked whether Redis is silent, and whether the node is owed anything.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Pauses between tries.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A link that carried for so long was a good one: the next try comes soon.
const STEADY: Duration = Duration::from_secs(2);

/// While Redis cannot be reached, the log hears of it this often.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// What is left to say when the bus is closed is said within this.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("the connection was cut")]
    Cut,
    #[error("the node has not heard itself for {0:?}")]
    Silent(Duration),
}

/// Signs of life of one link.
pub(super) struct Pulse {
    born: Instant,
    /// When the node last heard itself, in microseconds since; 0: never.
    felt_us: AtomicU64,
    cut: Notify,
    /// There may be reason to be up now.
    look: Notify,
}

impl Pulse {
    fn new() -> Self {
        Self { born: Instant::now(), felt_us: AtomicU64::new(0), cut: Notify::new(), look: Notify::new() }
    }

    /// The node has heard itself.
    pub(super) fn felt(&self) {
        let now = u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        if self.felt_us.swap(now, Ordering::Relaxed) == 0 {
            self.look.notify_one();
        }
    }

    /// One of its connections is no more.
    pub(super) fn cut(&self) {
        self.cut.notify_one();
    }

    fn was_felt(&self) -> bool {
        self.felt_us.load(Ordering::Relaxed) > 0
    }

    fn silent_for(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_micros(self.felt_us.load(Ordering::Relaxed)))
    }
}

struct Link {
    listening: MultiplexedConnection,
    talking: MultiplexedConnection,
    pulse: Arc<Pulse>,
}

/// However the task ends, those who wait for its end are told.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Keeps a link until the bus is closed.
pub(super) async fn run(
    shared: Arc<Shared>,
    client: redis::Client,
    outbox: mpsc::Receiver<Said>,
    closes: watch::Receiver<bool>,
) {
    let ending = Ending(Arc::clone(&shared));
    let mut mouth = Mouth::new(&shared, outbox);
    let mut pauses = Pauses::default();
    let mut complaints = Complaints::default();
    while !*closes.borrow() {
        let began = Instant::now();
        let broken = tokio::select! {
            broken = connect_and_serve(&shared, &client, &mut mouth, closes.clone()) => broken,
            () = closed_for(closes.clone(), CLOSE_WITHIN) => None,
        };
        let was_up = shared.is_up();
        mouth.forget(&shared);
        shared.lost();
        shared.tried();
        let Some(broken) = broken else { break };
        complaints.log(was_up, &broken);
        if was_up && began.elapsed() > STEADY {
            pauses = Pauses::default();
        }
        tokio::select! {
            () = sleep(pauses.next()) => {}
            () = closed_for(closes.clone(), Duration::ZERO) => {}
        }
    }
    drop(ending);
}

/// Comes so long after the bus began to close.
async fn closed_for(mut closes: watch::Receiver<bool>, time: Duration) {
    // An error is an end that was dropped, after having said so.
    closes.wait_for(|closes| *closes).await.ok();
    sleep(time).await;
}

/// Ends with what broke it, or with nothing if the bus was closed.
async fn connect_and_serve(
    shared: &Arc<Shared>,
    client: &redis::Client,
    mouth: &mut Mouth,
    closes: watch::Receiver<bool>,
) -> Option<Broken> {
    let connected = tokio::select! {
        connected = connect(shared, client) => connected,
        () = closed_for(closes.clone(), Duration::ZERO) => return None,
    };
    metrics::connected(if connected.is_ok() { "ok" } else { "failed" });
    let link = match connected {
        Ok(link) => link,
        Err(error) => return Some(error.into()),
    };
    let ended = tokio::select! {
        spoken = mouth.speak(shared, link.talking.clone(), closes) => spoken.map_err(Broken::from),
        watched = keep_watched(shared, link.listening.clone(), &link.pulse) => watched,
        lived = live(shared, &link) => lived,
    };
    ended.err()
}

async fn connect(shared: &Arc<Shared>, client: &redis::Client) -> Result<Link, RedisError> {
    let pulse = Arc::new(Pulse::new());
    let connects = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_WITHIN)).set_push_sender({
        let (shared, pulse) = (Arc::clone(shared), Arc::clone(&pulse));
        move |push| {
            shared.take(&pulse, push);
            Ok::<(), redis::aio::SendError>(())
        }
    });
    let talks = connects.clone().set_response_timeout(None);
    let listens = connects.set_response_timeout(Some(CONFIRM_WITHIN));
    let (mut listening, talking) = tokio::try_join!(
        client.get_multiplexed_async_connection_with_config(&listens),
        client.get_multiplexed_async_connection_with_config(&talks),
    )?;
    // Before the first probe, which would not be heard otherwise.
    listening.subscribe(channels(shared, &shared.own_topics())).await?;
    Ok(Link { listening, talking, pulse })
}

fn channels(shared: &Shared, topics: &[Topic]) -> Vec<String> {
    topics.iter().map(|topic| shared.names.channel(*topic)).collect()
}

/// Has Redis carry what is wanted, and no more.
async fn keep_watched(shared: &Shared, mut listening: MultiplexedConnection, pulse: &Pulse) -> Result<(), Broken> {
    loop {
        let batch = shared.topics().next_batch(WATCH_AT_ONCE);
        if !batch.unwatch.is_empty() {
            listening.unsubscribe(channels(shared, &batch.unwatch)).await?;
        }
        if !batch.watch.is_empty() {
            listening.subscribe(channels(shared, &batch.watch)).await?;
            let was_refused = shared.topics().confirmed(&batch.watch);
            if was_refused {
                shared.ear().missed();
            }
        }
        metrics::watched(shared.topics().len());
        if batch.is_empty() {
            pulse.look.notify_one();
            shared.wishes.notified().await;
        }
    }
}

/// Watches over the link: up once the node hears itself and all is watched again, broken when it does no longer.
async fn live(shared: &Shared, link: &Link) -> Result<(), Broken> {
    let patience = shared.limits.probe_every * 5 / 2;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = link.pulse.cut.notified() => return Err(Broken::Cut),
            () = link.pulse.look.notified() => {}
            _ = looks.tick() => {}
        }
        let silent = link.pulse.silent_for();
        if silent > patience {
            return Err(Broken::Silent(silent));
        }
        if !shared.is_up() && link.pulse.was_felt() && shared.topics().is_settled() {
            shared.carries(link.talking.clone());
            tracing::info!("the bus is up");
        }
        shared.ear().settle();
        if shared.drops.log() {
            shared.ear().missed();
        }
    }
}

/// Pauses that double, each cut by a random part of up to a half: nodes do not come back all at once.
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(SHORTEST_PAUSE)
    }
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let whole = self.0;
        self.0 = (whole * 2).min(LONGEST_PAUSE);
        // Without randomness it is the whole.
        let drawn = getrandom::u32().unwrap_or(0);
        whole.mul_f64(1.0 - f64::from(drawn) / f64::from(u32::MAX) / 2.0)
    }
}

/// Says that it is down once, and again now and then.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
}

impl Complaints {
    fn log(&mut self, was_up: bool, broken: &Broken) {
        if was_up || self.last.is_none_or(|last| last.elapsed() > LOG_EVERY) {
            self.last = Some(Instant::now());
            tracing::warn!(%broken, "the bus is down; nodes go on by themselves, more slowly");
        }
    }
}
