//! Hand-made histories: a good one passes, and each bad one is caught by the rule that it breaks.

use hubbub_loadtest::client::stamp::{self, Stamp};
use hubbub_loadtest::client::{Change, Seen};
use hubbub_loadtest::ledger::{Findings, Kind, Ledger, Rule};
use hubbub_protocol::{ClientMessageId, ConversationId, Sequence, UserId};
use proptest::prelude::*;

const RUN: u32 = 7;
const SIZE: usize = 64;

/// A ledger with one conversation, two senders and two readers, and a clock that counts calls.
struct Story {
    ledger: Ledger,
    id: ConversationId,
    readers: [usize; 2],
    now_ns: u64,
}

/// A message that was sent.
#[derive(Clone)]
struct Told {
    id: ClientMessageId,
    content: u64,
}

impl Story {
    fn new() -> Self {
        let mut ledger = Ledger::new(RUN);
        let id = ConversationId::from_bytes([9; 16]);
        let conversation = ledger.conversation(id, Sequence::new(1));
        assert_eq!((ledger.sender(), ledger.sender()), (0, 1));
        let readers = [ledger.reader(conversation), ledger.reader(conversation)];
        Self { ledger, id, readers, now_ns: 0 }
    }

    fn tick(&mut self) -> u64 {
        self.now_ns += 1_000;
        self.now_ns
    }

    fn send(&mut self, sender: u32) -> Told {
        let now = self.tick();
        let (id, payload) = self.ledger.send(sender, 0, now, now, SIZE);
        Told { id, content: stamp::content(Some(id), &payload) }
    }

    fn ack(&mut self, told: &Told, sequence: u64) {
        let now = self.tick();
        self.ledger.acked(told.id, Sequence::new(sequence), 1, now);
    }

    fn seen(&self, told: &Told, sequence: u64) -> Seen {
        Seen {
            conversation_id: self.id,
            sequence: Sequence::new(sequence),
            client_message_id: Some(told.id),
            stamp: None,
            change: None,
            fingerprint: stamp::mix(told.content, sequence),
        }
    }

    fn deliver(&mut self, reader: usize, told: &Told, sequence: u64) {
        let seen = self.seen(told, sequence);
        self.ledger.delivered(self.readers[reader], &seen, false);
    }

    fn deliver_to_both(&mut self, told: &Told, sequence: u64) {
        self.deliver(0, told, sequence);
        self.deliver(1, told, sequence);
    }

    fn history(&mut self, messages: &[(&Told, u64)]) {
        for (told, sequence) in messages {
            let seen = self.seen(told, *sequence);
            self.ledger.history(0, &seen);
        }
        self.ledger.history_ends(0);
    }

    /// Two messages that are sent, acked, delivered to both and in the history.
    fn good() -> (Self, Told, Told) {
        let mut story = Self::new();
        let first = story.send(0);
        story.ack(&first, 2);
        let second = story.send(1);
        story.ack(&second, 3);
        (story, first, second)
    }

    fn judge(&self) -> Findings {
        self.ledger.judge()
    }
}

#[track_caller]
fn caught(story: &Story, rule: Rule) {
    let findings = story.judge();
    assert!(
        findings.of(rule) > 0,
        "{} is broken and not caught by {rule:?}: {:?}",
        rule.promise(),
        findings.examples()
    );
}

#[test]
fn a_good_history_is_clean() {
    let (mut story, first, second) = Story::good();
    story.deliver_to_both(&first, 2);
    story.deliver_to_both(&second, 3);
    story.history(&[(&first, 2), (&second, 3)]);
    let findings = story.judge();
    assert!(findings.is_clean(), "{:?}", findings.examples());
    assert_eq!(story.ledger.behind(), 0);
    let counts = story.ledger.counts();
    assert_eq!((counts.sent, counts.acked, counts.delivered, counts.unknown()), (2, 2, 4, 0));
}

#[test]
fn an_unknown_send_may_be_there_or_not() {
    for kept in [true, false] {
        let mut story = Story::new();
        let told = story.send(0);
        if kept {
            story.deliver_to_both(&told, 2);
            story.history(&[(&told, 2)]);
        } else {
            story.history(&[]);
        }
        assert!(story.judge().is_clean(), "HONEST: both outcomes of an unknown send are legal");
        assert_eq!(story.ledger.counts().unknown(), 1);
    }
}

#[test]
fn an_acked_message_that_is_not_kept_is_caught() {
    let (mut story, first, second) = Story::good();
    story.deliver_to_both(&first, 2);
    story.deliver_to_both(&second, 3);
    story.history(&[(&first, 2)]);
    caught(&story, Rule::AckedIsKept);
    caught(&story, Rule::StaysThere);
}

#[test]
fn an_ack_that_names_another_place_is_caught() {
    let mut story = Story::new();
    let told = story.send(0);
    story.ack(&told, 9);
    story.history(&[(&told, 2)]);
    caught(&story, Rule::AckedWhereItStands);
}

#[test]
fn a_message_that_is_kept_twice_is_caught() {
    let (mut story, first, second) = Story::good();
    story.history(&[(&first, 2), (&second, 3), (&first, 4)]);
    caught(&story, Rule::KeptOnce);
    assert_eq!(story.judge().count(Kind::Doubled), 1);
}

#[test]
fn two_acks_with_different_sequences_are_caught() {
    let mut story = Story::new();
    let told = story.send(0);
    story.ack(&told, 2);
    story.ack(&told, 3);
    caught(&story, Rule::AckedOnce);
}

#[test]
fn a_hole_in_the_log_is_caught() {
    let (mut story, first, second) = Story::good();
    story.history(&[(&first, 2), (&second, 4)]);
    caught(&story, Rule::Dense);
}

#[test]
fn one_senders_messages_out_of_order_are_caught() {
    let mut story = Story::new();
    // Pipelined: both are out before either is acked.
    let first = story.send(0);
    let second = story.send(0);
    story.ack(&second, 2);
    story.ack(&first, 3);
    story.history(&[(&second, 2), (&first, 3)]);
    caught(&story, Rule::SenderOrder);
    assert_eq!(story.judge().of(Rule::RealTime), 0, "they overlapped in time");
}

#[test]
fn a_repeated_message_may_stand_after_later_ones() {
    let mut story = Story::new();
    let first = story.send(0);
    let second = story.send(0);
    story.ack(&second, 2);
    let now = story.tick();
    story.ledger.acked(first.id, Sequence::new(3), 2, now);
    story.deliver_to_both(&second, 2);
    story.deliver_to_both(&first, 3);
    story.history(&[(&second, 2), (&first, 3)]);
    assert!(story.judge().is_clean(), "{:?}", story.judge().examples());
}

#[test]
fn a_message_before_one_that_was_acked_earlier_is_caught() {
    let mut story = Story::new();
    let first = story.send(0);
    story.ack(&first, 3);
    let second = story.send(1);
    story.ack(&second, 2);
    story.history(&[(&second, 2), (&first, 3)]);
    caught(&story, Rule::RealTime);
}

#[test]
fn a_skip_in_a_readers_stream_is_caught_even_if_the_rest_follows() {
    let (mut story, first, second) = Story::good();
    story.deliver_to_both(&first, 2);
    let third = story.send(0);
    story.ack(&third, 4);
    story.deliver(0, &second, 3);
    story.deliver_to_both(&third, 4);
    story.history(&[(&first, 2), (&second, 3), (&third, 4)]);
    caught(&story, Rule::NoSkip);
    assert_eq!(story.judge().count(Kind::Lost), 1);
}

#[test]
fn an_event_that_comes_late_is_reordered_and_not_lost() {
    let (mut story, first, second) = Story::good();
    story.deliver(0, &first, 2);
    story.deliver(0, &second, 3);
    story.deliver(1, &second, 3);
    story.deliver(1, &first, 2);
    story.history(&[(&first, 2), (&second, 3)]);
    caught(&story, Rule::NoReturn);
    assert_eq!(story.judge().count(Kind::Lost), 0);
}

#[test]
fn an_event_that_comes_again_is_caught() {
    let (mut story, first, second) = Story::good();
    story.deliver_to_both(&first, 2);
    story.deliver(0, &first, 2);
    story.deliver_to_both(&second, 3);
    story.history(&[(&first, 2), (&second, 3)]);
    caught(&story, Rule::NoRepeat);
}

#[test]
fn a_reader_that_never_gets_the_end_is_caught() {
    let (mut story, first, second) = Story::good();
    story.deliver_to_both(&first, 2);
    story.deliver(0, &second, 3);
    assert_eq!(story.ledger.behind(), 1);
    story.history(&[(&first, 2), (&second, 3)]);
    caught(&story, Rule::Complete);
}

#[test]
fn an_announced_gap_is_counted_and_does_not_hide_a_skip() {
    let (mut story, first, second) = Story::good();
    story.deliver_to_both(&first, 2);
    story.deliver(0, &second, 3);
    let reader = story.readers[1];
    story.ledger.gap(reader, Sequence::new(3), Sequence::new(3));
    story.history(&[(&first, 2), (&second, 3)]);
    caught(&story, Rule::NoGap);
    assert_eq!(story.judge().count(Kind::Lost), 0, "what was announced is not lost silently");
    story.ledger.gap(reader, Sequence::new(6), Sequence::new(7));
    caught(&story, Rule::NoSkip);
}

#[test]
fn readers_who_see_different_things_are_caught() {
    let (mut story, first, second) = Story::good();
    story.deliver(0, &first, 2);
    story.deliver(1, &second, 2);
    caught(&story, Rule::Agreement);
}

#[test]
fn a_history_that_differs_from_what_was_seen_is_caught() {
    let (mut story, first, second) = Story::good();
    story.deliver_to_both(&first, 2);
    story.deliver_to_both(&second, 3);
    story.history(&[(&second, 2), (&first, 3)]);
    caught(&story, Rule::Agreement);
    caught(&story, Rule::AckedWhereItStands);
}

#[test]
fn a_conversation_that_disappears_is_caught() {
    let (mut story, first, second) = Story::good();
    story.deliver_to_both(&first, 2);
    story.deliver_to_both(&second, 3);
    story.history(&[]);
    caught(&story, Rule::StaysThere);
    assert_eq!(story.judge().of(Rule::AckedIsKept), 2);
}

#[test]
fn a_refused_message_that_is_kept_is_caught() {
    let mut story = Story::new();
    let told = story.send(0);
    let now = story.tick();
    story.ledger.refused(told.id, now);
    story.history(&[(&told, 2)]);
    caught(&story, Rule::RefusedIsNotKept);
}

#[test]
fn a_message_that_nobody_sent_is_caught() {
    let mut story = Story::new();
    let stamp = Stamp { run: RUN, sender: 0, number: 40, intended_ns: 1 };
    let foreign = Told { id: stamp.id(), content: stamp::content(Some(stamp.id()), &stamp.payload(SIZE)) };
    story.history(&[(&foreign, 2)]);
    caught(&story, Rule::NothingForeign);
}

#[test]
fn a_message_with_another_payload_is_caught() {
    let mut story = Story::new();
    let mut told = story.send(0);
    story.ack(&told, 2);
    told.content ^= 1;
    story.history(&[(&told, 2)]);
    caught(&story, Rule::NothingForeign);
}

/// Somebody is removed, and comes back if so; both readers and the history have it at `sequence`.
fn change(story: &mut Story, change: Change, sequence: u64, readers: &[usize]) -> Seen {
    let (conversation_id, sequence) = (story.id, Sequence::new(sequence));
    let (client_message_id, stamp) = (None, None);
    let fingerprint = sequence.get();
    let seen = Seen { conversation_id, sequence, client_message_id, stamp, change: Some(change), fingerprint };
    for reader in readers {
        story.ledger.delivered(story.readers[*reader], &seen, false);
    }
    seen
}

#[test]
fn members_only_a_message_after_its_senders_removal_is_caught_in_a_stream_and_in_the_history() {
    let who = UserId::from_bytes([3; 16]);
    for in_history in [true, false] {
        let mut story = Story::new();
        story.ledger.sender_is(0, who);
        let told = story.send(0);
        story.ack(&told, 3);
        let readers: &[usize] = if in_history { &[] } else { &[0, 1] };
        let left = change(&mut story, Change::Left(who), 2, readers);
        if in_history {
            story.ledger.history(0, &left);
            let seen = story.seen(&told, 3);
            story.ledger.history(0, &seen);
        } else {
            story.deliver_to_both(&told, 3);
        }
        caught(&story, Rule::NothingFromOutside);
    }
}

#[test]
fn members_only_who_joined_again_and_who_was_never_removed_may_send() {
    let mut story = Story::new();
    let who = UserId::from_bytes([3; 16]);
    story.ledger.sender_is(0, who);
    story.ledger.sender_is(1, UserId::from_bytes([4; 16]));
    let (other, back) = (story.send(1), story.send(0));
    story.ack(&other, 3);
    story.ack(&back, 5);
    change(&mut story, Change::Left(who), 2, &[0, 1]);
    story.deliver_to_both(&other, 3);
    change(&mut story, Change::Joined(who), 4, &[0, 1]);
    story.deliver_to_both(&back, 5);
    assert!(story.judge().is_clean(), "{:?}", story.judge().examples());
}

#[test]
fn several_faults_at_once_are_all_caught() {
    let (mut story, first, second) = Story::good();
    story.deliver_to_both(&first, 2);
    story.deliver(0, &first, 2);
    let lost = story.send(0);
    story.ack(&lost, 4);
    story.history(&[(&first, 2), (&second, 3), (&second, 4)]);
    for rule in [Rule::NoRepeat, Rule::AckedIsKept, Rule::KeptOnce, Rule::Complete] {
        caught(&story, rule);
    }
}

#[test]
fn findings_are_counted_without_end_and_told_in_bounded_number() {
    let (mut story, first, _) = Story::good();
    for _ in 0..10_000 {
        story.deliver(0, &first, 2);
    }
    let findings = story.judge();
    assert_eq!(findings.of(Rule::NoRepeat), 9_999, "BOUNDED: examples are few, counts are exact");
    assert!(findings.examples().len() <= 20);
}

proptest! {
    #[test]
    fn any_order_of_honest_sends_is_clean(senders in prop::collection::vec(0_u32..2, 0..50)) {
        let mut story = Story::new();
        let mut told = Vec::new();
        for (index, sender) in senders.iter().enumerate() {
            let message = story.send(*sender);
            story.ack(&message, 2 + index as u64);
            story.deliver_to_both(&message, 2 + index as u64);
            told.push(message);
        }
        let all: Vec<(&Told, u64)> = told.iter().zip(2..).collect();
        story.history(&all);
        prop_assert!(story.judge().is_clean(), "{:?}", story.judge().examples());
    }

    #[test]
    fn any_swap_in_a_readers_stream_is_caught(count in 2_usize..30, swap in 0_usize..28) {
        let swap = swap % (count - 1);
        let mut story = Story::new();
        let told: Vec<Told> = (0..count).map(|_| story.send(0)).collect();
        let mut order: Vec<usize> = (0..count).collect();
        order.swap(swap, swap + 1);
        for index in order {
            story.deliver(0, &told[index], 2 + index as u64);
        }
        prop_assert!(story.judge().of(Rule::NoReturn) == 1);
    }
}
