//! The acts and records of one append: what goes into it together, and who is to be answered.

use std::collections::VecDeque;

use hubbub_domain::conversation::{Act, Command, Records};
use hubbub_protocol::{ErrorBody, Sequence};
use hubbub_storage::log::{MAX_APPEND_RECORDS, NewRecord};

use super::conversation::{Asked, Target, Work};

/// Records of one act that joins nobody: handing a group on changes two ranks.
const MOST_RECORDS: usize = 2;
/// Payload bytes in one append: 16 of the largest messages. What is over waits for the next.
const MAX_APPEND_BYTES: usize = 1024 * 1024;

/// An append in flight.
pub(crate) struct Batch {
    pub(super) expected_head: Sequence,
    pub(super) acts: Vec<Decided>,
    pub(super) records: Vec<NewRecord>,
    payload_bytes: usize,
}

/// An act of it, with the records it brought.
pub(super) struct Decided {
    pub(super) asked: Asked,
    pub(super) first_record: usize,
    pub(super) records: usize,
    /// Why it is refused, if what goes before it in the batch is stored.
    pub(super) refusal: Option<ErrorBody>,
}

impl Batch {
    /// An empty one, to be decided against the state at this head, of what waits in this queue.
    pub(super) fn new(expected_head: Sequence, queue: &VecDeque<Work>) -> Self {
        let most = queue.len().min(MAX_APPEND_RECORDS);
        let (acts, records) = (Vec::with_capacity(most), Vec::with_capacity(most));
        Self { expected_head, acts, records, payload_bytes: 0 }
    }

    /// The next act of the queue, if its turn is in this batch.
    pub(super) fn next(&self, queue: &mut VecDeque<Work>) -> Option<Asked> {
        let Work::Act(asked) = queue.pop_front_if(|work| matches!(work, Work::Act(asked) if self.may_take(asked)))?
        else {
            return None;
        };
        Some(asked)
    }

    fn may_take(&self, asked: &Asked) -> bool {
        let is_unread = matches!(asked.target, Target::Unread) && asked.act.command.target().is_some();
        !is_unread && self.has_room_for(&asked.act)
    }

    /// Takes an act with the records it brings.
    pub(super) fn add(&mut self, asked: Asked, records: Records) {
        self.payload_bytes += payload_bytes(&asked.act);
        let (first_record, count) = (self.records.len(), records.len());
        self.records.extend(records);
        self.acts.push(Decided { asked, first_record, records: count, refusal: None });
    }

    /// Takes an act that is refused, which may rest on what this batch changes: told once that is stored (HONEST).
    pub(super) fn add_refused(&mut self, asked: Asked, refusal: ErrorBody) {
        let first_record = self.records.len();
        self.acts.push(Decided { asked, first_record, records: 0, refusal: Some(refusal) });
    }

    /// Whether this act may go into the same append: by number, by size, no client id twice, and who joins people goes
    /// alone, as their lists may have no room and the others must not be refused with it.
    fn has_room_for(&self, act: &Act) -> bool {
        if self.acts.is_empty() {
            return true;
        }
        let alone = joins_people(act) || self.acts.iter().any(|decided| joins_people(&decided.asked.act));
        let same_id = act.client_message_id.is_some()
            && self.acts.iter().any(|decided| {
                let other = &decided.asked.act;
                other.client_message_id == act.client_message_id && other.author.sender_id == act.author.sender_id
            });
        self.records.len() + MOST_RECORDS <= MAX_APPEND_RECORDS
            && self.payload_bytes + payload_bytes(act) <= MAX_APPEND_BYTES
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
