//! Frames to bytes and back, in JSON or MessagePack: the same names, one set of types.
//!
//! Decoding never builds a generic value: a first look finds the `type` and skips the rest without keeping it, a second
//! reads the bytes straight into that type's struct. Size is checked before either, depth during both (BOUNDED).
//! Unknown fields are skipped, so that an older reader understands a newer writer. What is wrong is told without the
//! value that is wrong, so that neither a log nor an answer repeats a token or a payload (OPAQUE).

mod quick;

use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::decode::Decode;
use crate::error::{ErrorBody, ErrorCode};
use crate::frame::CommandId;
use crate::frame::client::ClientFrame;
use crate::frame::server::ServerFrame;
use crate::limits;
use crate::record::RecordBody;

/// How frames are spelt on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text frames of JSON: subprotocol `hubbub.v1.json`, the default.
    Json,
    /// Binary frames of MessagePack maps: subprotocol `hubbub.v1.msgpack`.
    MessagePack,
}

impl Format {
    /// Both, for tables with one entry a format.
    pub const ALL: [Self; 2] = [Self::Json, Self::MessagePack];

    /// The WebSocket subprotocol that chooses it.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "hubbub.v1.json",
            Self::MessagePack => "hubbub.v1.msgpack",
        }
    }

    /// The format with this subprotocol.
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.subprotocol() == name)
    }

    /// Its place in a table with one entry a format.
    pub const fn index(self) -> usize {
        match self {
            Self::Json => 0,
            Self::MessagePack => 1,
        }
    }
}

/// Bytes that are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Over the size limit.
    #[error("the frame has {bytes} bytes; at most {max} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Not one object with a `type`, or not even JSON or MessagePack.
    #[error("not a frame: {0}")]
    Malformed(String),
    /// A `type` that is not known.
    #[error("no frame has the type {word:?}")]
    UnknownType {
        /// The type.
        word: String,
        /// The command's id, so that the refusal can carry it.
        id: Option<CommandId>,
    },
    /// A field is missing or wrong.
    #[error("in {word}: {problem}")]
    BadField {
        /// The frame's type.
        word: String,
        /// The command's id, so that the refusal can carry it.
        id: Option<CommandId>,
        /// What is wrong.
        problem: String,
        /// The field, where that is known.
        field: Option<String>,
    },
}

impl DecodeError {
    /// The id of the command that could not be read, as far as it could.
    pub fn command_id(&self) -> Option<CommandId> {
        match self {
            Self::UnknownType { id, .. } | Self::BadField { id, .. } => id.clone(),
            Self::TooLarge { .. } | Self::Malformed(_) => None,
        }
    }
}

impl From<&DecodeError> for ErrorBody {
    fn from(error: &DecodeError) -> Self {
        let body = |code| Self::new(code, error.to_string());
        match error {
            DecodeError::TooLarge { max, .. } => {
                body(ErrorCode::TooLarge).with("limit", "max_frame_bytes").with("max", *max)
            }
            DecodeError::Malformed(_) => body(ErrorCode::ValidationFailed),
            DecodeError::UnknownType { word, .. } => body(ErrorCode::UnknownType).with("type", word.as_str()),
            DecodeError::BadField { word, field, .. } => {
                let error = body(ErrorCode::ValidationFailed).with("type", word.as_str());
                match field {
                    Some(field) => error.with("field", field.as_str()),
                    None => error,
                }
            }
        }
    }
}

/// What the first look at a frame keeps.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    word: String,
    #[serde(default)]
    id: Option<CommandId>,
}

#[derive(Clone, Copy)]
struct Reading<'de> {
    bytes: &'de [u8],
    format: Format,
}

impl<'de> Decode<'de> for Reading<'de> {
    type Error = Problem;

    fn decode<T: DeserializeOwned>(self) -> Result<T, Problem> {
        let read = match self.format {
            // serde_json stops at a depth of 128, and skips unknown values without keeping them and without recursion.
            Format::Json => serde_json::from_slice(self.bytes).map_err(|error| problem(&error)),
            Format::MessagePack => self.unpack(),
        };
        read.map_err(|text| Problem { field: self.field::<T>(&text), text })
    }
}

impl Reading<'_> {
    fn unpack<T: DeserializeOwned>(self) -> Result<T, String> {
        let mut reader = self.unpacker();
        let value = T::deserialize(&mut reader).map_err(|error| problem(&error))?;
        // The reader does not tell its place, but reading on tells whether anything is left.
        match <()>::deserialize(&mut reader) {
            Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
            _ => Err("bytes after the end".to_owned()),
        }
    }

    fn unpacker(&self) -> rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'_, [u8]>> {
        let mut reader = rmp_serde::Deserializer::from_read_ref(self.bytes);
        reader.set_max_depth(limits::MAX_DEPTH);
        reader
    }

    /// The field for which it cannot be read: it is read once more, with an eye on where.
    fn field<T: DeserializeOwned>(self, text: &str) -> Option<String> {
        let path = match self.format {
            Format::Json => path::<T, _>(&mut serde_json::Deserializer::from_slice(self.bytes)),
            Format::MessagePack => path::<T, _>(&mut self.unpacker()),
        };
        path.or_else(|| quoted(text)).filter(|field| field.len() <= MAX_PROBLEM_BYTES)
    }
}

/// Why something could not be read.
struct Problem {
    text: String,
    field: Option<String>,
}

/// Where reading such a value fails; nothing where that is no field of it.
fn path<'de, T: DeserializeOwned, D: Deserializer<'de>>(reader: D) -> Option<String> {
    let error = serde_path_to_error::deserialize::<D, T>(reader).err()?;
    Some(error.path()).filter(|path| path.iter().next().is_some()).map(ToString::to_string)
}

/// The field that is missing or there twice, as the parsers say it.
fn quoted(problem: &str) -> Option<String> {
    let name = ["missing field `", "duplicate field `"].iter().find_map(|start| problem.strip_prefix(start))?;
    name.split_once('`').map(|(name, _)| name.to_owned())
}

/// A problem is told in at most so many bytes.
const MAX_PROBLEM_BYTES: usize = 200;

/// What a parser says, without the value it read: that may be a token, a payload or 90 KiB of anything.
fn problem(error: &impl fmt::Display) -> String {
    let mut text = error.to_string();
    for (before, after) in [("string \"", "\", expected"), ("unknown variant `", "`, expected")] {
        if let (Some(from), Some(to)) = (text.find(before), text.rfind(after)) {
            text.replace_range(from + before.len()..to.max(from + before.len()), "…");
        }
    }
    text.truncate(text.floor_char_boundary(MAX_PROBLEM_BYTES));
    text
}

/// A struct could also be read from a list of its fields; a frame is spelt one way only.
fn is_object(reading: Reading<'_>) -> bool {
    let first = match reading.format {
        Format::Json => reading.bytes.iter().find(|byte| !byte.is_ascii_whitespace()),
        Format::MessagePack => reading.bytes.first(),
    };
    first.is_some_and(|byte| match reading.format {
        Format::Json => *byte == b'{',
        // fixmap, map 16 and map 32
        Format::MessagePack => matches!(byte, 0x80..=0x8f | 0xde | 0xdf),
    })
}

fn decode_head(reading: Reading<'_>, max: usize) -> Result<Head, DecodeError> {
    let bytes = reading.bytes.len();
    if bytes > max {
        return Err(DecodeError::TooLarge { bytes, max });
    }
    if !is_object(reading) {
        return Err(DecodeError::Malformed("a frame is one object (in MessagePack a map) with a type".to_owned()));
    }
    let mut head: Head = reading.decode().map_err(|problem| DecodeError::Malformed(problem.text))?;
    // Both are echoed in refusals, so neither may be long.
    if head.word.len() > limits::MAX_COMMAND_ID_BYTES {
        return Err(DecodeError::Malformed(format!("its type is over {} bytes", limits::MAX_COMMAND_ID_BYTES)));
    }
    if head.id.as_ref().is_some_and(|id| id.len() > limits::MAX_COMMAND_ID_BYTES) {
        let problem = format!("id is over {} bytes", limits::MAX_COMMAND_ID_BYTES);
        let field = Some("id".to_owned());
        return Err(DecodeError::BadField { word: head.word, id: None, problem, field });
    }
    head.id = head.id.filter(|id| !id.is_empty());
    Ok(head)
}

fn bad_field(head: Head, Problem { text, field }: Problem) -> DecodeError {
    DecodeError::BadField { word: head.word, id: head.id, problem: text, field }
}

/// Reads a client's frame.
///
/// # Errors
///
/// [`DecodeError`], each of which the hub answers with an `error` frame.
pub fn decode_client(bytes: &[u8], format: Format) -> Result<ClientFrame, DecodeError> {
    if format == Format::Json
        && bytes.len() <= limits::MAX_FRAME_BYTES
        && let Some(send) = quick::message_send(bytes)
    {
        return Ok(send.into());
    }
    let reading = Reading { bytes, format };
    let head = decode_head(reading, limits::MAX_FRAME_BYTES)?;
    match ClientFrame::decode_as(&head.word, reading) {
        Some(Ok(frame)) => Ok(frame),
        Some(Err(problem)) => Err(bad_field(head, problem)),
        None => Err(DecodeError::UnknownType { word: head.word, id: head.id }),
    }
}

/// Reads a server's frame, for clients. A history page of large payloads is larger than any client frame.
///
/// # Errors
///
/// [`DecodeError`]; skip an `UnknownType`, as it comes from a newer server.
pub fn decode_server(bytes: &[u8], format: Format) -> Result<ServerFrame, DecodeError> {
    let reading = Reading { bytes, format };
    let head = decode_head(reading, usize::MAX)?;
    match ServerFrame::decode_as(&head.word, reading) {
        Some(Ok(frame)) => Ok(frame),
        Some(Err(problem)) => Err(bad_field(head, problem)),
        None => Err(DecodeError::UnknownType { word: head.word, id: head.id }),
    }
}

/// Bytes of a value that cannot be written; does not happen for the types of this crate.
#[derive(Debug, thiserror::Error)]
#[error("cannot be encoded: {0}")]
pub struct EncodeError(String);

/// Writes a frame of either direction.
///
/// # Errors
///
/// [`EncodeError`] never for the types of this crate.
pub fn encode<T: Serialize>(frame: &T, format: Format) -> Result<Bytes, EncodeError> {
    let bytes = match format {
        Format::Json => serde_json::to_vec(frame).map_err(|error| EncodeError(error.to_string()))?,
        Format::MessagePack => rmp_serde::to_vec_named(frame).map_err(|error| EncodeError(error.to_string()))?,
    };
    Ok(bytes.into())
}

/// Writes a server's frame behind what is there.
///
/// # Errors
///
/// [`EncodeError`] never for the types of this crate; what is behind then has no meaning.
pub fn encode_server(frame: &ServerFrame, format: Format, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if let (ServerFrame::MessageAck(ack), Format::Json) = (frame, format)
        && quick::message_ack(ack, out)
    {
        return Ok(());
    }
    match format {
        Format::Json => serde_json::to_writer(out, frame).map_err(|error| EncodeError(error.to_string())),
        Format::MessagePack => {
            rmp_serde::encode::write_named(out, frame).map_err(|error| EncodeError(error.to_string()))
        }
    }
}

/// Appends a record's body as it is stored.
///
/// # Errors
///
/// [`EncodeError`] never for the types of this crate.
pub fn encode_body(body: &RecordBody, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    rmp_serde::encode::write_named(out, body).map_err(|error| EncodeError(error.to_string()))
}

/// Reads a record's body as it is stored.
///
/// # Errors
///
/// [`DecodeError::Malformed`]: damaged, or written by a newer version.
pub fn decode_body(bytes: &[u8]) -> Result<RecordBody, DecodeError> {
    Reading { bytes, format: Format::MessagePack }.decode().map_err(|problem| DecodeError::Malformed(problem.text))
}
