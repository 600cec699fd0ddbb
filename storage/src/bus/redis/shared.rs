//! What a node's end of the bus and its link share.
//!
//! Locks are held for a moment each, never two at once but where said, and never over an await.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hubbub_protocol::NodeId;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::drops::Drops;
use super::link::Pulse;
use super::names::Names;
use super::outbox::{Outbox, Said};
use super::topics::{TopicLimits, Topics, Watching};
use super::{RedisLimits, metrics, unavailable};
use crate::bus::ear::Ear;
use crate::bus::frame::{Keys, Kind, Memory, Opener};
use crate::bus::{BusEvent, Topic};
use crate::error::StoreResult;

pub(super) struct Shared {
    pub(super) node: NodeId,
    pub(super) keys: Keys,
    pub(super) names: Names,
    pub(super) limits: RedisLimits,
    pub(super) outbox: Outbox,
    pub(super) drops: Drops,
    /// Set for good when the link's task has ended.
    pub(super) ended: watch::Sender<bool>,
    /// The link has wishes to look at.
    pub(super) wishes: Notify,
    is_up: AtomicBool,
    topics: Mutex<Topics>,
    ear: Mutex<Ear>,
    opener: Mutex<Opener>,
    /// The connection that counts, while it is up.
    talking: Mutex<Option<MultiplexedConnection>>,
    counting: Arc<Semaphore>,
    /// Told once when the first try to connect has ended, well or not.
    first: Mutex<Option<oneshot::Sender<()>>>,
}

impl Shared {
    pub(super) fn new(
        secret: &[u8; 32],
        prefix: &str,
        limits: RedisLimits,
        events: mpsc::Sender<BusEvent>,
        first: oneshot::Sender<()>,
    ) -> (Self, mpsc::Receiver<Said>) {
        let keys = Keys::new(secret, prefix);
        let (outbox, said) = Outbox::new(limits.outbox, limits.outbox_bytes);
        let memory = Memory { origins: limits.origins, topics: limits.origin_topics };
        let topic_limits = TopicLimits { topics: limits.topics, waiting: limits.watching };
        metrics::up(false);
        let shared = Self {
            node: NodeId::generate(),
            names: Names::new(prefix),
            outbox,
            drops: Drops::default(),
            ended: watch::Sender::new(false),
            wishes: Notify::new(),
            is_up: AtomicBool::new(false),
            topics: Mutex::new(Topics::new(topic_limits)),
            ear: Mutex::new(Ear::new(events)),
            opener: Mutex::new(Opener::new(&keys, memory)),
            talking: Mutex::new(None),
            counting: Arc::new(Semaphore::new(limits.counting)),
            first: Mutex::new(Some(first)),
            keys,
            limits,
        };
        (shared, said)
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    pub(super) fn topics(&self) -> MutexGuard<'_, Topics> {
        lock(&self.topics)
    }

    pub(super) fn ear(&self) -> MutexGuard<'_, Ear> {
        lock(&self.ear)
    }

    /// The topics that are watched from the start and always; [`Topics`] does not know them.
    pub(super) fn own_topics(&self) -> [Topic; 2] {
        [Topic::Cluster, Topic::Node(self.node)]
    }

    pub(super) fn watch(&self, topic: Topic) -> StoreResult<Watching> {
        if self.own_topics().contains(&topic) {
            if self.is_up() {
                return Ok(Watching::Already);
            }
            self.ear().missed();
            return Err(unavailable());
        }
        let mut topics = self.topics();
        // Asked under the lock: whoever is refused here is noted before the next link looks.
        if self.is_up() {
            let watching = topics.watch(topic);
            drop(topics);
            self.wishes.notify_one();
            return Ok(watching);
        }
        if !topics.note(topic) {
            return Ok(Watching::Full);
        }
        topics.refuse(topic);
        drop(topics);
        self.wishes.notify_one();
        Err(unavailable())
    }

    pub(super) fn unwatch(&self, topic: Topic) {
        self.topics().unwatch(topic);
        self.wishes.notify_one();
    }

    /// A connection to count by, if it is up and not too many count already.
    pub(super) fn may_count(&self) -> Option<(MultiplexedConnection, OwnedSemaphorePermit)> {
        let talking = lock(&self.talking).clone()?;
        Some((talking, Arc::clone(&self.counting).try_acquire_owned().ok()?))
    }

    pub(super) fn counter(&self, key: &[u8], window: Duration) -> String {
        self.names.counter(self.keys.counter_name(key, window))
    }

    /// The link carries.
    pub(super) fn carries(&self, talking: MultiplexedConnection) {
        *lock(&self.talking) = Some(talking);
        // First: who hears of it may speak at once.
        self.is_up.store(true, Ordering::Release);
        self.ear().up();
        self.tried();
        metrics::up(true);
    }

    /// The link is gone.
    pub(super) fn lost(&self) {
        self.is_up.store(false, Ordering::Release);
        *lock(&self.talking) = None;
        self.topics().lost();
        self.ear().down();
        metrics::up(false);
    }

    pub(super) fn tried(&self) {
        if let Some(first) = lock(&self.first).take() {
            // Whoever opens may have gone on already.
            first.send(()).ok();
        }
    }

    pub(super) fn end(&self) {
        self.lost();
        self.ear().end();
        self.ended.send_replace(true);
    }

    /// Takes what a connection brings unasked; called where it is read, so it never waits.
    pub(super) fn take(&self, pulse: &Pulse, push: PushInfo) {
        match push.kind {
            PushKind::Message => self.hear(pulse, push.data),
            PushKind::Disconnection => pulse.cut(),
            // Confirmations are the answers to what asked for them.
            _ => {}
        }
    }

    fn hear(&self, pulse: &Pulse, message: Vec<Value>) {
        let Ok([Value::BulkString(channel), Value::BulkString(frame)]) = <[Value; 2]>::try_from(message) else {
            return self.drops.dropped_in("form");
        };
        let bytes = wire_bytes(channel.len(), frame.len());
        let Some(topic) = self.names.topic(&channel) else { return self.drops.dropped_in("form") };
        let opened = lock(&self.opener).open(now_us(), topic, &Bytes::from(frame));
        match opened {
            Err(refused) => self.drops.refused(refused),
            Ok(opened) => {
                metrics::heard(bytes);
                if opened.origin == self.node {
                    pulse.felt();
                }
                if opened.kind == Kind::Said && !self.ear().hear(topic, opened.origin, opened.body) {
                    self.drops.dropped_in("slow");
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time of day in microseconds.
pub(super) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The bytes of a PUBLISH, and of the push that it becomes, on the wire (RESP3): both begin with the like of
/// `*3\r\n$7\r\nPUBLISH\r\n`.
pub(super) fn wire_bytes(channel: usize, frame: usize) -> usize {
    let bulk = |bytes: usize| 1 + bytes.max(1).ilog10() as usize + 1 + 2 + bytes + 2;
    17 + bulk(channel) + bulk(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_what_goes_over_the_wire() {
        for (channel, frame) in [(1, 0), (9, 10), (46, 99), (46, 100), (100, 12_345)] {
            let (name, body) = (vec![b'c'; channel], vec![0_u8; frame]);
            let packed = redis::cmd("PUBLISH").arg(name).arg(body).get_packed_command();
            assert_eq!(wire_bytes(channel, frame), packed.len(), "{channel} and {frame}");
        }
    }
}
