//! The bytes of one log record, with a checksum that also covers its place.
//!
//! ```text
//! content … | CRC-32 4
//! ```
//!
//! The checksum is over conversation, sequence and the content ([`super::content`]), so that a record at another place
//! than its own is as damaged as one with a flipped bit.

use hubbub_protocol::{ConversationId, Record, Sequence};

use super::content;
use crate::error::StoreResult;
use crate::log::NewRecord;

const CHECKSUM_BYTES: usize = 4;

/// The bytes of a record at a place.
pub(crate) fn encode(conversation_id: ConversationId, sequence: Sequence, record: &NewRecord) -> StoreResult<Vec<u8>> {
    let mut bytes = Vec::with_capacity(content::room_for(record) + CHECKSUM_BYTES);
    content::write(record, &mut bytes)?;
    let checksum = checksum(conversation_id, sequence, &bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    Ok(bytes)
}

/// The record with these bytes at this place; `Damaged` if they are not what was written there.
pub(crate) fn decode(conversation_id: ConversationId, sequence: Sequence, bytes: &[u8]) -> StoreResult<Record> {
    let bad = |what| content::damaged(conversation_id, sequence, what);
    let (content, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| bad("its record is cut short"))?;
    if u32::from_be_bytes(*sum) != checksum(conversation_id, sequence, content) {
        return Err(bad("its checksum does not match"));
    }
    content::read(conversation_id, sequence, content)
}

fn checksum(conversation_id: ConversationId, sequence: Sequence, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(conversation_id.as_bytes());
    hasher.update(&sequence.get().to_be_bytes());
    hasher.update(content);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::member::SenderType;
    use hubbub_protocol::record::{Author, Message, RecordBody};
    use hubbub_protocol::{ClientMessageId, DeviceId, Timestamp, UserId};

    use super::*;
    use crate::error::StoreError;

    fn message() -> NewRecord {
        NewRecord {
            author: Author {
                sender_id: UserId::from_bytes([7; 16]),
                sender_type: SenderType::Agent,
                device_id: Some(DeviceId::from_bytes([8; 16])),
            },
            created_at: Timestamp::from_ms(1_700_000_000_123),
            client_message_id: Some(ClientMessageId::from_bytes([9; 16])),
            body: RecordBody::from(Message {
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
            assert_eq!(NewRecord::from(decode(conversation, sequence, &bytes).unwrap()), record);
            #[cfg(feature = "sqlite")]
            assert_eq!(content::act(&bytes), record.client_message_id.map(|id| (record.author.sender_id, id)));
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
