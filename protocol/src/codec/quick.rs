//! The two frames of every message, `message.send` in and `message.ack` out, read and written in JSON without detours.
//!
//! A short cut and nothing more: it reads only what is spelt as nearly every client spells it (no spaces, no escapes, each
//! field once, `type` first) and leaves all else, whatever is wrong too, to the way that every frame can go. So there is
//! one judge of what is allowed, and one place that says what is wrong. Tests compare the two ways.

use std::ops::Range;
use std::str::FromStr;

use memchr::memchr;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::frame::client::MessageSend;
use crate::frame::server::MessageAck;
use crate::id::{ClientMessageId, ConversationId};
use crate::limits::MAX_COMMAND_ID_BYTES;
use crate::payload::Payload;

const BEGINNING: &[u8] = br#"{"type":"message.send","#;

/// The frame, if it is a `message.send` that is plainly spelt and in order.
pub(super) fn message_send(bytes: &[u8]) -> Option<MessageSend> {
    let mut rest = bytes.strip_prefix(BEGINNING)?;
    let (mut id, mut conversation_id, mut client_message_id) = (None, None, None);
    let (mut content_type, mut payload, mut reply_to, mut epoch) = (None, None, None, None);
    loop {
        if skip(&mut rest, br#""id":"#) {
            once(&mut id, plain(&mut rest)?)?;
        } else if skip(&mut rest, br#""conversation_id":"#) {
            once(&mut conversation_id, ConversationId::from_bytes(uuid(&mut rest)?))?;
        } else if skip(&mut rest, br#""client_message_id":"#) {
            once(&mut client_message_id, client_message(&mut rest)?)?;
        } else if skip(&mut rest, br#""content_type":"#) {
            once(&mut content_type, plain(&mut rest)?)?;
        } else if skip(&mut rest, br#""encrypted_payload":"#) {
            once(&mut payload, Payload::from_base64(text(&mut rest)?)?)?;
        } else if skip(&mut rest, br#""reply_to":"#) {
            once(&mut reply_to, parsed(text(&mut rest)?)?)?;
        } else if skip(&mut rest, br#""epoch":"#) {
            once(&mut epoch, number(&mut rest)?)?;
        } else {
            return None;
        }
        match rest.split_first()? {
            (b',', more) => rest = more,
            (b'}', []) => break,
            _ => return None,
        }
    }
    if id.as_ref().is_some_and(|id: &String| id.len() > MAX_COMMAND_ID_BYTES) {
        return None;
    }
    Some(MessageSend {
        id,
        conversation_id: conversation_id?,
        client_message_id: client_message_id?,
        content_type: content_type?,
        encrypted_payload: payload?,
        reply_to,
        epoch,
    })
}

/// A field that comes twice is not for here.
fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

/// What stands between the next two quotes; escapes are for its reader to refuse.
fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let from = rest.strip_prefix(b"\"")?;
    let (text, after) = from.split_at_checked(memchr(b'"', from)?)?;
    *rest = after.get(1..)?;
    Some(text)
}

/// Whether this stands next; then it is behind.
fn skip(rest: &mut &[u8], key: &[u8]) -> bool {
    rest.strip_prefix(key).map(|after| *rest = after).is_some()
}

/// A short text without escapes.
fn plain(rest: &mut &[u8]) -> Option<String> {
    let from = rest.strip_prefix(b"\"")?;
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) && !matches!(byte, b'"' | b'\\');
    let (text, after) = from.split_at(from.iter().take_while(|byte| is_plain(byte)).count());
    *rest = after.strip_prefix(b"\"")?;
    String::from_utf8(text.to_vec()).ok()
}

/// A UUID in its usual spelling, which has one length.
fn uuid(rest: &mut &[u8]) -> Option<[u8; 16]> {
    let (text, after) = rest.strip_prefix(b"\"")?.split_first_chunk::<{ Hyphenated::LENGTH }>()?;
    *rest = after.strip_prefix(b"\"")?;
    Some(Uuid::try_parse_ascii(text).ok()?.into_bytes())
}

/// Most are UUIDs; there is another spelling.
fn client_message(rest: &mut &[u8]) -> Option<ClientMessageId> {
    let mut after = *rest;
    let Some(bytes) = uuid(&mut after) else { return parsed(text(rest)?) };
    *rest = after;
    Some(ClientMessageId::from_bytes(bytes))
}

fn parsed<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A number in the spelling of JSON: no sign, no zero in front.
fn number(rest: &mut &[u8]) -> Option<u32> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, after) = rest.split_at_checked(digits)?;
    if digits == 0 || (digits > 1 && number[0] == b'0') {
        return None;
    }
    *rest = after;
    parsed(number)
}

/// What an ack says after its own id: where the others go, and up to where the sequence does.
const IDS: &[u8; 126] = br#""client_message_id":"00000000-0000-0000-0000-000000000000","message_id":"________________________________","conversation_seq":"#;
const CLIENT_ID: Range<usize> = 21..21 + Hyphenated::LENGTH;
const MESSAGE_ID: Range<usize> = 73..73 + 32;

/// Appends an ack; false, and nothing is appended, if its id wants escapes.
pub(super) fn message_ack(ack: &MessageAck, out: &mut Vec<u8>) -> bool {
    let id = ack.id.as_deref().unwrap_or_default().as_bytes();
    if !id.iter().all(|byte| (b' '..=b'~').contains(byte) && !matches!(byte, b'"' | b'\\')) {
        return false;
    }
    out.extend_from_slice(br#"{"type":"message.ack","#);
    if ack.id.is_some() {
        out.extend_from_slice(br#""id":""#);
        out.extend_from_slice(id);
        out.extend_from_slice(br#"","#);
    }
    let mut ids = *IDS;
    Uuid::from_bytes(*ack.client_message_id.as_bytes()).hyphenated().encode_lower(&mut ids[CLIENT_ID]);
    ids[MESSAGE_ID].copy_from_slice(&ack.message_id.to_characters());
    out.extend_from_slice(&ids);
    digits(ack.conversation_seq.get(), out);
    out.push(b'}');
    true
}

fn digits(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{Format, decode_server, encode};
    use crate::frame::server::ServerFrame;
    use crate::id::MessageId;
    use crate::sequence::Sequence;

    const CONVERSATION: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn slow(bytes: &[u8]) -> Option<MessageSend> {
        serde_json::from_slice(bytes).ok()
    }

    fn any_id() -> impl Strategy<Value = ClientMessageId> {
        any::<[u8; 16]>().prop_map(ClientMessageId::from_bytes)
    }

    proptest! {
        #[test]
        fn what_the_short_cut_reads_is_what_everybody_reads(
            id in proptest::option::of(".{0,70}"),
            client in any_id(),
            content_type in "[a-z/+.]{0,20}|.{0,5}",
            payload in proptest::collection::vec(any::<u8>(), 0..100),
            reply_to in proptest::option::of(any::<u64>()),
            epoch in proptest::option::of(any::<u32>()),
        ) {
            let conversation_id: ConversationId = CONVERSATION.parse().unwrap();
            let reply_to = reply_to.map(|seq| MessageId::new(conversation_id, Sequence::new(seq)));
            let encrypted_payload = Payload::from(payload);
            let frame = MessageSend {
                id, conversation_id, client_message_id: client, content_type, encrypted_payload, reply_to, epoch,
            };
            let bytes = encode(&frame, Format::Json).unwrap();
            let is_plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && !b"\"\\".contains(&byte));
            let short = message_send(&bytes);
            if is_plain(&frame.content_type) && frame.id.as_deref().is_none_or(|id| is_plain(id) && id.len() <= 64) {
                prop_assert_eq!(short, Some(frame));
            } else if short.is_some() {
                prop_assert_eq!(short, slow(&bytes));
            }
        }

        #[test]
        fn what_was_changed_anywhere_is_read_alike_or_left(at in 0..400_usize, byte in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = format!(
                r#"{{"type":"message.send","id":"7","conversation_id":"{CONVERSATION}","client_message_id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","content_type":"text","encrypted_payload":"AQID","reply_to":"AYkKXayWd0u8zrMCCZqAVwAAAAAAAAEC","epoch":12}}"#
            ).into_bytes();
            let at = at % bytes.len();
            if cut { bytes.truncate(at); } else { bytes[at] = byte; }
            if let Some(short) = message_send(&bytes) {
                prop_assert_eq!(Some(short), slow(&bytes));
            }
        }

        #[test]
        fn an_ack_is_written_as_everybody_writes_it(
            id in proptest::option::of(".{0,20}"), client in any_id(), seq in any::<u64>(),
        ) {
            let message_id = MessageId::new(CONVERSATION.parse().unwrap(), Sequence::new(seq));
            let ack = MessageAck { id, client_message_id: client, message_id, conversation_seq: Sequence::new(seq) };
            let mut short = Vec::new();
            let slow = encode(&ack, Format::Json).unwrap();
            if message_ack(&ack, &mut short) {
                prop_assert_eq!(&short, &slow);
            } else {
                prop_assert!(short.is_empty());
            }
            prop_assert_eq!(decode_server(&slow, Format::Json), Ok(ServerFrame::MessageAck(ack)));
        }
    }
}
