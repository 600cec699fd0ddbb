//! WebSocket frames out of what a client sends (RFC 6455 section 5), read where they arrived.
//!
//! A thread has one buffer for all its sockets, and a socket owns only what is left over between two reads: the beginning
//! of a frame, the parts of a message that has not ended, commands that may not be read yet. So an idle socket owns none.
//! BOUNDED: a message has at most [`MAX_FRAME_BYTES`], and what is left over is a message and one read.
//!
//! Leaves answers to its caller: what a ping, a close or a broken frame means for the connection.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

use hubbub_protocol::frame::close::CloseCode;
use hubbub_protocol::limits::MAX_FRAME_BYTES;
use tokio::io::ReadBuf;

/// Bytes that are read from a socket at once: some dozens of commands.
const READ: usize = 16 * 1024;
/// Reads of one socket in a row, so that one that never ends holds nobody up (BOUNDED).
const READS_A_TURN: usize = 4;
/// A control frame's payload, at the most (RFC 6455 section 5.5).
const MAX_CONTROL_BYTES: usize = 125;
const MASK_BYTES: usize = 4;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said<'a> {
    /// A whole message of text, which is UTF-8.
    Text(&'a str),
    /// A whole message of bytes.
    Binary(&'a [u8]),
    /// A ping, to be answered with the same payload.
    Ping(&'a [u8]),
    /// A sign of life and no more: a pong, or a part of a message.
    Alive,
    /// It closes, with the payload of an answer.
    Close(&'a [u8]),
    /// It broke the protocol: close with this.
    Broken(CloseCode),
    /// Its end of the stream, or an error of the socket.
    Gone,
}

/// What to do after something was said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Then<T> {
    /// Read on.
    On,
    /// Keep the rest for later, and be done with this.
    Stop(T),
}

/// What is left over between two reads.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    kept: Vec<u8>,
    message: Option<Box<Parts>>,
}

/// A message that came in parts so far.
#[derive(Debug)]
struct Parts {
    is_text: bool,
    payload: Vec<u8>,
}

/// A frame's head.
struct Head {
    is_final: bool,
    opcode: u8,
    mask: [u8; MASK_BYTES],
    /// Where the payload begins and how long it is.
    from: usize,
    length: usize,
}

impl Incoming {
    /// With bytes that were read before.
    pub(crate) fn with(read: &[u8]) -> Self {
        Self { kept: read.to_vec(), message: None }
    }

    /// Tells what the client says, until `hear` stops it. `read` reads from the socket into a buffer.
    pub(crate) fn poll_hear<T>(
        &mut self,
        context: &mut Context<'_>,
        mut read: impl FnMut(&mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<()>>,
        mut hear: impl FnMut(Said<'_>) -> Then<T>,
    ) -> Poll<T> {
        for _ in 0..READS_A_TURN {
            if let Then::Stop(stopped) = self.hear_kept(&mut hear) {
                return Poll::Ready(stopped);
            }
            let heard = SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                let result = ready!(read(context, &mut buffer));
                let read = buffer.filled().len();
                Poll::Ready(match result {
                    Ok(()) if read > 0 => self.hear_read(&mut scratch[..read], &mut hear),
                    Ok(()) | Err(_) => hear(Said::Gone),
                })
            });
            if let Then::Stop(stopped) = ready!(heard) {
                return Poll::Ready(stopped);
            }
        }
        // There may be more, and others have their turn first.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells what was kept.
    fn hear_kept<T>(&mut self, hear: &mut impl FnMut(Said<'_>) -> Then<T>) -> Then<T> {
        if self.kept.is_empty() {
            return Then::On;
        }
        let mut kept = std::mem::take(&mut self.kept);
        let (used, then) = self.tell(&mut kept, hear);
        if used < kept.len() {
            kept.drain(..used);
            self.kept = kept;
        }
        then
    }

    /// Tells what was read just now, and keeps what is left over.
    fn hear_read<T>(&mut self, read: &mut [u8], hear: &mut impl FnMut(Said<'_>) -> Then<T>) -> Then<T> {
        if !self.kept.is_empty() {
            // It is told from there.
            self.kept.extend_from_slice(read);
            return Then::On;
        }
        let (used, then) = self.tell(read, hear);
        self.kept = read[used..].to_vec();
        then
    }

    /// Tells the whole frames of these bytes, and how many bytes they had.
    fn tell<T>(&mut self, bytes: &mut [u8], hear: &mut impl FnMut(Said<'_>) -> Then<T>) -> (usize, Then<T>) {
        let mut used = 0;
        loop {
            let rest = &mut bytes[used..];
            let top = match head(rest).and_then(|top| self.fits(top)) {
                Ok(Some(found)) => found,
                Ok(None) => return (used, Then::On),
                Err(code) => match hear(Said::Broken(code)) {
                    // Whatever comes after it means nothing.
                    Then::On => return (bytes.len(), Then::On),
                    stop @ Then::Stop(_) => return (bytes.len(), stop),
                },
            };
            let Some(payload) = rest.get_mut(top.from..top.from + top.length) else { return (used, Then::On) };
            used += top.from + top.length;
            unmask(payload, top.mask);
            if let stop @ Then::Stop(_) = self.frame(&top, payload, hear) {
                return (used, stop);
            }
        }
    }

    /// A part that would make its message too long is refused by its head.
    fn fits(&self, top: Option<Head>) -> Result<Option<Head>, CloseCode> {
        let Some(Head { opcode: 0, length, .. }) = top else { return Ok(top) };
        let before = self.message.as_ref().map_or(0, |message| message.payload.len());
        if before + length > MAX_FRAME_BYTES { Err(CloseCode::TooLarge) } else { Ok(top) }
    }

    fn frame<T>(&mut self, top: &Head, payload: &[u8], hear: &mut impl FnMut(Said<'_>) -> Then<T>) -> Then<T> {
        match (top.opcode, self.message.is_some()) {
            (8, _) => hear(close(payload)),
            (9, _) => hear(Said::Ping(payload)),
            (10, _) => hear(Said::Alive),
            (1 | 2, false) if top.is_final => hear(whole(top.opcode == 1, payload)),
            (1 | 2, false) => {
                self.message = Some(Box::new(Parts { is_text: top.opcode == 1, payload: payload.to_vec() }));
                hear(Said::Alive)
            }
            (0, true) => self.part(top.is_final, payload, hear),
            // A part without a beginning, or a beginning before the end.
            _ => hear(Said::Broken(CloseCode::Protocol)),
        }
    }

    fn part<T>(&mut self, is_last: bool, payload: &[u8], hear: &mut impl FnMut(Said<'_>) -> Then<T>) -> Then<T> {
        let Some(mut message) = self.message.take() else { return Then::On };
        message.payload.extend_from_slice(payload);
        if is_last {
            return hear(whole(message.is_text, &message.payload));
        }
        self.message = Some(message);
        hear(Said::Alive)
    }
}

/// The head of the first frame, once it is there; what is wrong with it as soon as that can be seen.
fn head(bytes: &[u8]) -> Result<Option<Head>, CloseCode> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    let (is_final, opcode, short) = (first & 0x80 != 0, first & 0x0f, usize::from(second & 0x7f));
    let is_control = opcode >= 8;
    // No extension was agreed on, clients mask, and control frames are short and whole.
    let is_wrong = first & 0x70 != 0
        || second & 0x80 == 0
        || !matches!(opcode, 0..=2 | 8..=10)
        || (is_control && (!is_final || short > MAX_CONTROL_BYTES));
    if is_wrong {
        return Err(CloseCode::Protocol);
    }
    let (length, at) = match short {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (usize::from(u16::from_be_bytes([a, b])), 4),
            _ => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|long| <[u8; 8]>::try_from(long).ok()) {
            Some(long) => (usize::try_from(u64::from_be_bytes(long)).unwrap_or(usize::MAX), 10),
            None => return Ok(None),
        },
        short => (short, 2),
    };
    if length > MAX_FRAME_BYTES {
        return Err(CloseCode::TooLarge);
    }
    let Some(mask) = bytes.get(at..at + MASK_BYTES).and_then(|mask| <[u8; MASK_BYTES]>::try_from(mask).ok()) else {
        return Ok(None);
    };
    Ok(Some(Head { is_final, opcode, mask, from: at + MASK_BYTES, length }))
}

/// Eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; MASK_BYTES]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

fn whole(is_text: bool, payload: &[u8]) -> Said<'_> {
    if !is_text {
        return Said::Binary(payload);
    }
    std::str::from_utf8(payload).map_or(Said::Broken(CloseCode::InvalidText), Said::Text)
}

/// A close frame: nothing, or a code that may be sent and a reason in UTF-8 (RFC 6455 sections 5.5.1 and 7.4).
fn close(payload: &[u8]) -> Said<'_> {
    let [a, b, reason @ ..] = payload else {
        return if payload.is_empty() { Said::Close(payload) } else { Said::Broken(CloseCode::Protocol) };
    };
    let code = u16::from_be_bytes([*a, *b]);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Said::Broken(CloseCode::Protocol);
    }
    if std::str::from_utf8(reason).is_err() {
        return Said::Broken(CloseCode::InvalidText);
    }
    // The answer repeats the code alone.
    Said::Close(&payload[..2])
}

#[cfg(test)]
mod tests {
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
            format!("{:?}", Said::Text("short, with an ä")),
            "Alive".to_owned(),
            format!("{:?}", Said::Ping(b"ping")),
            "Alive".to_owned(),
            format!("{:?}", Said::Text("in three parts")),
            format!("{:?}", Said::Binary(&[0; 300])),
            format!("{:?}", Said::Text(&long)),
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
        assert_eq!(
            broken(&[frame(0x01, &half, [0; 4]), frame(0x80, &half, [0; 4])].concat()),
            large,
            "BOUNDED in parts"
        );
        let most = vec![b'x'; MAX_FRAME_BYTES];
        assert_eq!(hear(&frame(0x82, &most, [1; 4]), 5000, |_| false).len(), 2, "the largest is read");
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
}
