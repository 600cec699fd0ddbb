//! Pages of a conversation's log, as one of its members may read it.

use hubbub_protocol::limits::{DEFAULT_PAGE, MAX_PAGE};
use hubbub_protocol::{ConversationId, ErrorBody, Record, Sequence, UserId};
use hubbub_storage::log::Range;

use super::Conversations;
use crate::fields::invalid;
use crate::refusal::never_stored;

/// Which records to read: those before a sequence, those after one, or the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistoryQuery {
    /// The last ones before this sequence.
    pub before: Option<Sequence>,
    /// The first ones after this sequence.
    pub after: Option<Sequence>,
    /// At most so many; [`DEFAULT_PAGE`] if not said, and never more than [`MAX_PAGE`].
    pub limit: Option<usize>,
}

/// A page of a conversation's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Ascending, without holes. Fewer than asked for only where the reader's part of the log ends.
    pub records: Vec<Record>,
    /// The head at that time.
    pub head: Sequence,
}

impl Conversations {
    /// A page of the log. Members read from the record by which they joined, up to the head (MEMBERS-ONLY).
    ///
    /// # Errors
    ///
    /// `not_found` for who is no member; `validation_failed` for a page that is both before and after something.
    pub async fn history(&self, reader: UserId, id: ConversationId, query: HistoryQuery) -> Result<History, ErrorBody> {
        let (state, membership) = self.load_for(reader, id).await?;
        let (first, head) = (membership.joined, state.head());
        let range = match (query.before, query.after) {
            (Some(_), Some(_)) => return Err(both_bounds()),
            (None, Some(after)) => Range::After(after.max(first.previous())),
            (Some(before), None) => Range::Before(before.min(head.next())),
            (None, None) => Range::Before(head.next()),
        };
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let mut records = self.store.log.read(id, range, limit).await.map_err(|error| never_stored(&error))?;
        // What came after the state was loaded may have removed the reader: it is for the next page.
        records.retain(|record| record.sequence >= first && record.sequence <= head);
        Ok(History { records, head })
    }
}

fn both_bounds() -> ErrorBody {
    invalid("before_seq", "a page is before a sequence or after one: name `before_seq` or `after_seq`, not both")
}
