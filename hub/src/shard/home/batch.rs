//! The acts and records of one append: what goes into it together, and who is to be answered.

use hubbub_domain::conversation::{Act, Command};
use hubbub_protocol::{ErrorBody, Sequence};
use hubbub_storage::log::{MAX_APPEND_RECORDS, NewRecord};

use crate::message::{ReplyTo, Way};

/// Records of one act that joins nobody: handing a group on changes two ranks.
const MOST_RECORDS: usize = 2;
/// Payload bytes in one append: 16 of the largest messages. What is over waits for the next.
const MAX_APPEND_BYTES: usize = 1024 * 1024;
/// An append in flight.
pub(crate) struct Batch {
    pub(super) expected_head: Sequence,
    pub(super) acts: Vec<Decided>,
    pub(super) records: Vec<NewRecord>,
}

/// An act of it, with the records it brought.
pub(super) struct Decided {
    pub(super) act: Box<Act>,
    pub(super) reply: ReplyTo,
    pub(super) tries: u8,
    pub(super) way: Way,
    pub(super) unsure: bool,
    pub(super) first_record: usize,
    pub(super) records: usize,
    /// Why it is refused, if what goes before it in the batch is stored.
    pub(super) refusal: Option<ErrorBody>,
}

impl Batch {
    /// Whether this act may go into the same append: by number, by size, no client id twice, and who joins people goes
    /// alone, as their lists may have no room and the others must not be refused with it.
    pub(super) fn has_room_for(&self, act: &Act, bytes: usize) -> bool {
        if self.acts.is_empty() {
            return true;
        }
        let alone = joins_people(act) || self.acts.iter().any(|decided| joins_people(&decided.act));
        let same_id = act.client_message_id.is_some()
            && self.acts.iter().any(|decided| {
                decided.act.client_message_id == act.client_message_id
                    && decided.act.author.sender_id == act.author.sender_id
            });
        self.records.len() + MOST_RECORDS <= MAX_APPEND_RECORDS
            && bytes + payload_bytes(act) <= MAX_APPEND_BYTES
            && !same_id
            && !alone
    }
}

const fn joins_people(act: &Act) -> bool {
    matches!(act.command, Command::Open(_) | Command::AddMembers(_))
}

pub(super) fn payload_bytes(act: &Act) -> usize {
    if let Command::Send(send) = &act.command { send.payload.len() } else { 0 }
}
