//! Where decided records become durable.
//!
//! [`LogWriter`] is the seam: it takes the rows of one group and makes them durable together, and what was put in is seen
//! by whatever is asked next. The journal does it with one sync a group; the tests have one that meets damage.

use hubbub_protocol::{ClientMessageId, ConversationId, Record, Sequence, UserId};

use crate::error::StoreResult;

/// A decided record, encoded for its place.
pub(in crate::sqlite) struct Row<'a> {
    pub(in crate::sqlite) conversation_id: ConversationId,
    pub(in crate::sqlite) sequence: Sequence,
    /// Whose act it is, if its author gave it an id (ONCE).
    pub(in crate::sqlite) act: Option<(UserId, ClientMessageId)>,
    pub(in crate::sqlite) bytes: &'a [u8],
}

/// Makes groups of decided rows durable. Owned by the log's writer thread.
///
/// `Damaged` concerns only what was asked; any other error stops the store.
pub(in crate::sqlite) trait LogWriter: Send + 'static {
    /// Begins a group.
    fn begin(&mut self) -> StoreResult<()>;
    /// The highest sequence.
    fn head(&mut self, id: ConversationId) -> StoreResult<Sequence>;
    /// Where an act is stored.
    fn act(&mut self, id: ConversationId, sender: UserId, client_id: ClientMessageId) -> StoreResult<Option<Sequence>>;
    /// The record at a place.
    fn record(&mut self, id: ConversationId, at: Sequence) -> StoreResult<Option<Record>>;
    /// Puts a row into the group.
    fn insert(&mut self, row: &Row<'_>) -> StoreResult<()>;
    /// Puts new bytes for a stored record into the group.
    fn replace(&mut self, row: &Row<'_>) -> StoreResult<()>;
    /// Ends the group: all of it is synced when this returns (DURABLE).
    fn commit(&mut self) -> StoreResult<()>;
    /// Ends the group as if it had not begun.
    fn roll_back(&mut self) -> StoreResult<()>;
    /// A group has been answered.
    fn after_group(&mut self) -> StoreResult<()>;
    /// Nothing came for a while, or nothing will come any more.
    fn idle(&mut self) -> StoreResult<()>;
    /// The store has stopped: the disk is left as it is.
    fn abandon(&mut self);
}
