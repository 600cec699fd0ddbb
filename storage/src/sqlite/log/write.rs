//! Where decided records become durable.
//!
//! [`LogWriter`] is the seam: it takes the rows of one group and makes them durable together. SQLite alone does it with
//! one transaction a group; something that syncs faster can stand in front of it behind the same trait, as long as what
//! was put in is seen by whatever is asked next.

use hubbub_protocol::{ClientMessageId, ConversationId, Record, Sequence, UserId};
use rusqlite::params;

use super::super::connection::WriteConnection;
use super::ask;
use crate::error::{Reason, StoreError, StoreResult};

/// A decided record, encoded for its place.
pub(super) struct Row<'a> {
    pub(super) conversation_id: ConversationId,
    pub(super) sequence: Sequence,
    /// Whose act it is, if its author gave it an id (ONCE).
    pub(super) act: Option<(UserId, ClientMessageId)>,
    pub(super) bytes: &'a [u8],
}

/// Makes groups of decided rows durable. Owned by the log's writer thread.
///
/// `Damaged` concerns only what was asked; any other error stops the store.
pub(super) trait LogWriter: Send + 'static {
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

/// SQLite, one transaction a group.
impl LogWriter for WriteConnection {
    fn begin(&mut self) -> StoreResult<()> {
        Self::begin(self)
    }

    fn head(&mut self, id: ConversationId) -> StoreResult<Sequence> {
        ask::head(self.get(), id)
    }

    fn act(&mut self, id: ConversationId, sender: UserId, client_id: ClientMessageId) -> StoreResult<Option<Sequence>> {
        ask::act(self.get(), id, sender, client_id)
    }

    fn record(&mut self, id: ConversationId, at: Sequence) -> StoreResult<Option<Record>> {
        ask::record(self.get(), id, at)
    }

    fn insert(&mut self, row: &Row<'_>) -> StoreResult<()> {
        let (id, number) = (row.conversation_id.as_bytes(), number(row.sequence)?);
        self.execute(
            "INSERT INTO log (conversation, sequence, record) VALUES (?1, ?2, ?3)",
            params![id, number, row.bytes],
        )?;
        let Some((sender, client_id)) = row.act else { return Ok(()) };
        self.execute(
            "INSERT INTO client_ids (client_id, conversation, sender, sequence) VALUES (?1, ?2, ?3, ?4)",
            params![client_id.as_bytes(), id, sender.as_bytes(), number],
        )
    }

    fn replace(&mut self, row: &Row<'_>) -> StoreResult<()> {
        self.execute(
            "UPDATE log SET record = ?3 WHERE conversation = ?1 AND sequence = ?2",
            params![row.conversation_id.as_bytes(), number(row.sequence)?, row.bytes],
        )
    }

    fn commit(&mut self) -> StoreResult<()> {
        Self::commit(self)
    }

    fn roll_back(&mut self) -> StoreResult<()> {
        Self::roll_back(self)
    }

    fn after_group(&mut self) -> StoreResult<()> {
        self.fold_if_large()
    }

    fn idle(&mut self) -> StoreResult<()> {
        self.fold_if_any()
    }

    fn abandon(&mut self) {
        Self::abandon(self);
    }
}

fn number(sequence: Sequence) -> StoreResult<i64> {
    i64::try_from(sequence.get()).map_err(|error| StoreError::Invalid(Reason::new(error)))
}
