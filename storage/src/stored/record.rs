//! The bytes of one log record, with a checksum that also covers its place.
//!
//! ```text
//! form 1 | flags 1 | sender type 1 | sender 16 | device 16? | client id 16? | created_at 8 | body … | CRC-32 4
//! ```
//!
//! The checksum is over conversation, sequence and everything before it, so that a record at another place than its own
//! is as damaged as one with a flipped bit. Numbers are big-endian. A later form gets a new first byte.

use hubbub_protocol::member::SenderType;
use hubbub_protocol::record::Author;
use hubbub_protocol::{ClientMessageId, ConversationId, DeviceId, Record, Sequence, Timestamp, UserId, codec};

use super::fields::Fields;
use crate::error::{Reason, StoreError, StoreResult};
use crate::log::NewRecord;

const FORM: u8 = 1;
const HAS_DEVICE: u8 = 1;
const HAS_CLIENT_ID: u8 = 2;
const CHECKSUM_BYTES: usize = 4;

/// The bytes of a record at a place.
pub(crate) fn encode(conversation_id: ConversationId, sequence: Sequence, record: &NewRecord) -> StoreResult<Vec<u8>> {
    let body = codec::encode_body(&record.body).map_err(|error| StoreError::Invalid(Reason::new(error)))?;
    let (device, client_id) = (record.author.device_id, record.client_message_id);
    let mut bytes = Vec::with_capacity(3 + 16 * 3 + 8 + body.len() + CHECKSUM_BYTES);
    bytes.push(FORM);
    bytes.push(device.map_or(0, |_| HAS_DEVICE) | client_id.map_or(0, |_| HAS_CLIENT_ID));
    bytes.push(sender_type_byte(record.author.sender_type));
    bytes.extend_from_slice(record.author.sender_id.as_bytes());
    bytes.extend(device.iter().flat_map(DeviceId::as_bytes));
    bytes.extend(client_id.iter().flat_map(ClientMessageId::as_bytes));
    bytes.extend_from_slice(&record.created_at.as_ms().to_be_bytes());
    bytes.extend_from_slice(&body);
    let checksum = checksum(conversation_id, sequence, &bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    Ok(bytes)
}

/// The record with these bytes at this place; `Damaged` if they are not what was written there.
pub(crate) fn decode(conversation_id: ConversationId, sequence: Sequence, bytes: &[u8]) -> StoreResult<Record> {
    let bad = |what| {
        StoreError::Damaged(Reason::new(format_args!("conversation {conversation_id}, sequence {sequence}: {what}")))
    };
    let (content, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| bad("its record is cut short"))?;
    if u32::from_be_bytes(*sum) != checksum(conversation_id, sequence, content) {
        return Err(bad("its checksum does not match"));
    }
    let mut fields = Fields(content);
    if fields.take::<1>() != Some([FORM]) {
        return Err(bad("its form is one this version does not know"));
    }
    let record = fields.record(conversation_id, sequence);
    record.ok_or_else(|| bad("its record cannot be read"))
}

/// Whose act the record with these bytes is, if it carries a client id. They are known to be sound.
#[cfg(feature = "sqlite")]
pub(crate) fn act(bytes: &[u8]) -> Option<(UserId, ClientMessageId)> {
    let mut fields = Fields(bytes);
    let [_form, flags, _sender_type] = fields.take()?;
    let sender = UserId::from_bytes(fields.take()?);
    if flags & HAS_CLIENT_ID == 0 {
        return None;
    }
    if flags & HAS_DEVICE != 0 {
        fields.take::<16>()?;
    }
    Some((sender, ClientMessageId::from_bytes(fields.take()?)))
}

/// The record as it was handed in, to be encoded anew.
pub(crate) fn as_new(record: Record) -> NewRecord {
    let Record { author, created_at, client_message_id, body, .. } = record;
    NewRecord { author, created_at, client_message_id, body }
}

fn checksum(conversation_id: ConversationId, sequence: Sequence, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(conversation_id.as_bytes());
    hasher.update(&sequence.get().to_be_bytes());
    hasher.update(content);
    hasher.finalize()
}

impl Fields<'_> {
    fn record(mut self, conversation_id: ConversationId, sequence: Sequence) -> Option<Record> {
        let [flags, sender_type] = self.take()?;
        let author = Author {
            sender_type: sender_type_of(sender_type)?,
            sender_id: UserId::from_bytes(self.take()?),
            device_id: if flags & HAS_DEVICE == 0 { None } else { Some(DeviceId::from_bytes(self.take()?)) },
        };
        let client_message_id =
            if flags & HAS_CLIENT_ID == 0 { None } else { Some(ClientMessageId::from_bytes(self.take()?)) };
        let created_at = Timestamp::from_ms(i64::from_be_bytes(self.take()?));
        let body = codec::decode_body(self.0).ok()?;
        Some(Record { conversation_id, sequence, author, created_at, client_message_id, body })
    }
}

const fn sender_type_byte(sender_type: SenderType) -> u8 {
    match sender_type {
        SenderType::Human => 0,
        SenderType::Agent => 1,
        SenderType::System => 2,
    }
}

const fn sender_type_of(byte: u8) -> Option<SenderType> {
    match byte {
        0 => Some(SenderType::Human),
        1 => Some(SenderType::Agent),
        2 => Some(SenderType::System),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::record::{Message, RecordBody};

    use super::*;

    fn message() -> NewRecord {
        NewRecord {
            author: Author {
                sender_id: UserId::from_bytes([7; 16]),
                sender_type: SenderType::Agent,
                device_id: Some(DeviceId::from_bytes([8; 16])),
            },
            created_at: Timestamp::from_ms(1_700_000_000_123),
            client_message_id: Some(ClientMessageId::from_bytes([9; 16])),
            body: RecordBody::Message(Message {
                content_type: "text".to_owned(),
                payload: vec![1, 2, 3].into(),
                reply_to: Some(Sequence::new(2)),
                epoch: None,
            }),
        }
    }

    #[test]
    fn a_record_reads_as_it_was_written_with_and_without_its_optional_fields() {
        let (conversation, sequence) = (ConversationId::from_bytes([1; 16]), Sequence::new(5));
        let mut record = message();
        for _ in 0..2 {
            let bytes = encode(conversation, sequence, &record).unwrap();
            assert_eq!(as_new(decode(conversation, sequence, &bytes).unwrap()), record);
            #[cfg(feature = "sqlite")]
            assert_eq!(act(&bytes), record.client_message_id.map(|id| (record.author.sender_id, id)));
            record.author.device_id = None;
            record.client_message_id = None;
        }
    }

    #[test]
    fn every_flipped_bit_and_every_other_place_is_damage() {
        let (conversation, sequence) = (ConversationId::from_bytes([1; 16]), Sequence::new(5));
        let bytes = encode(conversation, sequence, &message()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = decode(conversation, sequence, &flipped);
            assert!(matches!(read, Err(StoreError::Damaged(_))), "bit {bit} was flipped and served");
        }
        for length in 0..bytes.len() {
            assert!(decode(conversation, sequence, &bytes[..length]).is_err(), "cut to {length} bytes and served");
        }
        assert!(decode(conversation, sequence.next(), &bytes).is_err());
        assert!(decode(ConversationId::from_bytes([2; 16]), sequence, &bytes).is_err());
    }
}
