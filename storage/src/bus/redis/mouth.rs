//! What a link says: things from the outbox, sealed in the order they are sent, and the probes.
//!
//! Owned by the link's task; outlives a link, so that its counter goes on. Things are sent in batches, one underway at a
//! time: what gathers meanwhile is the next.

use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::metrics;
use super::outbox::Said;
use super::shared::{Shared, now_us, wire_bytes};
use crate::bus::Topic;
use crate::bus::frame::{Kind, Sealer};

/// Things said at once, and the bytes after which no more is added.
const SAY_AT_ONCE: usize = 256;
const SAY_AT_ONCE_BYTES: usize = 256 * 1024;

/// Says things.
pub(super) struct Mouth {
    outbox: mpsc::Receiver<Said>,
    sealer: Sealer,
}

impl Mouth {
    pub(super) fn new(shared: &Shared, outbox: mpsc::Receiver<Said>) -> Self {
        Self { outbox, sealer: Sealer::new(&shared.keys, shared.node) }
    }

    /// Says what is to be said, and the probes, until the bus is closed and nothing is left.
    pub(super) async fn speak(
        &mut self,
        shared: &Shared,
        mut talking: MultiplexedConnection,
        mut closes: watch::Receiver<bool>,
    ) -> Result<(), RedisError> {
        let mut probes = interval(shared.limits.probe_every);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut words = Words::default();
            tokio::select! {
                biased;
                _ = probes.tick() => {
                    words.add(shared, &mut self.sealer, Topic::Node(shared.node), Kind::Probe, &[]);
                }
                Some(said) = self.outbox.recv() => words.add_said(shared, &mut self.sealer, &said),
                _ = closes.wait_for(|closes| *closes) => return Ok(()),
            }
            while words.has_room()
                && let Ok(said) = self.outbox.try_recv()
            {
                words.add_said(shared, &mut self.sealer, &said);
            }
            words.say(shared, &mut talking).await?;
        }
    }

    /// What was not said before the link broke is not said after it: by then it is old.
    pub(super) fn forget(&mut self, shared: &Shared) {
        let mut forgotten = 0;
        while let Ok(said) = self.outbox.try_recv() {
            shared.outbox.taken(said.body.len());
            forgotten += 1;
        }
        shared.drops.dropped_out("broken", forgotten);
    }
}

/// What is said at once.
#[derive(Default)]
struct Words {
    pipe: redis::Pipeline,
    count: usize,
    bytes: usize,
}

impl Words {
    fn has_room(&self) -> bool {
        self.count < SAY_AT_ONCE && self.bytes < SAY_AT_ONCE_BYTES
    }

    fn add_said(&mut self, shared: &Shared, sealer: &mut Sealer, said: &Said) {
        shared.outbox.taken(said.body.len());
        self.add(shared, sealer, said.topic, Kind::Said, &said.body);
    }

    fn add(&mut self, shared: &Shared, sealer: &mut Sealer, topic: Topic, kind: Kind, body: &[u8]) {
        let channel = shared.names.channel(topic);
        let frame = sealer.seal(now_us(), topic, kind, body);
        self.count += 1;
        self.bytes += wire_bytes(channel.len(), frame.len());
        self.pipe.cmd("PUBLISH").arg(channel).arg(frame).ignore();
    }

    async fn say(self, shared: &Shared, talking: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let said = self.pipe.exec_async(talking).await;
        match &said {
            Ok(()) => metrics::published(self.count, self.bytes),
            Err(_) => shared.drops.dropped_out("broken", self.count),
        }
        said
    }
}
