//! REST's side of the cluster: the port of a process without a hub, which tells the others over the bus, and the counts
//! that all share.
//!
//! Nothing waits for the bus: what is told nobody is found in the log, a little later (REDIS-FREE TRUTH).

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubbub_domain::cluster::{Word, after_storing};
use hubbub_domain::conversation::Act;
use hubbub_domain::conversations::{Conversations, Stored};
use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, Sequence, SessionId, UserId};
use hubbub_rest::cluster::Cluster;
use hubbub_rest::port::{DirectPort, HubPort};
use hubbub_storage::bus::{ClusterBus, Topic};
use tokio_util::sync::CancellationToken;

/// The port of a process without a hub, among processes that have one.
#[derive(Clone)]
pub(crate) struct ClusterPort {
    direct: DirectPort,
    bus: Arc<dyn ClusterBus>,
    draining: CancellationToken,
}

impl ClusterPort {
    /// A port over these conversations, which tells what it does on this bus and takes nothing new once it drains.
    pub(crate) fn new(conversations: Conversations, bus: Arc<dyn ClusterBus>, draining: CancellationToken) -> Self {
        Self { direct: DirectPort::new(conversations), bus, draining }
    }
}

/// Says a word, if there is anybody to hear it.
pub(crate) fn say(bus: &dyn ClusterBus, topic: Topic, word: &Word) {
    if bus.is_alone() {
        return;
    }
    if let Some(bytes) = word.to_bytes() {
        bus.publish(topic, bytes.into());
    }
}

impl HubPort for ClusterPort {
    fn submit(&self, conversation_id: ConversationId, act: Act) -> BoxFuture<'static, Result<Stored, ErrorBody>> {
        if self.draining.is_cancelled() {
            let refusal = ErrorBody::new(ErrorCode::Draining, "this server is stopping: try again in a few seconds");
            return std::future::ready(Err(refusal)).boxed();
        }
        let (stored, bus) = (self.direct.submit(conversation_id, act.clone()), Arc::clone(&self.bus));
        async move {
            let stored = stored.await?;
            for (topic, word) in after_storing(conversation_id, &act, &stored) {
                say(bus.as_ref(), topic, &word);
            }
            Ok(stored)
        }
        .boxed()
    }

    fn mark_read(
        &self,
        conversation_id: ConversationId,
        user_id: UserId,
        seq: Sequence,
    ) -> BoxFuture<'static, Result<Sequence, ErrorBody>> {
        let (marked, bus) = (self.direct.mark_read(conversation_id, user_id, seq), Arc::clone(&self.bus));
        async move {
            let seq = marked.await?;
            say(bus.as_ref(), Topic::Conversation(conversation_id), &Word::Marked { user_id, seq });
            Ok(seq)
        }
        .boxed()
    }

    fn end_session(&self, session_id: SessionId) {
        say(self.bus.as_ref(), Topic::Cluster, &Word::SessionEnded { session_id });
    }

    fn draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    fn connections(&self) -> u64 {
        0
    }
}

/// The other processes, as REST sees them over the bus.
pub(crate) struct OverBus(pub(crate) Arc<dyn ClusterBus>);

impl Cluster for OverBus {
    fn is_up(&self) -> bool {
        self.0.is_up()
    }

    fn count(&self, key: &[u8], window: Duration) -> BoxFuture<'static, Option<u64>> {
        self.0.count(key, window)
    }
}
