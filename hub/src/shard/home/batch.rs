//! The acts and records of one append: what goes into it together, and who is to be answered.

use hubbub_domain::conversation::{Act, Command};
use hubbub_protocol::{Record, Sequence};
use hubbub_storage::log::{MAX_APPEND_RECORDS, NewRecord};

use crate::message::ReplyTo;

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
    pub(super) target: Option<Box<Record>>,
    pub(super) reply: ReplyTo,
    pub(super) tries: u8,
    pub(super) first_record: usize,
    pub(super) records: usize,
}

impl Batch {
    /// Whether this act may go into the same append: by number, by size, and no client id twice.
    pub(super) fn has_room_for(&self, act: &Act, bytes: usize) -> bool {
        if self.records.is_empty() {
            return true;
        }
        let most_records = if let Command::AddMembers(add) = &act.command { add.user_ids.len() } else { 2 };
        let same_id = act.client_message_id.is_some()
            && self.acts.iter().any(|decided| {
                decided.act.client_message_id == act.client_message_id
                    && decided.act.author.sender_id == act.author.sender_id
            });
        self.records.len() + most_records <= MAX_APPEND_RECORDS
            && bytes + payload_bytes(act) <= MAX_APPEND_BYTES
            && !same_id
    }
}

pub(super) fn payload_bytes(act: &Act) -> usize {
    if let Command::Send(send) = &act.command { send.payload.len() } else { 0 }
}
