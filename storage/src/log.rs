//! The contract of a conversation's log: append at an expected head, read, look up.
//!
//! Callers decide against a state they folded up to some head, and say which; if anything came in between that they did
//! not see, the store answers [`Appended::Stale`] and they decide anew. So no message slips in after its sender's
//! removal, on one node or on ten.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hubbub_protocol::record::Author;
use hubbub_protocol::{ClientMessageId, ConversationId, Payload, Record, RecordBody, Sequence, Timestamp, UserId};

use crate::error::{Reason, StoreError, StoreResult};

/// Records in one append, at most: what a group of senders produces while one commit runs.
pub const MAX_APPEND_RECORDS: usize = 256;

/// Records in one read, at most.
pub const MAX_READ_RECORDS: usize = 1_000;

/// So few records are compared one by one sooner than through a table.
const FEW_RECORDS: usize = 16;

/// A record that has no sequence yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Who did it.
    pub author: Author,
    /// When it was decided.
    pub created_at: Timestamp,
    /// The author's own id of the act; stored at most once per conversation and author (ONCE).
    pub client_message_id: Option<ClientMessageId>,
    /// What was done.
    pub body: RecordBody,
}

/// As it was handed in.
impl From<Record> for NewRecord {
    fn from(record: Record) -> Self {
        let Record { author, created_at, client_message_id, body, .. } = record;
        Self { author, created_at, client_message_id, body }
    }
}

/// Records for one conversation, all stored or none, in this order, right after `expected_head`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The conversation. It need not exist: its first append expects [`Sequence::ZERO`].
    pub conversation_id: ConversationId,
    /// The head that these records were decided against.
    pub expected_head: Sequence,
    /// At least one, at most [`MAX_APPEND_RECORDS`]. No two carry the same author and client id.
    pub records: Vec<NewRecord>,
}

impl Append {
    /// Whether it is one that a backend takes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] when it is empty, too large, or names the same act twice.
    pub fn check(&self) -> StoreResult<()> {
        let invalid = |why: &str| Err(StoreError::Invalid(Reason::new(why)));
        match self.records.len() {
            0 => return invalid("an append without records"),
            1 => return Ok(()),
            2..=MAX_APPEND_RECORDS => {}
            _ => return invalid("an append of too many records"),
        }
        if self.names_an_act_twice() { invalid("an append that names the same act twice") } else { Ok(()) }
    }

    fn names_an_act_twice(&self) -> bool {
        let acts =
            || self.records.iter().filter_map(|record| Some((record.client_message_id?, record.author.sender_id)));
        if self.records.len() <= FEW_RECORDS {
            return acts().enumerate().any(|(place, act)| acts().take(place).any(|before| before == act));
        }
        let mut seen = HashSet::with_capacity(self.records.len());
        !acts().all(|act| seen.insert(act))
    }
}

/// Takes the payload out of a message, as a recall does. Whether there was a message.
pub fn erase_payload(body: &mut RecordBody) -> bool {
    let RecordBody::Message(message) = body else { return false };
    Arc::make_mut(message).payload = Payload::default();
    true
}

/// How an append ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// All are on disk (DURABLE), with sequences from `first` on without a hole (GAPLESS).
    Committed {
        /// The first record's sequence.
        first: Sequence,
        /// The last record's sequence, the new head.
        last: Sequence,
    },
    /// Nothing was stored: the head is another than expected. Fold what is above yours and decide anew.
    Stale {
        /// The head.
        head: Sequence,
    },
    /// Nothing was stored: some client ids are stored already. Answer those with these sequences, append the rest again.
    Duplicate {
        /// For each record known already: its place in `records`, and the sequence it got the first time.
        known: Vec<(usize, Sequence)>,
    },
}

/// Which way to read from a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Right after this sequence, upwards.
    After(Sequence),
    /// Right before this sequence, downwards. The answer is in ascending order all the same.
    Before(Sequence),
}

/// The log of every conversation.
///
/// Promises: DURABLE, ONCE, GAPLESS and HONEST, each where its method says. Calls return futures that may be polled on
/// any thread; a future that is dropped does not undo what was handed over. Appends to one conversation that are handed
/// over in order are tried in that order.
pub trait MessageLog: Send + Sync + 'static {
    /// Stores records right after an expected head.
    ///
    /// A duplicate is told before a stale head, so that a retry learns its sequence whatever came since. A
    /// [`RecordBody::Recalled`] erases its target's payload from the log in the same commit: whoever reads the target
    /// after it sees an empty payload.
    ///
    /// # Errors
    ///
    /// `Overloaded`, `Unavailable`, `Invalid` and `Damaged`: never stored. `Unknown` and `Stopped`: perhaps.
    fn append(&self, append: Append) -> BoxFuture<'static, StoreResult<Appended>>;

    /// Reads up to `limit` (more than [`MAX_READ_RECORDS`] reads as that many) records of a conversation, in ascending
    /// order. What was acknowledged before the call is in the answer. A conversation without records is empty, not an
    /// error.
    ///
    /// # Errors
    ///
    /// `Damaged` when a record does not pass its checks: never a shorter or other answer. `Overloaded`, `Unavailable`,
    /// `Stopped`.
    fn read(
        &self,
        conversation_id: ConversationId,
        range: Range,
        limit: usize,
    ) -> BoxFuture<'static, StoreResult<Vec<Record>>>;

    /// The sequence of the last record; [`Sequence::ZERO`] where there is none.
    ///
    /// # Errors
    ///
    /// As [`MessageLog::read`].
    fn head(&self, conversation_id: ConversationId) -> BoxFuture<'static, StoreResult<Sequence>>;

    /// The sequence under which this author's act is stored.
    ///
    /// # Errors
    ///
    /// As [`MessageLog::read`].
    fn lookup(
        &self,
        conversation_id: ConversationId,
        sender_id: UserId,
        client_message_id: ClientMessageId,
    ) -> BoxFuture<'static, StoreResult<Option<Sequence>>>;
}
