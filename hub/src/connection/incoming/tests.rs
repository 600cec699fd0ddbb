//! Frames in one piece and in many, broken ones, and what is left over between two reads.

use proptest::prelude::*;

use super::*;

/// A client's frame.
fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 + u8::try_from(short).unwrap()),
        middle @ 126..=0xffff => {
            bytes.push(0x80 + 126);
            bytes.extend_from_slice(&u16::try_from(middle).unwrap().to_be_bytes());
        }
        long => {
            bytes.push(0x80 + 127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// What is heard when these bytes come in parts of so many, and `stop` says after which words nothing more is read
/// for a moment.
fn hear(bytes: &[u8], part: usize, stop: impl Fn(usize) -> bool) -> Vec<String> {
    let (mut incoming, mut words) = (Incoming::default(), Vec::new());
    let mut parts = bytes.chunks(part.min(READ));
    let mut context = Context::from_waker(std::task::Waker::noop());
    loop {
        let heard = incoming.poll_hear(
            &mut context,
            |_, buffer| {
                if let Some(part) = parts.next() {
                    buffer.put_slice(part);
                }
                Poll::Ready(Ok(()))
            },
            |said| {
                words.push(format!("{said:?}"));
                let ends = matches!(said, Said::Gone | Said::Broken(_));
                if ends || stop(words.len()) { Then::Stop(ends) } else { Then::On }
            },
        );
        if heard == Poll::Ready(true) {
            return words;
        }
    }
}

fn broken(bytes: &[u8]) -> String {
    hear(bytes, usize::MAX, |_| false).pop().unwrap()
}

#[test]
fn frames_are_whole_however_they_come_and_wherever_reading_stops() {
    let long = "x".repeat(70_000);
    let mut bytes = frame(0x81, "short, with an ä".as_bytes(), [1, 2, 3, 4]);
    bytes.extend(frame(0x01, b"in ", [0; 4]));
    bytes.extend(frame(0x89, b"ping", [9; 4]));
    bytes.extend(frame(0x00, b"three ", [5, 6, 7, 8]));
    bytes.extend(frame(0x80, b"parts", [0xff; 4]));
    bytes.extend(frame(0x82, &[0; 300], [7; 4]));
    bytes.extend(frame(0x81, long.as_bytes(), [3, 1, 4, 1]));
    bytes.extend(frame(0x8a, b"", [0; 4]));
    bytes.extend(frame(0x88, &[3, 232, b'b'], [1; 4]));
    let expected = vec![
        format!("{:?}", Said::Text("short, with an ä".as_bytes())),
        "Alive".to_owned(),
        format!("{:?}", Said::Ping(b"ping")),
        "Alive".to_owned(),
        format!("{:?}", Said::Text(b"in three parts")),
        format!("{:?}", Said::Binary(&[0; 300])),
        format!("{:?}", Said::Text(long.as_bytes())),
        "Alive".to_owned(),
        format!("{:?}", Said::Close(&[3, 232])),
        "Gone".to_owned(),
    ];
    for part in [1, 2, 3, 7, 64, 1000, READ, usize::MAX] {
        assert_eq!(hear(&bytes, part, |_| false), expected, "{part} bytes at a time");
        assert_eq!(hear(&bytes, part, |_| true), expected, "{part} bytes at a time, word by word");
        assert_eq!(hear(&bytes, part, |count| count % 3 == 0), expected, "{part} bytes at a time, in threes");
    }
}

#[test]
fn broken_frames_are_told_with_their_close_code() {
    let protocol = format!("{:?}", Said::Broken(CloseCode::Protocol));
    for (what, bytes) in [
        ("no mask", vec![0x81, 0x01, b'x']),
        ("a reserved bit", frame(0xc1, b"x", [0; 4])),
        ("a reserved opcode", frame(0x83, b"x", [0; 4])),
        ("a reserved control opcode", frame(0x8b, b"x", [0; 4])),
        ("a ping in parts", frame(0x09, b"x", [0; 4])),
        ("a ping that is too long", frame(0x89, &[0; 126], [0; 4])),
        ("a part without a beginning", frame(0x80, b"x", [0; 4])),
        ("a beginning before the end", [frame(0x01, b"x", [0; 4]), frame(0x81, b"x", [0; 4])].concat()),
        (
            "a beginning before the end, by its head",
            [frame(0x01, b"x", [0; 4]), vec![0x81, 0xfe, 0xff, 0xff, 0, 0, 0, 0]].concat(),
        ),
        ("a part without a beginning, by its head", vec![0x80, 0xfe, 0xff, 0xff, 0, 0, 0, 0]),
        ("125 bytes in the middle spelling of a length", vec![0x81, 0xfe, 0, 125]),
        ("65,535 bytes in the long spelling of a length", vec![0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        ("a close of one byte", frame(0x88, &[3], [0; 4])),
        ("a close code that is never sent", frame(0x88, &1005_u16.to_be_bytes(), [0; 4])),
        ("a close code that nobody knows", frame(0x88, &2999_u16.to_be_bytes(), [0; 4])),
    ] {
        assert_eq!(broken(&bytes), protocol, "{what}");
    }
    let text = format!("{:?}", Said::Broken(CloseCode::InvalidText));
    assert_eq!(broken(&frame(0x81, &[0xff], [0; 4])), text);
    assert_eq!(broken(&frame(0x88, &[3, 232, 0xff], [0; 4])), text);
    assert_eq!(broken(&[frame(0x01, &[0xc3], [0; 4]), frame(0x80, &[0x28], [0; 4])].concat()), text);
}

#[test]
fn bounded_a_message_over_the_limit_is_refused_before_it_is_read() {
    let large = format!("{:?}", Said::Broken(CloseCode::TooLarge));
    let head = [0x82, 0x80 + 127, 0, 0, 0, 0, 0, 1, 0x80, 1, 0, 0, 0, 0];
    assert_eq!(broken(&head), large, "BOUNDED: by its head alone");
    let endless = [0x82, 0x80 + 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(broken(&endless), large, "BOUNDED");
    let half = vec![b'x'; MAX_FRAME_BYTES / 2 + 1];
    assert_eq!(broken(&[frame(0x01, &half, [0; 4]), frame(0x80, &half, [0; 4])].concat()), large, "BOUNDED in parts");
    let most = vec![b'x'; MAX_FRAME_BYTES];
    assert_eq!(hear(&frame(0x82, &most, [1; 4]), 5000, |_| false).len(), 2, "the largest is read");
}

#[test]
fn bounded_what_is_left_over_is_a_message_and_one_read() {
    const LONGEST_HEAD: usize = 14;
    let most = vec![b'x'; MAX_FRAME_BYTES];
    let beginning = frame(0x01, &most[..MAX_FRAME_BYTES - 200], [0; 4]);
    let pings = frame(0x89, b"ping", [1; 4]).repeat(5_000);
    for (what, bytes) in [
        ("the largest, and more", [frame(0x82, &most, [1; 4]), pings.clone()].concat()),
        ("a last part and more", [beginning.clone(), frame(0x80, &most[..200], [0; 4]), pings.clone()].concat()),
        ("pings among parts", [beginning.clone(), pings].concat()),
        ("a message within another", [beginning, frame(0x81, &most, [0; 4])].concat()),
    ] {
        for stops in [false, true] {
            let (mut incoming, mut rest) = (Incoming::default(), &bytes[..]);
            let mut context = Context::from_waker(std::task::Waker::noop());
            let mut over = false;
            while !over {
                let heard = incoming.poll_hear(
                    &mut context,
                    |_, buffer| {
                        let (now, later) = rest.split_at(rest.len().min(buffer.remaining()));
                        buffer.put_slice(now);
                        rest = later;
                        Poll::Ready(Ok(()))
                    },
                    |said| {
                        let ends = matches!(said, Said::Gone | Said::Broken(_));
                        if ends || stops { Then::Stop(ends) } else { Then::On }
                    },
                );
                over = heard == Poll::Ready(true);
                let left = incoming.kept.len() + incoming.message.as_ref().map_or(0, |parts| parts.payload.len());
                assert!(left <= MAX_FRAME_BYTES + LONGEST_HEAD + READ, "BOUNDED: {what}: {left} bytes");
            }
        }
    }
}

#[test]
fn an_idle_socket_owns_nothing() {
    let (mut incoming, mut context) = (Incoming::default(), Context::from_waker(std::task::Waker::noop()));
    let mut first = frame(0x81, &[b'x'; 9000], [1; 4]);
    let mut parts = vec![first.split_off(4000), first];
    let heard = incoming.poll_hear(
        &mut context,
        |_, buffer| {
            parts.pop().map_or(Poll::Pending, |part| {
                buffer.put_slice(&part);
                Poll::Ready(Ok(()))
            })
        },
        |_| Then::<()>::On,
    );
    assert!(heard.is_pending());
    assert_eq!((incoming.kept.capacity(), incoming.message.is_some()), (0, false));
}

proptest! {
    #[test]
    fn whatever_comes_is_read_alike_in_one_piece_and_in_many(
        bytes in proptest::collection::vec(any::<u8>(), 0..400), part in 1..50_usize,
    ) {
        prop_assert_eq!(hear(&bytes, part, |_| true), hear(&bytes, READ, |_| false));
    }
}
