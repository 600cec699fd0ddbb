//! What REST asks of a hub, answered by the hub of this process: so a send by HTTP is the same act as one by socket.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubbub_domain::conversation::Act;
use hubbub_domain::conversations::Stored;
use hubbub_hub::Hub;
use hubbub_protocol::{ConversationId, ErrorBody, Sequence, SessionId, UserId};
use hubbub_rest::port::HubPort;

/// The hub of this process, as REST sees it.
pub(crate) struct LocalHub(pub(crate) Hub);

impl HubPort for LocalHub {
    fn submit(&self, conversation_id: ConversationId, act: Act) -> BoxFuture<'static, Result<Stored, ErrorBody>> {
        self.0.submit(conversation_id, act).boxed()
    }

    fn mark_read(
        &self,
        conversation_id: ConversationId,
        user_id: UserId,
        seq: Sequence,
    ) -> BoxFuture<'static, Result<Sequence, ErrorBody>> {
        self.0.mark_read(conversation_id, user_id, seq).boxed()
    }

    fn end_session(&self, session_id: SessionId) {
        self.0.end_session(session_id);
    }

    fn draining(&self) -> bool {
        self.0.is_draining()
    }

    fn connections(&self) -> u64 {
        self.0.connections()
    }
}
