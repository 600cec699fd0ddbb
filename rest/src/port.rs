//! What REST asks of a hub, as a trait that this crate owns and `server` implements over the real one.
//!
//! A send by REST is the same [`Act`] as a send by socket, so both are decided, stored and told in one place.
//! [`DirectPort`] is the port of a process without a hub: it decides and appends itself, by the same functions.

use futures_util::future::BoxFuture;
use hubbub_domain::conversation::{Act, not_found};
use hubbub_domain::conversations::{Conversations, Stored};
use hubbub_domain::refusal::never_stored;
use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, Sequence, SessionId, UserId};

/// What a hub does for REST.
pub trait HubPort: Send + Sync + 'static {
    /// Does an act in a conversation; answered once what follows from it is on disk (DURABLE). Told to live sockets.
    fn submit(&self, conversation_id: ConversationId, act: Act) -> BoxFuture<'static, Result<Stored, ErrorBody>>;

    /// Moves a member's read mark forward and tells live sockets; answers where the mark stands now.
    fn mark_read(
        &self,
        conversation_id: ConversationId,
        user_id: UserId,
        seq: Sequence,
    ) -> BoxFuture<'static, Result<Sequence, ErrorBody>>;

    /// Closes the sockets of a session that was ended, within a second (MEMBERS-ONLY).
    fn end_session(&self, session_id: SessionId);

    /// Whether the process is stopping (DRAINED).
    fn draining(&self) -> bool;

    /// How many sockets are open.
    fn connections(&self) -> u64;
}

/// The port of a process without a hub: no sockets to tell, the store alone. Other nodes learn of its appends from the
/// log.
#[derive(Clone)]
pub struct DirectPort {
    conversations: Conversations,
}

impl DirectPort {
    /// A port over these conversations.
    #[must_use]
    pub const fn new(conversations: Conversations) -> Self {
        Self { conversations }
    }
}

impl HubPort for DirectPort {
    fn submit(&self, conversation_id: ConversationId, act: Act) -> BoxFuture<'static, Result<Stored, ErrorBody>> {
        let conversations = self.conversations.clone();
        Box::pin(async move { conversations.submit(conversation_id, act).await })
    }

    fn mark_read(
        &self,
        conversation_id: ConversationId,
        user_id: UserId,
        seq: Sequence,
    ) -> BoxFuture<'static, Result<Sequence, ErrorBody>> {
        let conversations = self.conversations.clone();
        Box::pin(async move {
            let state = conversations.load(conversation_id).await.map_err(|error| never_stored(&error))?;
            if !state.is_member(user_id) {
                return Err(not_found());
            }
            if seq > state.head() {
                return Err(ErrorBody::new(ErrorCode::ValidationFailed, "`seq` is above the newest record")
                    .with("field", "seq")
                    .with("max", state.head().get()));
            }
            Ok(conversations.mark_read(conversation_id, user_id, seq).await?.read_seq)
        })
    }

    fn end_session(&self, _session_id: SessionId) {}

    fn draining(&self) -> bool {
        false
    }

    fn connections(&self) -> u64 {
        0
    }
}
