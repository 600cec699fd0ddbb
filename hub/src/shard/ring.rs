//! The recent records of those of a home shard's conversations that somebody follows: the cheap case of a resume.
//!
//! Bounded in bytes over the whole shard, oldest out first (BOUNDED): an idle conversation holds nothing for long.

use std::collections::VecDeque;
use std::sync::Arc;

use hubbub_protocol::{ConversationId, Sequence};

use crate::message::Delivery;
use crate::table::Table;

/// Bytes that a shard's ring holds: 6,800 messages of 200 B, 2,900 of 1 KiB. Full: the oldest go, and a resume that needs
/// them reads the log.
const MAX_BYTES: usize = 20 * 1024 * 1024;
/// Bytes that one resume gets from the ring at once: a quarter of what may wait for a socket. One that lacks more reads
/// the log, as fast as it takes it.
const MAX_AT_ONCE: usize = 256 * 1024;

/// Bytes of memory that an entry takes: the record with its payload, its event in both formats, in buffers that have grown
/// by doubling, and its two places here.
const fn held(payload_bytes: usize) -> usize {
    2_048 + 5 * payload_bytes
}

/// Bytes that it brings to a socket, and some.
const fn sent(payload_bytes: usize) -> usize {
    512 + 3 * payload_bytes
}

/// The ring.
#[derive(Default)]
pub(crate) struct Ring {
    /// Each with the bytes of its payload.
    recent: Table<ConversationId, VecDeque<(Arc<Delivery>, usize)>>,
    /// What is here and what was passed over since, oldest first.
    order: VecDeque<(ConversationId, Sequence, usize)>,
    bytes: usize,
}

impl Ring {
    /// Adds the next record of its conversation.
    pub(crate) fn push(&mut self, delivery: Arc<Delivery>, payload_bytes: usize) {
        let (conversation, sequence) = (delivery.conversation(), delivery.sequence());
        self.recent.entry(conversation).or_default().push_back((delivery, payload_bytes));
        self.order.push_back((conversation, sequence, payload_bytes));
        self.bytes += held(payload_bytes);
        while self.bytes > MAX_BYTES {
            let Some((oldest, sequence, payload_bytes)) = self.order.pop_front() else { break };
            self.bytes -= held(payload_bytes);
            self.pop(oldest, sequence);
        }
    }

    /// The next record of this conversation is not added. What is here of it is of no use any more, as those who lack it
    /// lack that record too. It is counted until its turn comes to go.
    pub(crate) fn pass_over(&mut self, conversation: ConversationId) {
        self.recent.remove(&conversation);
    }

    fn pop(&mut self, conversation: ConversationId, sequence: Sequence) {
        if let Some(recent) = self.recent.get_mut(&conversation) {
            // Unless it was passed over.
            recent.pop_front_if(|(delivery, _)| delivery.sequence() == sequence);
            if recent.is_empty() {
                self.recent.remove(&conversation);
            }
        }
    }

    /// All records above `after` up to `head`, if it still has every one of them and they are not too much at once.
    pub(crate) fn above(
        &self,
        conversation: ConversationId,
        after: Sequence,
        head: Sequence,
    ) -> Option<Vec<Arc<Delivery>>> {
        if after >= head {
            return Some(Vec::new());
        }
        let recent = self.recent.get(&conversation)?;
        let from = recent.partition_point(|(delivery, _)| delivery.sequence() <= after);
        let wanted = || recent.range(from..);
        let whole = wanted().next().is_some_and(|(first, _)| first.sequence() == after.next())
            && wanted().next_back().is_some_and(|(last, _)| last.sequence() == head)
            && wanted().map(|(_, payload_bytes)| sent(*payload_bytes)).sum::<usize>() <= MAX_AT_ONCE;
        whole.then(|| wanted().map(|(delivery, _)| Arc::clone(delivery)).collect())
    }

    /// Forgets the records of all conversations but these, in one go.
    pub(crate) fn keep(&mut self, stays: impl Fn(&ConversationId) -> bool) {
        self.recent.retain(|conversation, _| stays(conversation));
        let mut freed = 0;
        self.order.retain(|(conversation, _, payload_bytes)| {
            let stays = stays(conversation);
            freed += if stays { 0 } else { held(*payload_bytes) };
            stays
        });
        self.bytes -= freed;
    }

    /// Erases a message's payload, as its recall did in the log: it must not come back from here.
    pub(crate) fn erase(&mut self, conversation: ConversationId, target: Sequence) {
        let Some(recent) = self.recent.get_mut(&conversation) else { return };
        // Sequences are dense, so the place follows from the first.
        let first = recent.front().map_or(Sequence::ZERO, |(delivery, _)| delivery.sequence());
        let place = target.get().checked_sub(first.get()).and_then(|place| usize::try_from(place).ok());
        if let Some((delivery, _)) = place.and_then(|place| recent.get_mut(place)) {
            *delivery = Arc::new(delivery.erased());
        }
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::codec::Format;
    use hubbub_protocol::limits::MAX_CONTENT_TYPE_BYTES;
    use hubbub_protocol::member::SenderType;
    use hubbub_protocol::record::{Author, Message};
    use hubbub_protocol::{ClientMessageId, DeviceId, Payload, Record, RecordBody, Timestamp, UserId};

    use super::*;
    use crate::frame::RecordFrame;

    fn message(conversation: ConversationId, sequence: u64, payload_bytes: usize) -> Arc<Delivery> {
        let record = Record {
            conversation_id: conversation,
            sequence: Sequence::new(sequence),
            author: Author {
                sender_id: UserId::generate(),
                sender_type: SenderType::Human,
                device_id: Some(DeviceId::generate()),
            },
            created_at: Timestamp::from_ms(1_700_000_000_000),
            client_message_id: Some(ClientMessageId::generate()),
            body: RecordBody::from(Message {
                content_type: "text".to_owned(),
                payload: Payload::from(vec![1; payload_bytes]),
                reply_to: None,
                epoch: None,
            }),
        };
        Arc::new(Delivery { frame: RecordFrame::of(record), leaves: Vec::new() })
    }

    fn delivery(conversation: ConversationId, sequence: u64) -> Arc<Delivery> {
        message(conversation, sequence, 0)
    }

    #[test]
    fn gives_all_or_nothing_above_a_cursor() {
        let mut ring = Ring::default();
        let conversation = ConversationId::generate();
        for sequence in 5..=8 {
            ring.push(delivery(conversation, sequence), 100);
        }
        let sequences = |after: u64, head: u64| {
            ring.above(conversation, Sequence::new(after), Sequence::new(head))
                .map(|found| found.iter().map(|delivery| delivery.sequence().get()).collect::<Vec<_>>())
        };
        assert_eq!(sequences(4, 8), Some(vec![5, 6, 7, 8]));
        assert_eq!(sequences(7, 8), Some(vec![8]));
        assert_eq!(sequences(8, 8), Some(vec![]));
        assert_eq!(sequences(3, 8), None, "RESUMABLE: a hole at the start is read from the log");
        assert_eq!(sequences(4, 9), None, "RESUMABLE: a hole at the end is read from the log");
    }

    #[test]
    fn a_recalled_payload_does_not_come_back_from_the_ring_and_its_neighbours_stay() {
        let mut ring = Ring::default();
        let conversation = ConversationId::generate();
        for sequence in 5..=7 {
            ring.push(message(conversation, sequence, 3), 3);
        }
        for target in [6, 4, 8] {
            ring.erase(conversation, Sequence::new(target));
        }
        let recent = ring.above(conversation, Sequence::new(4), Sequence::new(7)).unwrap();
        let payloads: Vec<_> =
            recent.iter().map(|delivery| (delivery.sequence().get(), delivery.record().body.payload_bytes())).collect();
        assert_eq!(payloads, [(5, 3), (6, 0), (7, 3)]);
    }

    #[test]
    fn bounded_an_entry_is_counted_as_what_it_takes() {
        for payload_bytes in (0..5_000).step_by(41).chain([16_000, 64 * 1024]) {
            let delivery = message(ConversationId::generate(), 1_000_000, payload_bytes);
            // A buffer that has doubled until it was enough, and what counts its owners.
            let [json, messagepack] = Format::ALL.map(|format| delivery.frame.bytes(format).len());
            let buffers = [json, messagepack].map(|length| length.next_power_of_two() + 32);
            let places = size_of::<(Arc<Delivery>, usize)>() + size_of::<(ConversationId, Sequence, usize)>();
            let counts = 4 * size_of::<usize>() + size_of::<Message>() + MAX_CONTENT_TYPE_BYTES;
            let taken = buffers[0] + buffers[1] + payload_bytes + counts + size_of::<Delivery>() + places;
            assert!(taken <= held(payload_bytes), "BOUNDED: {payload_bytes} bytes of payload take {taken}");
            assert!(json.max(messagepack) <= sent(payload_bytes), "BOUNDED: {payload_bytes} bytes of payload");
        }
    }

    #[test]
    fn resumable_what_was_passed_over_takes_no_room_from_what_comes_after_it() {
        let mut ring = Ring::default();
        let busy = ConversationId::generate();
        let push = |ring: &mut Ring, sequence| ring.push(delivery(busy, sequence), 64 * 1024);
        (1..=100).for_each(|sequence| push(&mut ring, sequence));
        ring.pass_over(busy);
        for sequence in 102..=500 {
            push(&mut ring, sequence);
            let found = ring.above(busy, Sequence::new(sequence - 1), Sequence::new(sequence));
            assert!(found.is_some_and(|found| found.len() == 1), "RESUMABLE: {sequence} is gone at once");
        }
        assert!(ring.recent[&busy].len() == ring.order.len() && ring.bytes <= MAX_BYTES, "BOUNDED");
    }

    #[test]
    fn bounded_in_bytes_over_all_conversations() {
        let mut ring = Ring::default();
        let first = ConversationId::generate();
        ring.push(delivery(first, 1), 1);
        let busy = ConversationId::generate();
        for sequence in 1..=200 {
            ring.push(delivery(busy, sequence), 64 * 1024);
        }
        assert!(ring.bytes <= MAX_BYTES, "BOUNDED");
        assert!(!ring.recent.contains_key(&first), "the oldest went first");
        ring.keep(|id| *id != busy);
        assert_eq!((ring.bytes, ring.order.len()), (0, 0));
    }
}
