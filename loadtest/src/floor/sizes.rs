//! How large the frames of a scenario are on the wire, so that its floor moves as many bytes.

use bytes::Bytes;
use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::frame::client::MessageSend;
use hubbub_protocol::frame::server::{MessageAck, MessageNew};
use hubbub_protocol::member::SenderType;
use hubbub_protocol::{ClientMessageId, ConversationId, DeviceId, MessageId, Payload, Sequence, Timestamp, UserId};
use serde::Serialize;

use crate::options::{Common, Formats};

/// A command's number is about so long.
const NUMBER: &str = "1000000";
/// The mask of a client's frame.
const MASK_BYTES: usize = 4;

/// `message.send`, `message.ack` and `message.new` of this run, in bytes: means, where formats are mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) send: usize,
    pub(crate) ack: usize,
    pub(crate) new: usize,
}

impl Sizes {
    pub(crate) fn of(common: &Common) -> Self {
        let formats = match common.format {
            Formats::Json => [Format::Json; 2],
            Formats::Msgpack => [Format::MessagePack; 2],
            Formats::Mixed => Format::ALL,
        };
        let mean = |size: &dyn Fn(Format) -> usize| formats.iter().map(|format| size(*format)).sum::<usize>() / 2;
        let payload = Payload::new(Bytes::from(vec![b'x'; common.payload]));
        let place = MessageId::new(ConversationId::generate(), Sequence::new(1_000));
        let id = ClientMessageId::generate();
        let kind = "application/octet-stream";
        let send = MessageSend {
            id: Some(NUMBER.to_owned()),
            conversation_id: place.conversation_id,
            client_message_id: id,
            content_type: kind.to_owned(),
            encrypted_payload: payload.clone(),
            reply_to: None,
            epoch: None,
        };
        let ack = MessageAck {
            id: Some(NUMBER.to_owned()),
            client_message_id: id,
            message_id: place,
            conversation_seq: Sequence::new(1_000),
        };
        let new = MessageNew {
            conversation_id: place.conversation_id,
            message_id: place,
            conversation_seq: Sequence::new(1_000),
            sender_id: UserId::generate(),
            sender_type: SenderType::Human,
            device_id: Some(DeviceId::generate()),
            created_at: Timestamp::from_ms(1_700_000_000_000),
            client_message_id: Some(id),
            content_type: kind.to_owned(),
            encrypted_payload: payload,
            reply_to: None,
            epoch: None,
        };
        Self {
            send: MASK_BYTES + mean(&|format| framed(&send, format)),
            ack: mean(&|format| framed(&ack, format)),
            new: mean(&|format| framed(&new, format)),
        }
    }
}

/// A frame with its WebSocket header.
fn framed(frame: &impl Serialize, format: Format) -> usize {
    let length = codec::encode(frame, format).map_or(0, |bytes| bytes.len());
    let header = if length < 126 {
        2
    } else if length <= 0xffff {
        4
    } else {
        10
    };
    header + length
}
