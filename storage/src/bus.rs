//! The bus between the nodes of a cluster: a nudge, never the truth.
//!
//! What is said on it may be lost, late, doubled by a reconnect or out of order between two nodes; whoever listens fills
//! holes from the log and compares heads now and then (REDIS-FREE TRUTH). What it does promise: what is heard was said by
//! a node that knows the cluster's secret, on that topic, and not before (a foreign or lying relay can only delay); two
//! things that one node said on one topic are never heard in the other order; and when this node's end may have missed
//! something, [`BusEvent::Missed`] says so. What is lost between its speaker and the relay, no hearer knows of: the speaker
//! is told `Down`, and may say again what matters once it is up.
//!
//! [`local`] joins nodes inside one process: a lone node, or the many of a test. [`redis`] joins processes.

#[cfg(any(feature = "conformance", feature = "redis"))]
mod ear;
#[cfg(feature = "redis")]
mod frame;
pub mod local;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(all(feature = "conformance", feature = "redis"))]
pub mod testing;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hubbub_protocol::{ConversationId, NodeId};
use tokio::sync::mpsc;

use crate::error::StoreResult;

/// Bytes of one thing said, at the most. Longer ones are not said: whoever has so much names where to read it.
pub const MAX_SAID_BYTES: usize = 512 * 1024;

/// What can be listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// All nodes of the cluster.
    Cluster,
    /// One node: what others say to it alone.
    Node(NodeId),
    /// The nodes with somebody who follows this conversation.
    Conversation(ConversationId),
}

/// What the bus tells its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusEvent {
    /// Something was said by another node, or by this one: a node hears itself, as proof that it hears at all.
    Heard {
        /// Where.
        topic: Topic,
        /// By whom.
        origin: NodeId,
        /// What.
        body: Bytes,
    },
    /// It carries: what is said from now on is heard, and every topic that is watched is watched again.
    Up,
    /// It carries nothing for now. Nodes go on by themselves. So it is, too, before the first [`BusEvent::Up`].
    Down,
    /// Something may have been missed on any topic: compare heads. Comes after each [`BusEvent::Up`] but the first (after
    /// that one too, if a watch had been refused before it), when a topic whose watch was refused is watched after all, and
    /// when this node was too slow to take what it heard; then nothing newer is heard before it. A node that slept while
    /// it went down and up again may be told this alone.
    Missed,
}

/// One node's end of the bus. Nothing here waits for the network but [`ClusterBus::watch`] and [`ClusterBus::count`].
pub trait ClusterBus: Send + Sync + 'static {
    /// Which node this is: a new one each time a process starts.
    fn node(&self) -> NodeId;

    /// Says something, soon and at most once. Never waits: what has no room, or comes while the bus is down, is dropped
    /// and counted (BOUNDED).
    fn publish(&self, topic: Topic, body: Bytes);

    /// Listens to a topic; answered when the relay has confirmed it, so that whatever is said after the answer is heard
    /// (or [`BusEvent::Missed`] comes). A topic stays watched over reconnects, and watching it twice is watching it once.
    /// [`Topic::Cluster`] and this node's own are watched from the start, and always.
    ///
    /// # Errors
    ///
    /// `Unavailable` while the bus is down, and within a second if the relay does not answer: the topic is noted all the
    /// same, and [`BusEvent::Missed`] comes once it is watched. `Overloaded` if too many are watched: it is not noted.
    fn watch(&self, topic: Topic) -> BoxFuture<'static, StoreResult<()>>;

    /// Listens to a topic no longer, however often it was watched.
    fn unwatch(&self, topic: Topic);

    /// Whether it carries, as far as is known: a probe that comes back says so.
    fn is_up(&self) -> bool;

    /// Whether there is nobody to talk to, ever: then nothing need be said.
    fn is_alone(&self) -> bool;

    /// Counts one for this key in the cluster, and answers how many there were in its current window of this length;
    /// `None`, within 50 ms, while that cannot be known. A node that is alone is never told: it counts for itself.
    fn count(&self, key: &[u8], window: Duration) -> BoxFuture<'static, Option<u64>>;

    /// Says what is waiting to be said, for a second at the most, and ends: so do the events, after those not taken yet.
    fn close(&self) -> BoxFuture<'static, ()>;
}

/// An open bus: the end to talk into, and what is heard. The receiver is bounded; a node that does not keep up hears of
/// it by [`BusEvent::Missed`].
pub struct OpenBus {
    /// To say things.
    pub bus: Arc<dyn ClusterBus>,
    /// What is heard.
    pub events: mpsc::Receiver<BusEvent>,
}
