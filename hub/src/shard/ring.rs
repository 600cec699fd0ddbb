//! The recent records of a home shard's conversations: the cheap case of a resume.
//!
//! Bounded in bytes over the whole shard, oldest out first (BOUNDED): an idle conversation holds nothing for long.

use std::collections::VecDeque;
use std::sync::Arc;

use hubbub_protocol::{ConversationId, Sequence};

use crate::message::Delivery;
use crate::table::Table;

/// Bytes that a shard's ring holds: a second of 20,000 messages of 1 KiB. Full: the oldest go, and a resume that needs
/// them reads the log.
const MAX_BYTES: usize = 20 * 1024 * 1024;
/// What an entry costs beside its payload: the record's frame and both its encodings, roughly.
const OVERHEAD: usize = 512;
/// Bytes that one resume gets from the ring at once: a quarter of what may wait for a socket. One that lacks more reads
/// the log, as fast as it takes it.
const MAX_AT_ONCE: usize = 256 * 1024;

/// The ring.
#[derive(Default)]
pub(crate) struct Ring {
    recent: Table<ConversationId, VecDeque<(Arc<Delivery>, usize)>>,
    order: VecDeque<(ConversationId, usize)>,
    bytes: usize,
}

impl Ring {
    /// Adds the next record of its conversation.
    pub(crate) fn push(&mut self, delivery: Arc<Delivery>, payload_bytes: usize) {
        // Three copies at the most: the record's and one in each format.
        let bytes = OVERHEAD + 3 * payload_bytes;
        let conversation = delivery.conversation;
        self.recent.entry(conversation).or_default().push_back((delivery, bytes));
        self.order.push_back((conversation, bytes));
        self.bytes += bytes;
        while self.bytes > MAX_BYTES {
            let Some((oldest, bytes)) = self.order.pop_front() else { break };
            self.bytes -= bytes;
            self.pop(oldest);
        }
    }

    fn pop(&mut self, conversation: ConversationId) {
        if let Some(recent) = self.recent.get_mut(&conversation) {
            recent.pop_front();
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
        let from = recent.partition_point(|(delivery, _)| delivery.sequence <= after);
        let wanted = || recent.range(from..);
        let whole = wanted().next().is_some_and(|(first, _)| first.sequence == after.next())
            && wanted().next_back().is_some_and(|(last, _)| last.sequence == head)
            && wanted().map(|(_, bytes)| bytes).sum::<usize>() <= MAX_AT_ONCE;
        whole.then(|| wanted().map(|(delivery, _)| Arc::clone(delivery)).collect())
    }

    /// Forgets the records of all conversations but these, in one go.
    pub(crate) fn keep(&mut self, stays: impl Fn(&ConversationId) -> bool) {
        self.recent.retain(|conversation, _| stays(conversation));
        let mut freed = 0;
        self.order.retain(|(conversation, bytes)| {
            let stays = stays(conversation);
            freed += if stays { 0 } else { *bytes };
            stays
        });
        self.bytes -= freed;
    }

    /// Erases a message's payload, as its recall did in the log: it must not come back from here.
    pub(crate) fn erase(&mut self, conversation: ConversationId, target: Sequence) {
        let Some(recent) = self.recent.get_mut(&conversation) else { return };
        // Sequences are dense, so the place follows from the first.
        let first = recent.front().map_or(Sequence::ZERO, |(delivery, _)| delivery.sequence);
        let place = target.get().checked_sub(first.get()).and_then(|place| usize::try_from(place).ok());
        if let Some((delivery, _)) = place.and_then(|place| recent.get_mut(place)) {
            *delivery = Arc::new(delivery.erased());
        }
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::frame::server::{Event, Pong, ServerFrame};
    use hubbub_protocol::member::SenderType;
    use hubbub_protocol::record::{Author, Message};
    use hubbub_protocol::{Payload, Record, RecordBody, Timestamp, UserId};

    use super::*;
    use crate::frame::SharedFrame;

    fn message(conversation: ConversationId, sequence: u64) -> Arc<Delivery> {
        let record = Record {
            conversation_id: conversation,
            sequence: Sequence::new(sequence),
            author: Author { sender_id: UserId::generate(), sender_type: SenderType::Human, device_id: None },
            created_at: Timestamp::from_ms(0),
            client_message_id: None,
            body: RecordBody::Message(Message {
                content_type: "text".to_owned(),
                payload: Payload::from(vec![1, 2, 3]),
                reply_to: None,
                epoch: None,
            }),
        };
        let frame = SharedFrame::of(Event::of(&record));
        Arc::new(Delivery { conversation, sequence: record.sequence, frame, leaves: Vec::new() })
    }

    fn delivery(conversation: ConversationId, sequence: u64) -> Arc<Delivery> {
        Arc::new(Delivery {
            conversation,
            sequence: Sequence::new(sequence),
            frame: SharedFrame::of(Pong { id: None, server_time: Timestamp::from_ms(0) }),
            leaves: Vec::new(),
        })
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
                .map(|found| found.iter().map(|delivery| delivery.sequence.get()).collect::<Vec<_>>())
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
            ring.push(message(conversation, sequence), 100);
        }
        for target in [6, 4, 8] {
            ring.erase(conversation, Sequence::new(target));
        }
        let recent = ring.above(conversation, Sequence::new(4), Sequence::new(7)).unwrap();
        let payloads: Vec<_> = recent
            .iter()
            .map(|delivery| match delivery.frame.frame() {
                ServerFrame::MessageNew(event) => (event.conversation_seq.get(), event.encrypted_payload.len()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(payloads, [(5, 3), (6, 0), (7, 3)]);
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
