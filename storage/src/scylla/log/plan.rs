//! An append made ready: its records' bytes, its acts and what it recalls. Knows its sequences, as it names its head.
//!
//! A message's payload has a column of its own, so that a recall can erase it and leave the record. The record's bytes
//! are those of every engine ([`crate::stored::record`]), with the payload empty; the payload ends in a checksum over its
//! place and itself.

use std::mem;
use std::sync::Arc;

use hubbub_protocol::{ConversationId, Payload, Record, RecordBody, Sequence};
use uuid::Uuid;

use super::partition::{ActKey, Erasure, NewRow, StoredRow, act_key};
use crate::error::{Reason, StoreError, StoreResult};
use crate::log::{Append, NewRecord};
use crate::stored::record;

const CHECKSUM_BYTES: usize = 4;

/// An append made ready.
pub(super) struct Plan {
    pub(super) id: ConversationId,
    pub(super) expected: Sequence,
    pub(super) last: Sequence,
    pub(super) append: Uuid,
    /// Place among the records, key, sequence.
    pub(super) acts: Vec<(usize, ActKey, Sequence)>,
    pub(super) rows: Arc<Vec<NewRow>>,
    /// Earlier messages that it takes back, if there are such.
    pub(super) recalls: Vec<Erasure>,
    /// Messages of its own that it takes back.
    pub(super) own_recalls: Vec<Erasure>,
}

/// What is gathered record by record.
#[derive(Default)]
struct Gathered {
    rows: Vec<NewRow>,
    recalls: Vec<Erasure>,
    own_recalls: Vec<Erasure>,
}

impl Plan {
    pub(super) fn of(append: Append) -> StoreResult<Self> {
        append.check()?;
        let Append { conversation_id: id, expected_head: expected, records } = append;
        let mut acts = Vec::with_capacity(records.len());
        let mut gathered = Gathered::default();
        let mut last = expected;
        for (place, record) in records.into_iter().enumerate() {
            last = last.next();
            if let Some(client_id) = record.client_message_id {
                acts.push((place, act_key(record.author.sender_id, client_id), last));
            }
            gathered.add(id, expected, last, record)?;
        }
        let Gathered { rows, recalls, own_recalls } = gathered;
        Ok(Self { id, expected, last, append: Uuid::new_v4(), acts, rows: Arc::new(rows), recalls, own_recalls })
    }

    pub(super) fn keys(&self) -> Vec<ActKey> {
        self.acts.iter().map(|(_, key, _)| *key).collect()
    }

    /// The acts of these keys by their place among the records, as `Duplicate` tells them.
    pub(super) fn places(&self, known: &[(ActKey, Sequence)]) -> Vec<(usize, Sequence)> {
        let found = |(place, key, _): &(usize, ActKey, Sequence)| {
            known.iter().find(|(known, _)| known == key).map(|(_, at)| (*place, *at))
        };
        self.acts.iter().filter_map(found).collect()
    }
}

impl Gathered {
    fn add(&mut self, id: ConversationId, expected: Sequence, at: Sequence, mut new: NewRecord) -> StoreResult<()> {
        let payload = match &mut new.body {
            RecordBody::Message(message) => Some(seal(id, at, &mem::take(&mut Arc::make_mut(message).payload))),
            RecordBody::Recalled(recalled) => {
                self.recall(expected, Erasure { target: recalled.target, recall: at });
                None
            }
            _ => None,
        };
        self.rows.push(NewRow { sequence: at, record: record::encode(id, at, &new)?, payload });
        Ok(())
    }

    /// There is no record zero, and none from the recall on that it could take back.
    fn recall(&mut self, expected: Sequence, erasure: Erasure) {
        if erasure.target == Sequence::ZERO || erasure.target >= erasure.recall {
            return;
        }
        if erasure.target <= expected {
            return self.recalls.push(erasure);
        }
        let own = self.rows.iter_mut().find(|row| row.sequence == erasure.target);
        if own.is_some_and(|row| row.payload.take().is_some()) {
            self.own_recalls.push(erasure);
        }
    }
}

/// The record of a stored row, with its payload unless that was erased. A message that has neither payload nor erasure
/// is damaged, or has not spread yet.
pub(super) fn open(id: ConversationId, row: &StoredRow) -> StoreResult<Record> {
    let mut found = record::decode(id, row.sequence, &row.record)?;
    if let RecordBody::Message(message) = &mut found.body {
        Arc::make_mut(message).payload = match (&row.payload, row.erased) {
            (_, Some(_)) => Payload::default(),
            (Some(payload), None) => unseal(id, row.sequence, payload)?,
            (None, None) => return Err(damaged(id, row.sequence, "its payload is missing")),
        };
    }
    Ok(found)
}

fn seal(id: ConversationId, sequence: Sequence, payload: &Payload) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + CHECKSUM_BYTES);
    bytes.extend_from_slice(payload.as_bytes());
    let sum = checksum(id, sequence, &bytes);
    bytes.extend_from_slice(&sum.to_be_bytes());
    bytes
}

fn unseal(id: ConversationId, sequence: Sequence, bytes: &[u8]) -> StoreResult<Payload> {
    let Some((payload, sum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(damaged(id, sequence, "its payload is cut short"));
    };
    if u32::from_be_bytes(*sum) != checksum(id, sequence, payload) {
        return Err(damaged(id, sequence, "the checksum of its payload does not match"));
    }
    Ok(Payload::from(payload.to_vec()))
}

fn checksum(id: ConversationId, sequence: Sequence, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(id.as_bytes());
    hasher.update(&sequence.get().to_be_bytes());
    hasher.update(payload);
    hasher.finalize()
}

pub(super) fn damaged(id: ConversationId, sequence: Sequence, what: &str) -> StoreError {
    StoreError::Damaged(Reason::new(format_args!("conversation {id}, sequence {sequence}: {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::NewRecord;

    fn row(new: NewRow) -> StoredRow {
        let NewRow { sequence, record, payload } = new;
        StoredRow { sequence, record, payload, erased: None, recalls: Vec::new(), head: None }
    }

    fn message() -> NewRecord {
        use hubbub_protocol::member::SenderType;
        use hubbub_protocol::record::{Author, Message};
        use hubbub_protocol::{Timestamp, UserId};
        NewRecord {
            author: Author { sender_id: UserId::from_bytes([7; 16]), sender_type: SenderType::Human, device_id: None },
            created_at: Timestamp::from_ms(5),
            client_message_id: None,
            body: RecordBody::from(Message {
                content_type: "text".to_owned(),
                payload: vec![1, 2, 3].into(),
                reply_to: None,
                epoch: None,
            }),
        }
    }

    #[test]
    fn a_row_opens_to_what_was_stored_and_every_flipped_bit_is_damage() {
        let id = ConversationId::from_bytes([1; 16]);
        let append = Append { conversation_id: id, expected_head: Sequence::new(4), records: vec![message()] };
        let plan = Plan::of(append).unwrap();
        let stored = row(plan.rows[0].clone());
        let opened = open(id, &stored).unwrap();
        assert_eq!((opened.sequence, &opened.body), (Sequence::new(5), &message().body));

        let payload = stored.payload.clone().unwrap();
        for bit in 0..payload.len() * 8 {
            let mut flipped = payload.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = open(id, &StoredRow { payload: Some(flipped), ..stored.clone() });
            assert!(matches!(read, Err(StoreError::Damaged(_))), "bit {bit} was flipped and served");
        }
        let lost = open(id, &StoredRow { payload: None, ..stored.clone() });
        assert!(matches!(lost, Err(StoreError::Damaged(_))), "a lost payload is no recalled one");
        let erased = StoredRow { payload: None, erased: Some(Sequence::new(6)), ..stored };
        let RecordBody::Message(message) = open(id, &erased).unwrap().body else { panic!("another kind") };
        assert!(message.payload.is_empty());
    }
}
