//! What a frame withstands.

use hubbub_protocol::ConversationId;
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000_000_000;
const AGE: u64 = 60_000_000;
const MEMORY: Memory = Memory { origins: 4, topics: 8 };

fn keys() -> Keys {
    Keys::new(&[7; 32], "test")
}

fn node(number: u8) -> NodeId {
    NodeId::from_bytes([number; 16])
}

fn conversation(number: u8) -> Topic {
    Topic::Conversation(ConversationId::from_bytes([number; 16]))
}

fn sealer(number: u8) -> Sealer {
    Sealer::new(&keys(), node(number))
}

fn opener() -> Opener {
    Opener::new(&keys(), MEMORY)
}

fn seal(sealer: &mut Sealer, now: u64, topic: Topic, body: &[u8]) -> Bytes {
    sealer.seal(now, topic, Kind::Said, body).into()
}

#[test]
fn what_was_said_is_heard_with_its_origin() {
    let frame: Bytes = sealer(1).seal(NOW, Topic::Cluster, Kind::Probe, b"word").into();
    assert_eq!(frame.len(), HEADER_BYTES + 4);
    let opened = opener().open(NOW, Topic::Cluster, &frame);
    assert_eq!(opened, Ok(Opened { kind: Kind::Probe, origin: node(1), body: Bytes::from_static(b"word") }));
}

#[test]
fn a_frame_is_of_its_topic_its_secret_and_its_prefix_alone() {
    let frame = seal(&mut sealer(1), NOW, conversation(1), b"word");
    // The same id, as a node's and as a conversation's, is another topic.
    for other in [Topic::Cluster, Topic::Node(node(1)), conversation(2)] {
        assert_eq!(opener().open(NOW, other, &frame), Err(Refused::Mark), "REDIS-FREE TRUTH: moved to {other:?}");
    }
    for strange in [Keys::new(&[8; 32], "test"), Keys::new(&[7; 32], "other")] {
        let opened = Opener::new(&strange, MEMORY).open(NOW, conversation(1), &frame);
        assert_eq!(opened, Err(Refused::Mark), "REDIS-FREE TRUTH: another cluster's frame was heard");
    }
}

#[test]
fn what_was_heard_or_overtaken_is_not_heard_again() {
    let (mut sealer, mut opener) = (sealer(1), opener());
    let first = seal(&mut sealer, NOW, conversation(1), b"first");
    let second = seal(&mut sealer, NOW, conversation(1), b"second");
    let elsewhere = seal(&mut sealer, NOW, conversation(2), b"elsewhere");
    assert!(opener.open(NOW, conversation(2), &elsewhere).is_ok());
    assert!(opener.open(NOW, conversation(1), &second).is_ok(), "topics do not hold one another up");
    for old in [&first, &second] {
        assert_eq!(opener.open(NOW, conversation(1), old), Err(Refused::Repeated));
    }
}

#[test]
fn counters_rise_though_the_clock_stands_or_steps_back() {
    let (mut sealer, mut opener) = (sealer(1), opener());
    for now in [NOW, NOW, NOW - 30_000_000, NOW + 5] {
        let frame = seal(&mut sealer, now, Topic::Cluster, b"");
        assert!(opener.open(NOW, Topic::Cluster, &frame).is_ok());
    }
}

#[test]
fn what_is_older_than_a_minute_is_refused_and_tells_by_how_much() {
    let frame = seal(&mut sealer(1), NOW, Topic::Cluster, b"word");
    assert!(opener().open(NOW + AGE, Topic::Cluster, &frame).is_ok());
    let refused = opener().open(NOW + AGE + 1, Topic::Cluster, &frame);
    assert_eq!(refused, Err(Refused::Old(Duration::from_micros(AGE + 1))));
}

#[test]
fn bounded_origins_are_forgotten_when_their_age_refuses_what_they_said() {
    let mut opener = opener();
    let frames: Vec<Bytes> = (0..5).map(|number| seal(&mut sealer(number), NOW, Topic::Cluster, b"")).collect();
    for frame in &frames[..4] {
        assert!(opener.open(NOW, Topic::Cluster, frame).is_ok());
    }
    assert_eq!(opener.open(NOW, Topic::Cluster, &frames[4]), Err(Refused::Crowded), "BOUNDED");
    let later = NOW + AGE + 1;
    let newer = seal(&mut sealer(4), later, Topic::Cluster, b"");
    assert!(opener.open(later, Topic::Cluster, &newer).is_ok());
    assert_eq!(opener.origins.len(), 1, "BOUNDED");
    assert!(matches!(opener.open(later, Topic::Cluster, &frames[0]), Err(Refused::Old(_))));
}

#[test]
fn a_frame_of_the_future_is_remembered_until_its_time_has_passed() {
    let (mut opener, ahead) = (opener(), NOW + 10 * AGE);
    let frame = seal(&mut sealer(0), ahead, Topic::Cluster, b"");
    assert!(opener.open(NOW, Topic::Cluster, &frame).is_ok());
    for minute in 0..20 {
        let now = NOW + minute * AGE;
        for number in 1..6 {
            let crowd = seal(&mut sealer(number), now, Topic::Cluster, b"");
            opener.open(now, Topic::Cluster, &crowd).ok();
        }
        let again = opener.open(now, Topic::Cluster, &frame);
        assert!(matches!(again, Err(Refused::Repeated | Refused::Old(_))), "repeated after {minute} min: {again:?}");
    }
}

#[test]
fn bounded_topics_are_folded_and_still_nothing_is_heard_twice() {
    let (mut sealer, mut opener) = (sealer(1), opener());
    let frames: Vec<(Topic, Bytes)> = (0..100)
        .map(|number| (conversation(number), seal(&mut sealer, NOW, conversation(number), &[number])))
        .collect();
    for (topic, frame) in &frames {
        assert!(
            opener.open(NOW, *topic, frame).is_ok(),
            "the next that an origin says is heard, whatever was forgotten"
        );
        assert!(opener.topics <= MEMORY.topics, "BOUNDED");
        assert_eq!(opener.topics, opener.origins[&node(1)].topics.len());
    }
    for (topic, frame) in &frames {
        assert_eq!(opener.open(NOW, *topic, frame), Err(Refused::Repeated));
    }
}

#[test]
fn counters_are_apart_by_key_by_window_and_by_cluster_and_say_nothing() {
    let name = |keys: Keys, key: &[u8], seconds| keys.counter_name(key, Duration::from_secs(seconds));
    let names = [
        name(keys(), b"192.0.2.1", 60),
        name(keys(), b"192.0.2.2", 60),
        name(keys(), b"192.0.2.1", 61),
        name(Keys::new(&[8; 32], "test"), b"192.0.2.1", 60),
    ];
    for (place, one) in names.iter().enumerate() {
        assert!(!names[place + 1..].contains(one));
    }
    assert_eq!(names[0], name(keys(), b"192.0.2.1", 60));
}

proptest! {
    /// Flips, cuts and appends: whatever is not the frame is refused.
    #[test]
    fn no_other_bytes_than_the_frame_are_heard(
        body in prop::collection::vec(any::<u8>(), 0..64),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
        keep in any::<prop::sample::Index>(),
        more in prop::collection::vec(any::<u8>(), 1..8),
    ) {
        let frame = sealer(1).seal(NOW, conversation(1), Kind::Said, &body);
        let mut flipped = frame.clone();
        flipped[at.index(frame.len())] ^= flip;
        let cut = frame[..keep.index(frame.len())].to_vec();
        let longer = [frame, more].concat();
        for wrong in [flipped, cut, longer] {
            prop_assert!(opener().open(NOW, conversation(1), &wrong.into()).is_err(), "REDIS-FREE TRUTH");
        }
    }

    /// Garbage from a stranger is refused, and costs no memory.
    #[test]
    fn garbage_is_refused_and_forgotten(garbage in prop::collection::vec(any::<u8>(), 0..128)) {
        let mut opener = opener();
        prop_assert!(opener.open(NOW, Topic::Cluster, &garbage.into()).is_err());
        prop_assert_eq!(opener.origins.len(), 0, "BOUNDED");
    }
}
