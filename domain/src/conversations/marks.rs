//! Read marks: kept for each member, and the highest wins.

use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, Sequence, UserId};
use hubbub_storage::families::marks::Mark;
use hubbub_storage::records::{Expect, Written};

use super::Conversations;
use crate::refusal::{never_stored, refusal};

/// Devices of one person that may move the same mark at the same moment.
const MAX_TRIES: usize = 16;

/// Where a read mark is after a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkOutcome {
    /// Read up to and including.
    pub read_seq: Sequence,
    /// Whether this move put it there; if not, it was there or further on already.
    pub moved: bool,
}

impl Conversations {
    /// Moves a member's mark forward. The caller has checked that they are a member, and that the sequence is not above
    /// the head.
    ///
    /// # Errors
    ///
    /// As the store's writes.
    pub async fn mark_read(&self, id: ConversationId, user: UserId, seq: Sequence) -> Result<MarkOutcome, ErrorBody> {
        for _ in 0..MAX_TRIES {
            let row = self.marks.get(&id, &user).await.map_err(|error| never_stored(&error))?;
            let expect = match row {
                Some(row) if row.value.read_seq >= seq => {
                    return Ok(MarkOutcome { read_seq: row.value.read_seq, moved: false });
                }
                Some(row) => Expect::Version(row.version),
                None => Expect::Absent,
            };
            let written = self.marks.put(&id, &user, &Mark { read_seq: seq }, expect).await;
            match written.map_err(|error| refusal(&error))? {
                Written::Done(_) => return Ok(MarkOutcome { read_seq: seq, moved: true }),
                Written::Conflict(_) => {}
            }
        }
        Err(ErrorBody::new(ErrorCode::Overloaded, "this mark is being moved by too many at once: try again"))
    }

    pub(super) async fn read_mark(&self, id: ConversationId, user: UserId) -> Result<Sequence, ErrorBody> {
        let row = self.marks.get(&id, &user).await.map_err(|error| never_stored(&error))?;
        Ok(row.map_or(Sequence::ZERO, |row| row.value.read_seq))
    }
}
