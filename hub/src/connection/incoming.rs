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
    Text(&'a [u8]),
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
            if used > 0 {
                // It has grown by doubling to what was told now.
                kept.drain(..used);
                kept.shrink_to_fit();
            }
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
            let is_ascii = unmask(payload, top.mask);
            if let stop @ Then::Stop(_) = self.frame(&top, payload, is_ascii, hear) {
                return (used, stop);
            }
        }
    }

    /// A frame that has no place here, or makes its message too long, is refused by its head.
    fn fits(&self, top: Option<Head>) -> Result<Option<Head>, CloseCode> {
        let Some(Head { opcode, length, .. }) = top else { return Ok(top) };
        match (opcode, &self.message) {
            // A part without a beginning, or a beginning before the end.
            (0, None) | (1 | 2, Some(_)) => Err(CloseCode::Protocol),
            (0, Some(message)) if message.payload.len() + length > MAX_FRAME_BYTES => Err(CloseCode::TooLarge),
            _ => Ok(top),
        }
    }

    fn frame<T>(
        &mut self,
        top: &Head,
        payload: &[u8],
        is_ascii: bool,
        hear: &mut impl FnMut(Said<'_>) -> Then<T>,
    ) -> Then<T> {
        match top.opcode {
            8 => hear(close(payload)),
            9 => hear(Said::Ping(payload)),
            10 => hear(Said::Alive),
            1 if top.is_final && is_ascii => hear(Said::Text(payload)),
            1 | 2 if top.is_final => hear(whole(top.opcode == 1, payload)),
            1 | 2 => {
                self.message = Some(Box::new(Parts { is_text: top.opcode == 1, payload: payload.to_vec() }));
                hear(Said::Alive)
            }
            _ => self.part(top.is_final, payload, hear),
        }
    }

    fn part<T>(&mut self, is_last: bool, payload: &[u8], hear: &mut impl FnMut(Said<'_>) -> Then<T>) -> Then<T> {
        let Some(mut message) = self.message.take() else { return hear(Said::Broken(CloseCode::Protocol)) };
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
    let (length, at, least) = match short {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (usize::from(u16::from_be_bytes([a, b])), 4, 126),
            _ => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|long| <[u8; 8]>::try_from(long).ok()) {
            Some(long) => (usize::try_from(u64::from_be_bytes(long)).unwrap_or(usize::MAX), 10, 1 << 16),
            None => return Ok(None),
        },
        short => (short, 2, 0),
    };
    // A length has one spelling: the shortest.
    if length < least {
        return Err(CloseCode::Protocol);
    }
    if length > MAX_FRAME_BYTES {
        return Err(CloseCode::TooLarge);
    }
    let Some(mask) = bytes.get(at..at + MASK_BYTES).and_then(|mask| <[u8; MASK_BYTES]>::try_from(mask).ok()) else {
        return Ok(None);
    };
    Ok(Some(Head { is_final, opcode, mask, from: at + MASK_BYTES, length }))
}

/// Takes the mask off, and tells whether all is ASCII, as nearly all text is: so that it need not be looked at again.
fn unmask(payload: &mut [u8], mask: [u8; MASK_BYTES]) -> bool {
    // As wide as the widest registers that every machine has, twice.
    const WIDE: usize = 32;
    let mut wide = [0; WIDE];
    wide.as_chunks_mut::<MASK_BYTES>().0.fill(mask);
    let mut seen = [0; WIDE];
    let (chunks, rest) = payload.as_chunks_mut::<WIDE>();
    for chunk in chunks {
        for ((byte, mask), seen) in chunk.iter_mut().zip(&wide).zip(&mut seen) {
            *byte ^= mask;
            *seen |= *byte;
        }
    }
    let mut any = seen.iter().fold(0, |any, seen| any | seen);
    for (byte, mask) in rest.iter_mut().zip(&wide) {
        *byte ^= mask;
        any |= *byte;
    }
    any.is_ascii()
}

fn whole(is_text: bool, payload: &[u8]) -> Said<'_> {
    if !is_text {
        return Said::Binary(payload);
    }
    if std::str::from_utf8(payload).is_ok() { Said::Text(payload) } else { Said::Broken(CloseCode::InvalidText) }
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
mod tests;
