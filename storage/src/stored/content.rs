//! What a log record is spelt like, wherever it is kept: on a disk, in a database, in memory.
//!
//! ```text
//! form 1 | flags 1 | sender type 1 | sender 16 | device 16? | client id 16? | created_at 8 | body …
//! ```
//!
//! Numbers are big-endian. A later form gets a new first byte.

use hubbub_protocol::member::SenderType;
use hubbub_protocol::record::Author;
use hubbub_protocol::{ClientMessageId, ConversationId, DeviceId, Record, Sequence, Timestamp, UserId, codec};

use super::fields::Fields;
use crate::error::{Reason, StoreError, StoreResult};
use crate::log::NewRecord;

const FORM: u8 = 1;
const HAS_DEVICE: u8 = 1;
const HAS_CLIENT_ID: u8 = 2;
/// Bytes that hardly a record needs besides its payload.
const BESIDE_PAYLOAD: usize = 192;

/// For how many bytes there should be room before a record is written, so that what it is written into need not grow.
pub(crate) fn room_for(record: &NewRecord) -> usize {
    BESIDE_PAYLOAD + record.body.payload_bytes()
}

/// Appends a record's bytes.
pub(crate) fn write(record: &NewRecord, bytes: &mut Vec<u8>) -> StoreResult<()> {
    let (device, client_id) = (record.author.device_id, record.client_message_id);
    bytes.push(FORM);
    bytes.push(device.map_or(0, |_| HAS_DEVICE) | client_id.map_or(0, |_| HAS_CLIENT_ID));
    bytes.push(sender_type_byte(record.author.sender_type));
    bytes.extend_from_slice(record.author.sender_id.as_bytes());
    if let Some(device) = device {
        bytes.extend_from_slice(device.as_bytes());
    }
    if let Some(client_id) = client_id {
        bytes.extend_from_slice(client_id.as_bytes());
    }
    bytes.extend_from_slice(&record.created_at.as_ms().to_be_bytes());
    codec::encode_body(&record.body, bytes).map_err(|error| StoreError::Invalid(Reason::new(error)))
}

/// The record with these bytes at this place; `Damaged` if they are none.
pub(crate) fn read(conversation_id: ConversationId, sequence: Sequence, bytes: &[u8]) -> StoreResult<Record> {
    let mut fields = Fields(bytes);
    if fields.take::<1>() != Some([FORM]) {
        return Err(damaged(conversation_id, sequence, "its form is one this version does not know"));
    }
    let record = fields.record(conversation_id, sequence);
    record.ok_or_else(|| damaged(conversation_id, sequence, "its record cannot be read"))
}

/// That something is wrong with the record at this place.
pub(crate) fn damaged(conversation_id: ConversationId, sequence: Sequence, what: &str) -> StoreError {
    StoreError::Damaged(Reason::new(format_args!("conversation {conversation_id}, sequence {sequence}: {what}")))
}

/// Whose act the record with these bytes is, if it carries a client id. They are known to be sound.
#[cfg(any(feature = "memory", feature = "sqlite"))]
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
