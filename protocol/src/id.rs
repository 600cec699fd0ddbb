//! Who and what: identifiers, their text for JSON and their raw bytes for MessagePack.
//!
//! Every id is 16 bytes (a UUID) but [`MessageId`], which is its conversation's id followed by its sequence, so that no
//! index is needed to find a message.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::sequence::Sequence;

/// An id that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}")]
pub struct BadId {
    /// What would have been an id.
    pub expected: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, ordered by the time it was made (`UUIDv7`, RFC 9562 section 5.7).
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id with these 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Its 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                Uuid::parse_str(text).map(Self).map_err(|_| BadId { expected: "a UUID" })
            }
        }
    };
}

uuid_id! {
    /// A person, or later an agent: whoever can be a member.
    UserId
}
uuid_id! {
    /// A conversation. Direct ones derive theirs from the pair of members (a `UUIDv8`), so that opening one twice finds it.
    ConversationId
}
uuid_id! {
    /// A login: one refresh-token family, and the sockets opened under it.
    SessionId
}
uuid_id! {
    /// A device as its client names it; stays the same over logins.
    DeviceId
}
uuid_id! {
    /// A node of a cluster, for one run of its process.
    NodeId
}

/// The id a client gives to what it sends, so that a retry is the same send (ONCE).
///
/// Any 16 bytes. In JSON it is read as a UUID (36 characters) or a ULID (26, Crockford's base 32) and always written as
/// a UUID: compare the bytes, or match replies by the command's `id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientMessageId([u8; 16]);

impl ClientMessageId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A new id, ordered by the time it was made.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7().into_bytes())
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ClientMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).fmt(f)
    }
}

impl FromStr for ClientMessageId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bytes = if text.len() == ULID_CHARACTERS { parse_ulid(text) } else { parse_uuid(text) };
        bytes.map(Self).ok_or(BadId { expected: "a UUID or a ULID" })
    }
}

const ULID_CHARACTERS: usize = 26;

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    Uuid::parse_str(text).ok().map(Uuid::into_bytes)
}

/// Crockford's base 32: 26 characters of 5 bits hold 130 bits, so the first may not exceed 7.
fn parse_ulid(text: &str) -> Option<[u8; 16]> {
    let mut value: u128 = 0;
    for (place, character) in text.bytes().enumerate() {
        let digit = crockford_digit(character)?;
        if place == 0 && digit > 7 {
            return None;
        }
        value = (value << 5) | u128::from(digit);
    }
    Some(value.to_be_bytes())
}

fn crockford_digit(character: u8) -> Option<u8> {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let canonical = match character.to_ascii_uppercase() {
        b'I' | b'L' => b'1',
        b'O' => b'0',
        other => other,
    };
    let place = ALPHABET.iter().position(|known| *known == canonical)?;
    u8::try_from(place).ok()
}

/// Where a message stands: conversation and sequence, as 24 bytes or 32 characters of base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The conversation it is in.
    pub conversation_id: ConversationId,
    /// Its place there.
    pub sequence: Sequence,
}

impl MessageId {
    /// The id of the record at this place.
    #[must_use]
    pub const fn new(conversation_id: ConversationId, sequence: Sequence) -> Self {
        Self { conversation_id, sequence }
    }

    fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(self.conversation_id.as_bytes());
        bytes[16..].copy_from_slice(&self.sequence.get().to_be_bytes());
        bytes
    }

    /// Its text, as ASCII.
    pub(crate) fn to_characters(self) -> [u8; 32] {
        let mut text = [0; 32];
        // 24 bytes are exactly 32 characters without padding.
        let _all = base64_simd::URL_SAFE_NO_PAD.encode(&self.to_bytes(), base64_simd::Out::from_slice(&mut text));
        text
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (conversation, sequence) = bytes.split_at_checked(16)?;
        Some(Self {
            conversation_id: ConversationId::from_bytes(conversation.try_into().ok()?),
            sequence: Sequence::new(u64::from_be_bytes(sequence.try_into().ok()?)),
        })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_characters()).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for MessageId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let mut bytes = [0; 24];
        let bad = BadId { expected: "a message id (32 characters of base64url)" };
        if text.len() != 32 {
            return Err(bad);
        }
        URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| bad)?;
        Self::from_bytes(&bytes).ok_or(bad)
    }
}

/// Text in JSON, raw bytes in MessagePack, for the two ids that are not plain UUIDs. Neither reads the other's form.
macro_rules! text_or_bytes {
    ($name:ident, $bytes:expr, $parse:expr, $text:literal, $raw:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    let to_bytes: fn(&$name) -> _ = $bytes;
                    serializer.serialize_bytes(&to_bytes(self))
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct TextReader;
                impl Visitor<'_> for TextReader {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($text)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                struct BytesReader;
                impl Visitor<'_> for BytesReader {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($raw)
                    }

                    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        let parse: fn(&[u8]) -> Option<$name> = $parse;
                        parse(bytes).ok_or_else(|| E::invalid_length(bytes.len(), &self))
                    }
                }
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(TextReader)
                } else {
                    deserializer.deserialize_bytes(BytesReader)
                }
            }
        }
    };
}

text_or_bytes!(
    MessageId,
    |id| id.to_bytes(),
    MessageId::from_bytes,
    "a message id: 32 characters of base64url",
    "a message id: 24 raw bytes"
);
text_or_bytes!(
    ClientMessageId,
    |id| id.0,
    |bytes| Some(ClientMessageId(bytes.try_into().ok()?)),
    "a client message id: a UUID or a ULID",
    "a client message id: 16 raw bytes"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ulid_and_the_uuid_of_the_same_bytes_are_one_id() {
        let ulid: ClientMessageId = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        let same: ClientMessageId = "01563e3a-b5d3-d676-4c61-efb99302bd5b".parse().unwrap();
        assert_eq!(ulid, same, "ONCE: a retry in the other spelling would be another message");
        assert_eq!(ulid.to_string(), "01563e3a-b5d3-d676-4c61-efb99302bd5b");
    }

    #[test]
    fn a_ulid_is_read_in_either_case_and_with_the_letters_that_look_alike() {
        let canonical: ClientMessageId = "01ARZ3NDEKTSV4RRFFQ69G5F10".parse().unwrap();
        for alike in ["01arz3ndektsv4rrffq69g5f10", "01ARZ3NDEKTSV4RRFFQ69G5FIO", "oIARZ3NDEKTSV4RRFFQ69G5FLo"] {
            assert_eq!(alike.parse(), Ok(canonical), "{alike}");
        }
    }

    #[test]
    fn a_ulid_ends_where_128_bits_end() {
        assert_eq!("7ZZZZZZZZZZZZZZZZZZZZZZZZZ".parse(), Ok(ClientMessageId::from_bytes([0xff; 16])));
        for over in ["8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "80000000000000000000000000", "U1ARZ3NDEKTSV4RRFFQ69G5FAV"] {
            assert!(over.parse::<ClientMessageId>().is_err(), "{over}");
        }
    }

    #[test]
    fn a_message_id_is_its_conversation_and_sequence() {
        let conversation_id: ConversationId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let id = MessageId::new(conversation_id, Sequence::new(258));
        assert_eq!(id.to_string(), "AYkKXayWd0u8zrMCCZqAVwAAAAAAAAEC");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_message_id_of_another_length_or_alphabet_is_refused() {
        for wrong in [
            "",
            "AYkKXayWd0u8zrMCCZqAVwAAAAAAAAE",
            "AYkKXayWd0u8zrMCCZqAVwAAAAAAAAECA",
            "AYkKXayWd0u8zrMCCZqAVwAAAAAAAA+/",
        ] {
            assert!(wrong.parse::<MessageId>().is_err(), "{wrong}");
        }
    }
}
