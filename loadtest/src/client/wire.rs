//! The lean reading of a frame: of messages and acks only what a ledger needs, in one pass and with nothing copied.
//!
//! A generator shares its two cores with the server that it measures, so a delivery must cost it little. All other
//! frames are read by the codec, in full.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubbub_protocol::codec::{self, DecodeError, Format};
use hubbub_protocol::frame::server::{Event, ServerFrame};
use hubbub_protocol::{ClientMessageId, ConversationId, MessageId, Sequence, UserId};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::stamp::{self, Stamp};

/// Digits of the largest number, and the quote after them.
const MAX_DIGITS: usize = 21;

/// A frame as a client needs it.
pub(crate) enum Glance {
    /// An event of a conversation.
    Event(Seen),
    /// `message.ack`: the number of the command, and where the message stands.
    Ack { command: u64, sequence: Sequence },
    /// `typing`, which comes by the hundred thousand too.
    Typing,
    /// All else.
    Other(Box<ServerFrame>),
}

/// What is kept of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The place in it.
    pub sequence: Sequence,
    /// The sender's id of it, for messages.
    pub client_message_id: Option<ClientMessageId>,
    /// The stamp in it, if it is a message of this crate.
    pub stamp: Option<Stamp>,
    /// Who came or went, if that is what it tells.
    pub change: Option<Change>,
    /// The same for every reader of the same event.
    pub fingerprint: u64,
}

/// A change of who is a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// From here on they are.
    Joined(UserId),
    /// From here on they are not.
    Left(UserId),
}

impl Seen {
    /// What is kept of an event that was read in full, such as one of a history.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let place = event.place();
        let message = match event {
            Event::MessageNew(message) => Some((message.client_message_id, message.encrypted_payload.as_bytes())),
            Event::MemberAdded(added) => return Self::changed(place, Change::Joined(added.member.user_id)),
            Event::MemberRemoved(removed) => return Self::changed(place, Change::Left(removed.user_id)),
            Event::MessageRecalled(_)
            | Event::ReactionUpdate(_)
            | Event::ConversationOpened(_)
            | Event::MemberRoleChanged(_)
            | Event::GroupUpdated(_) => None,
        };
        match message {
            Some((id, payload)) => Self::message(place.conversation_id, place.sequence, id, payload),
            None => Self {
                conversation_id: place.conversation_id,
                sequence: place.sequence,
                client_message_id: None,
                stamp: None,
                change: None,
                fingerprint: place.sequence.get(),
            },
        }
    }

    fn changed(place: MessageId, change: Change) -> Self {
        let (word, who) = match &change {
            Change::Joined(who) => (1, who),
            Change::Left(who) => (2, who),
        };
        let fingerprint = stamp::mix(stamp::fingerprint(who.as_bytes()) ^ word, place.sequence.get());
        Self {
            conversation_id: place.conversation_id,
            sequence: place.sequence,
            client_message_id: None,
            stamp: None,
            change: Some(change),
            fingerprint,
        }
    }

    fn message(
        conversation_id: ConversationId,
        sequence: Sequence,
        client_message_id: Option<ClientMessageId>,
        payload: &[u8],
    ) -> Self {
        let fingerprint = stamp::mix(stamp::content(client_message_id, payload), sequence.get());
        Self { conversation_id, sequence, client_message_id, stamp: Stamp::read(payload), change: None, fingerprint }
    }
}

#[derive(Deserialize)]
struct Lean<'a> {
    #[serde(rename = "type")]
    word: &'a str,
    #[serde(default)]
    id: Option<&'a str>,
    #[serde(default)]
    conversation_id: Option<ConversationId>,
    #[serde(default)]
    conversation_seq: Option<Sequence>,
    #[serde(default)]
    client_message_id: Option<ClientMessageId>,
    #[serde(default, borrow)]
    encrypted_payload: Option<RawPayload<'a>>,
}

/// A payload as it lies in the frame.
enum RawPayload<'a> {
    Base64(&'a str),
    Bytes(&'a [u8]),
}

impl<'de: 'a, 'a> Deserialize<'de> for RawPayload<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            <&'de str>::deserialize(deserializer).map(RawPayload::Base64)
        } else {
            deserializer.deserialize_bytes(BorrowedBytes).map(RawPayload::Bytes)
        }
    }
}

struct BorrowedBytes;

impl<'de> Visitor<'de> for BorrowedBytes {
    type Value = &'de [u8];

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<&'de [u8], E> {
        Ok(bytes)
    }
}

/// Reads a frame. `scratch` is where base64 is taken apart; it is kept between calls.
pub(crate) fn read(bytes: &[u8], format: Format, scratch: &mut Vec<u8>) -> Result<Glance, DecodeError> {
    if let Some(ack) = plain_ack(bytes) {
        return Ok(ack);
    }
    let lean: Option<Lean<'_>> = match format {
        Format::Json => serde_json::from_slice(bytes).ok(),
        Format::MessagePack => rmp_serde::from_slice(bytes).ok(),
    };
    if let Some(glance) = lean.and_then(|lean| hot(&lean, scratch)) {
        return Ok(glance);
    }
    let frame = codec::decode_server(bytes, format)?;
    let event = frame.clone().into_event();
    Ok(event.map_or_else(|| Glance::Other(Box::new(frame)), |event| Glance::Event(Seen::of(&event))))
}

/// An ack in JSON as it is commonly written, by its two ends; `None` for all else, which is read by its fields.
fn plain_ack(bytes: &[u8]) -> Option<Glance> {
    let rest = bytes.strip_prefix(b"{\"type\":\"message.ack\",\"id\":\"")?;
    let end = rest.iter().take(MAX_DIGITS).position(|byte| *byte == b'"')?;
    let rest = rest.strip_suffix(b"}")?;
    let start = rest.iter().rposition(|byte| !byte.is_ascii_digit())? + 1;
    rest.get(..start)?.strip_suffix(b"\"conversation_seq\":")?;
    Some(Glance::Ack { command: number(rest.get(..end)?)?, sequence: Sequence::new(number(rest.get(start..)?)?) })
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The frames that come by the hundred thousand; `None` for the others and whatever is odd.
fn hot(lean: &Lean<'_>, scratch: &mut Vec<u8>) -> Option<Glance> {
    if lean.word == "typing" {
        return Some(Glance::Typing);
    }
    let sequence = lean.conversation_seq?;
    match lean.word {
        "message.ack" => Some(Glance::Ack { command: lean.id?.parse().ok()?, sequence }),
        "message.new" => {
            let payload = match lean.encrypted_payload.as_ref()? {
                RawPayload::Bytes(bytes) => *bytes,
                RawPayload::Base64(text) => {
                    scratch.clear();
                    STANDARD.decode_vec(text, scratch).ok()?;
                    scratch.as_slice()
                }
            };
            Some(Glance::Event(Seen::message(lean.conversation_id?, sequence, lean.client_message_id, payload)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::frame::server::{CommandError, MemberRemoved, MessageAck, MessageNew};
    use hubbub_protocol::member::SenderType;
    use hubbub_protocol::{ErrorBody, ErrorCode, Payload, Timestamp};
    use serde::Serialize;

    use super::*;

    const PLACE: MessageId = MessageId::new(ConversationId::from_bytes([7; 16]), Sequence::new(42));

    fn glance<T: Serialize>(frame: &T, format: Format) -> Option<Glance> {
        let bytes = codec::encode(frame, format).ok()?;
        read(&bytes, format, &mut Vec::new()).ok()
    }

    fn message(payload: Vec<u8>, client_message_id: Option<ClientMessageId>) -> MessageNew {
        MessageNew {
            conversation_id: PLACE.conversation_id,
            message_id: PLACE,
            conversation_seq: PLACE.sequence,
            sender_id: UserId::from_bytes([1; 16]),
            sender_type: SenderType::Human,
            device_id: None,
            created_at: Timestamp::from_ms(5),
            client_message_id,
            content_type: "te\"xt\\".to_owned(),
            encrypted_payload: Payload::from(payload),
            reply_to: Some(PLACE),
            epoch: Some(3),
        }
    }

    #[test]
    fn a_message_reads_the_same_leanly_and_in_full_in_both_formats() {
        let stamp = Stamp { run: 1, sender: 2, number: 3, intended_ns: 4 };
        for size in [0, 1, 31, 32, 33, 200, 70_000] {
            let payload = if size < stamp::STAMP_BYTES { vec![9; size] } else { stamp.payload(size).to_vec() };
            for id in [None, Some(stamp.id())] {
                let full = message(payload.clone(), id);
                let expected = Seen::of(&Event::MessageNew(full.clone()));
                assert_eq!(expected.stamp, (size >= stamp::STAMP_BYTES).then_some(stamp));
                for format in Format::ALL {
                    let Some(Glance::Event(seen)) = glance(&full, format) else { panic!("{format:?}: not an event") };
                    assert_eq!(seen, expected, "{format:?}, {size} bytes");
                }
            }
        }
    }

    #[test]
    fn acks_events_and_other_frames_are_told_apart_in_both_formats() {
        let ack = MessageAck {
            id: Some("17".to_owned()),
            client_message_id: ClientMessageId::from_bytes([3; 16]),
            message_id: PLACE,
            conversation_seq: PLACE.sequence,
        };
        let removed = MemberRemoved {
            conversation_id: PLACE.conversation_id,
            message_id: PLACE,
            conversation_seq: PLACE.sequence,
            sender_id: UserId::from_bytes([1; 16]),
            sender_type: SenderType::System,
            device_id: None,
            created_at: Timestamp::from_ms(5),
            user_id: UserId::from_bytes([2; 16]),
        };
        let refused = CommandError { id: None, error: ErrorBody::new(ErrorCode::NotFound, "gone") };
        for format in Format::ALL {
            let Some(Glance::Ack { command: 17, sequence }) = glance(&ack, format) else { panic!("not an ack") };
            assert_eq!(sequence, PLACE.sequence);
            let unnumbered = MessageAck { id: Some("x".to_owned()), ..ack.clone() };
            assert!(matches!(glance(&unnumbered, format), Some(Glance::Other(_))), "no command of ours");
            let Some(Glance::Event(seen)) = glance(&removed, format) else { panic!("not an event") };
            assert_eq!((seen.sequence, seen.client_message_id), (PLACE.sequence, None));
            assert_eq!(seen.change, Some(Change::Left(removed.user_id)));
            let Some(Glance::Other(other)) = glance(&refused, format) else { panic!("not another frame") };
            assert_eq!(*other, ServerFrame::CommandError(refused.clone()));
        }
    }
}
