//! skeleton
use std::sync::Arc;

use hubbub_protocol::member::{ConversationKind, Member, Role};
use hubbub_protocol::{ConversationId, ErrorBody, Record, Sequence, Timestamp, UserId};
use hubbub_storage::clock::Clock;
use hubbub_storage::error::StoreResult;
use hubbub_storage::log::NewRecord;
use hubbub_storage::store::Store;

use crate::conversation::{Act, ConversationState};

/// How an act ended that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The sequence of its first record.
    pub first: Sequence,
    /// The sequence of its last record.
    pub last: Sequence,
    /// When it was decided.
    pub created_at: Timestamp,
    /// Whether this very call stored nothing.
    pub duplicate: bool,
}

/// Which records to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistoryQuery {
    /// before
    pub before: Option<Sequence>,
    /// after
    pub after: Option<Sequence>,
    /// limit
    pub limit: Option<usize>,
}

/// A page of a conversation's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// records
    pub records: Vec<Record>,
    /// head
    pub head: Sequence,
}

/// A conversation as one of its members sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// id
    pub id: ConversationId,
    /// kind
    pub kind: ConversationKind,
    /// name
    pub name: String,
    /// description
    pub description: String,
    /// head
    pub head: Sequence,
    /// role
    pub role: Role,
    /// joined
    pub joined: Sequence,
    /// member count
    pub member_count: usize,
    /// read mark
    pub read_seq: Sequence,
    /// last record
    pub last: Option<Record>,
}

/// Where a read mark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkOutcome {
    /// read
    pub read_seq: Sequence,
    /// moved
    pub moved: bool,
}

/// Conversations over a store.
#[derive(Clone)]
pub struct Conversations {
    #[expect(dead_code, reason = "skeleton")]
    store: Store,
    #[expect(dead_code, reason = "skeleton")]
    clock: Arc<dyn Clock>,
}

#[expect(
    clippy::todo,
    clippy::unused_async,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "skeleton"
)]
impl Conversations {
    /// new
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
    /// load
    pub async fn load(&self, _id: ConversationId) -> StoreResult<ConversationState> {
        todo!()
    }
    /// save
    pub async fn save_snapshot(&self, _id: ConversationId, _state: &ConversationState) -> StoreResult<()> {
        todo!()
    }
    /// target
    pub async fn target(&self, _id: ConversationId, _sequence: Sequence) -> StoreResult<Option<Record>> {
        todo!()
    }
    /// before
    pub async fn before_append(&self, _id: ConversationId, _records: &[NewRecord]) -> Result<(), ErrorBody> {
        todo!()
    }
    /// after
    pub async fn after_commit(&self, _id: ConversationId, _records: &[NewRecord]) -> StoreResult<()> {
        todo!()
    }
    /// submit
    pub async fn submit(&self, _id: ConversationId, _act: Act) -> Result<Stored, ErrorBody> {
        todo!()
    }
    /// The answer for an act that the store knows already (Duplicate): reads the first record, tells a retry from
    /// another act under the same client id (`idempotency_mismatch`).
    pub async fn repeated(&self, _id: ConversationId, _act: &Act, _first: Sequence) -> Result<Stored, ErrorBody> {
        todo!()
    }
    /// Before a refusal (or "already so") of an act with a client id is answered: was it stored earlier? (HONEST, ONCE)
    pub async fn settled(&self, _id: ConversationId, _act: &Act) -> Result<Option<Stored>, ErrorBody> {
        todo!()
    }
    /// candidates
    pub async fn candidates(&self, _user: UserId) -> StoreResult<Vec<ConversationId>> {
        todo!()
    }
    /// history
    pub async fn history(
        &self,
        _reader: UserId,
        _id: ConversationId,
        _query: HistoryQuery,
    ) -> Result<History, ErrorBody> {
        todo!()
    }
    /// summary
    pub async fn summary(&self, _reader: UserId, _id: ConversationId) -> Result<Summary, ErrorBody> {
        todo!()
    }
    /// list
    pub async fn list(
        &self,
        _reader: UserId,
        _after: Option<ConversationId>,
        _limit: usize,
    ) -> Result<(Vec<Summary>, Option<ConversationId>), ErrorBody> {
        todo!()
    }
    /// members
    pub async fn members(&self, _reader: UserId, _id: ConversationId) -> Result<Vec<Member>, ErrorBody> {
        todo!()
    }
    /// mark
    pub async fn mark_read(
        &self,
        _id: ConversationId,
        _user: UserId,
        _seq: Sequence,
    ) -> Result<MarkOutcome, ErrorBody> {
        todo!()
    }
}
