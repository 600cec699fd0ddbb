//! Whole WebSocket frames: encoded once per wire format and shared by all who get them.
//!
//! Server frames are unmasked (RFC 6455 section 5.1), so the same bytes serve every socket.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hubbub_protocol::Record;
use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::frame::close::CloseCode;
use hubbub_protocol::frame::server::{Event, ServerFrame};
use serde_json::json;

use crate::connection::outbox::Subject;

/// The bit of a frame that is a whole message, and what a frame can be (RFC 6455 section 5.2).
const FINAL: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// The head of a frame whose payload has 126 bytes to 64 KiB.
const MIDDLE_HEAD: usize = 4;

/// The bytes of one frame in each format, made when the first socket asks.
#[derive(Default)]
struct Encoded([OnceLock<Bytes>; Format::ALL.len()]);

impl Encoded {
    fn get(&self, format: Format, encode: impl FnOnce() -> Bytes) -> Bytes {
        self.0[format.index()].get_or_init(encode).clone()
    }
}

/// The event of a record. Nobody need ever ask for it: until then it is the record and no more.
pub(crate) struct RecordFrame {
    record: Record,
    encoded: Encoded,
}

impl RecordFrame {
    pub(crate) fn of(record: Record) -> Self {
        Self { record, encoded: Encoded::default() }
    }

    pub(crate) const fn record(&self) -> &Record {
        &self.record
    }

    /// The frame that tells of it.
    pub(crate) fn frame(&self) -> ServerFrame {
        Event::of(&self.record).into()
    }

    /// Its bytes on a socket of this format.
    pub(crate) fn bytes(&self, format: Format) -> Bytes {
        self.encoded.get(format, || encode(&self.frame(), format))
    }

    /// The bytes of these, one behind the other; each then has its part of them.
    pub(crate) fn join<'a>(frames: impl Iterator<Item = &'a Self> + Clone, format: Format) -> Bytes {
        let mut joined = Vec::with_capacity(1024);
        let mut ends = Vec::new();
        for frame in frames.clone() {
            write(&frame.frame(), format, &mut joined);
            ends.push(joined.len());
        }
        let joined = Bytes::from(joined);
        let mut from = 0;
        for (frame, end) in frames.zip(ends) {
            // Whoever was first has the same bytes.
            let _known = frame.encoded.0[format.index()].set(joined.slice(from..end));
            from = end;
        }
        joined
    }
}

/// Shows the record, not its bytes.
impl std::fmt::Debug for RecordFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.record.fmt(f)
    }
}

/// A frame that tells of no record, for many sockets.
pub(crate) struct SharedFrame {
    frame: ServerFrame,
    encoded: Encoded,
}

impl SharedFrame {
    pub(crate) fn new(frame: impl Into<ServerFrame>) -> Arc<Self> {
        Arc::new(Self { frame: frame.into(), encoded: Encoded::default() })
    }

    /// Its bytes on a socket of this format.
    pub(crate) fn bytes(&self, format: Format) -> Bytes {
        self.encoded.get(format, || encode(&self.frame, format))
    }

    /// What it is about, if only the last word on that counts.
    pub(crate) const fn subject(&self) -> Option<Subject> {
        match &self.frame {
            ServerFrame::TypingNotice(typing) => Some(Subject::Typing(typing.conversation_id, typing.user_id)),
            ServerFrame::PresenceNotice(presence) => Some(Subject::Presence(presence.user_id)),
            _ => None,
        }
    }

    /// The frame itself.
    #[cfg(test)]
    pub(crate) const fn frame(&self) -> &ServerFrame {
        &self.frame
    }
}

/// Shows the frame, not its bytes.
impl std::fmt::Debug for SharedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.frame.fmt(f)
    }
}

/// A frame for one socket.
pub(crate) fn encode(frame: &ServerFrame, format: Format) -> Bytes {
    let mut bytes = Vec::with_capacity(256);
    write(frame, format, &mut bytes);
    bytes.into()
}

/// Appends a frame.
pub(crate) fn write(frame: &ServerFrame, format: Format, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&[0; MIDDLE_HEAD]);
    if let Err(error) = codec::encode_server(frame, format, out) {
        // The types of the protocol encode; should one ever not, its socket starts anew rather than miss a frame.
        tracing::error!(%error, frame = frame.word(), "a frame could not be encoded");
        out.truncate(begin);
        out.extend_from_slice(&close(CloseCode::Internal, None));
        return;
    }
    let opcode = match format {
        Format::Json => TEXT,
        Format::MessagePack => BINARY,
    };
    set_head(out, begin, opcode);
}

/// Appends a pong.
pub(crate) fn pong(payload: &[u8], out: &mut Vec<u8>) {
    whole(PONG, payload, out);
}

/// Appends the answer to a client's close.
pub(crate) fn echo_close(payload: &[u8], out: &mut Vec<u8>) {
    whole(CLOSE, payload, out);
}

/// A ping without a payload.
pub(crate) const fn ping() -> Bytes {
    Bytes::from_static(&[FINAL | PING, 0])
}

/// A close frame. Its reason is JSON, so that the action reaches programs that see only code and reason.
pub(crate) fn close(code: CloseCode, retry_after_ms: Option<u64>) -> Bytes {
    let mut reason = json!({"reason": code.reason(), "action": code.action()});
    if let Some(ms) = retry_after_ms {
        reason["retry_after_ms"] = ms.into();
    }
    let mut payload = code.number().to_be_bytes().to_vec();
    payload.extend_from_slice(reason.to_string().as_bytes());
    let mut out = Vec::with_capacity(MIDDLE_HEAD + payload.len());
    whole(CLOSE, &payload, &mut out);
    out.into()
}

fn whole(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&[0; MIDDLE_HEAD]);
    out.extend_from_slice(payload);
    set_head(out, begin, opcode);
}

/// Puts the head of a frame (RFC 6455 section 5.2) whose payload begins [`MIDDLE_HEAD`] bytes after `begin` and ends with
/// `out`. Most heads have that length; for another the payload moves.
fn set_head(out: &mut Vec<u8>, begin: usize, opcode: u8) {
    let first = FINAL | opcode;
    let length = out.len() - begin - MIDDLE_HEAD;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => {
            out.copy_within(begin + MIDDLE_HEAD.., begin + 2);
            out.truncate(out.len() + 2 - MIDDLE_HEAD);
            out[begin..begin + 2].copy_from_slice(&[first, short]);
        }
        (_, Ok(middle)) => {
            let [a, b] = middle.to_be_bytes();
            out[begin..begin + MIDDLE_HEAD].copy_from_slice(&[first, 126, a, b]);
        }
        _ => {
            let mut head = [first, 127, 0, 0, 0, 0, 0, 0, 0, 0];
            head[2..].copy_from_slice(&(length as u64).to_be_bytes());
            out.splice(begin..begin + MIDDLE_HEAD, head);
        }
    }
}
