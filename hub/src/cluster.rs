//! This node among the others: who is alive, what is said to them, and acts that another node is asked to do.
//!
//! Shared by all shards. Saying never waits; forwarding waits for an answer, but not for long. What is heard is taken by
//! [`task`].

pub(crate) mod task;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hubbub_domain::cluster::{Nodes, View, Word};
use hubbub_domain::conversation::Act;
use hubbub_domain::conversations::Stored;
use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, NodeId, Timestamp};
use hubbub_storage::bus::{ClusterBus, Topic};
use tokio::sync::oneshot;

use crate::metrics;

/// How long an answer is waited for. A node that is paused costs this once: after it, it is suspected.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a forward may be taken up after it was said, in milliseconds: well before its sender gives up.
pub(crate) const FORWARD_LIFE_MS: u64 = 1_500;
/// Forwards that wait for an answer. Full: acts are decided here (BOUNDED).
const MAX_PENDING: usize = 16_384;

/// How each act of a forward ended.
pub(crate) type Results = Vec<Result<Stored, ErrorBody>>;

/// This node's part in the cluster.
pub(crate) struct Cluster {
    bus: Arc<dyn ClusterBus>,
    nodes: Mutex<Nodes>,
    pending: Mutex<HashMap<u64, oneshot::Sender<Results>>>,
    number: AtomicU64,
    began: Instant,
}

impl Cluster {
    pub(crate) fn new(bus: Arc<dyn ClusterBus>) -> Self {
        // It takes conversations home once it can have heard of all who may ask it something.
        let mut nodes = Nodes::new(bus.node(), false);
        nodes.set_up(bus.is_up(), 0);
        Self {
            nodes: Mutex::new(nodes),
            bus,
            pending: Mutex::default(),
            number: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    /// The cluster as it is now; `None` where there are no other nodes, ever.
    pub(crate) fn view(&self) -> Option<View> {
        (!self.bus.is_alone()).then(|| self.nodes().view(self.now()))
    }

    pub(crate) fn bus(&self) -> &Arc<dyn ClusterBus> {
        &self.bus
    }

    /// Says something to other nodes.
    pub(crate) fn say(&self, topic: Topic, word: &Word) {
        if self.bus.is_alone() {
            return;
        }
        if let Some(bytes) = word.to_bytes() {
            self.bus.publish(topic, bytes.into());
        }
    }

    /// Hears of what is said about this conversation. When it returns, either that is so, or the bus is down and says so.
    pub(crate) async fn watch(&self, conversation: ConversationId) {
        // Down: the topic is watched once it is up again, and then heads are compared.
        let _down = self.bus.watch(Topic::Conversation(conversation)).await;
    }

    /// Asks the node that is home to a conversation to do these acts. `None`: no answer, so that whether it did or will do
    /// them is not known.
    pub(crate) async fn forward(
        &self,
        home: NodeId,
        conversation_id: ConversationId,
        acts: Vec<Act>,
    ) -> Option<Results> {
        if self.nodes().suspects(home, self.now()) {
            return Some(declined(&acts, "its home does not answer: decide it here"));
        }
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        {
            let mut pending = lock(&self.pending);
            if pending.len() >= MAX_PENDING {
                return Some(declined(&acts, "too much waits for other servers: decide it here"));
            }
            pending.insert(number, answer);
        }
        metrics::forwarded(acts.len());
        self.say(Topic::Node(home), &Word::Forward { number, clock: self.now(), conversation_id, acts });
        let results = tokio::time::timeout(PATIENCE, answered).await;
        lock(&self.pending).remove(&number);
        if let Ok(Ok(results)) = results {
            return Some(results);
        }
        metrics::unanswered();
        tracing::info!(node.id = %home, conversation.id = %conversation_id, "a node left acts unanswered");
        self.nodes().suspect(home, self.now());
        None
    }

    /// A node has answered.
    fn answered(&self, number: u64, results: Results) {
        if let Some(waiting) = lock(&self.pending).remove(&number) {
            // Whoever waited may have gone meanwhile.
            let _gone = waiting.send(results);
        }
    }

    /// Takes conversations home from now on, unless it has left already.
    pub(crate) fn arrive(&self) {
        self.nodes().take_homes();
    }

    /// Takes no more conversations home and says so: the others do not send acts here from now on (DRAINED).
    pub(crate) fn leave(&self) {
        self.nodes().give_up_homes();
        self.hello();
    }

    /// Whether another node takes conversations home, as far as this one knows.
    pub(crate) fn has_other_homes(&self) -> bool {
        let me = usize::from(self.nodes().takes_homes());
        self.view().is_some_and(|view| view.homes() > me)
    }

    /// Says that this node is here.
    pub(crate) fn hello(&self) {
        let homes = self.nodes().takes_homes();
        self.say(Topic::Cluster, &Word::Hello { homes, clock: self.now() });
    }

    /// Until when acts may be decided here that `from` forwarded; `None`: it is too late already.
    pub(crate) fn takes_until(&self, from: NodeId, clock: u64, now: Timestamp) -> Option<Timestamp> {
        let age = self.nodes().age(from, clock, self.now())?;
        let left = FORWARD_LIFE_MS.checked_sub(age)?;
        Some(now.plus_ms(i64::try_from(left).unwrap_or(0)))
    }

    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        lock(&self.nodes)
    }

    /// Milliseconds since this node began.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What was not done, so that whoever asked decides it.
fn declined(acts: &[Act], why: &str) -> Results {
    acts.iter().map(|_| Err(ErrorBody::new(ErrorCode::Draining, why))).collect()
}

/// A panic while it was held leaves a map and no broken promise: go on with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
