//! Our own wire, in JSON, as any other peer's.
//!
//! What it follows comes with the login: `auth.ok`, then one `live` a conversation.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::frame::client::{Auth, MessageSend, Unsubscribe};
use hubbub_protocol::{ClientMessageId, ConversationId, Payload};
use serde::{Deserialize, Serialize};

use super::{Door, Frame, Heard, Publish, Unreadable, Wire};
use crate::client::stamp::Stamp;

/// What a connection does with the conversations of its person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Following {
    /// Ready at `auth.ok`.
    Login,
    /// Ready when this one is live.
    Live(ConversationId),
    /// Follows none of these: it only sends.
    Nothing(Vec<ConversationId>),
}

/// A connection to Hubbub.
pub(crate) struct Hubbub {
    token: String,
    following: Following,
    /// Which run and which of its senders, for the ids of messages.
    run: u32,
    sender: u32,
    scratch: Vec<u8>,
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
    conversation_seq: Option<u64>,
    #[serde(default)]
    encrypted_payload: Option<&'a str>,
}

impl Hubbub {
    pub(crate) const fn new(token: String, following: Following, run: u32, sender: u32) -> Self {
        Self { token, following, run, sender, scratch: Vec::new() }
    }
}

/// A frame of ours in JSON. It cannot fail: the frames are the protocol's own.
fn json<T: Serialize>(frame: &T) -> Frame {
    let bytes = codec::encode(frame, Format::Json).unwrap_or_default();
    Frame::Text(String::from_utf8_lossy(&bytes).into_owned())
}

impl Wire for Hubbub {
    fn door(&self) -> Door {
        Door { path: "/ws".to_owned(), subprotocol: Some(Format::Json.subprotocol()) }
    }

    fn hello(&mut self) -> Option<Frame> {
        Some(json(&Auth { token: self.token.clone(), resume: Vec::new() }))
    }

    fn join(&mut self, _room: &str) -> Option<Frame> {
        None
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Frame {
        let stamp = Stamp { run: self.run, sender: self.sender, number: publish.number, intended_ns: 0 };
        json(&MessageSend {
            id: Some(publish.number.to_string()),
            conversation_id: publish.room.parse().unwrap_or(ConversationId::from_bytes([0; 16])),
            client_message_id: ClientMessageId::from_bytes(*stamp.id().as_bytes()),
            content_type: "text/plain".to_owned(),
            encrypted_payload: Payload::from(publish.payload.as_bytes().to_vec()),
            reply_to: None,
            epoch: None,
        })
    }

    fn read(&mut self, frame: &[u8], tell: &mut dyn FnMut(Heard<'_>)) -> Result<(), Unreadable> {
        let lean: Lean<'_> = serde_json::from_slice(frame).map_err(|_| Unreadable::frame(frame))?;
        match lean.word {
            "message.new" => {
                let text = lean.encrypted_payload.ok_or_else(|| Unreadable::frame(frame))?;
                self.scratch.clear();
                STANDARD.decode_vec(text, &mut self.scratch).map_err(|_| Unreadable::frame(frame))?;
                tell(Heard::Payload(&self.scratch));
            }
            "message.ack" => {
                let number = lean.id.and_then(|id| id.parse().ok()).ok_or_else(|| Unreadable::frame(frame))?;
                tell(Heard::Acked { number, place: lean.conversation_seq });
            }
            "auth.ok" => match &self.following {
                Following::Login => tell(Heard::Ready),
                Following::Live(_) => {}
                Following::Nothing(conversations) => {
                    for id in conversations {
                        tell(Heard::Say(json(&Unsubscribe { id: None, conversation_id: *id })));
                    }
                    tell(Heard::Ready);
                }
            },
            "live" => match self.following {
                Following::Live(due) if lean.conversation_id == Some(due) => tell(Heard::Ready),
                Following::Live(_) | Following::Login | Following::Nothing(_) => {}
            },
            "auth.error" | "error" | "going_away" | "gap" | "session.invalidated" => tell(Heard::refused(frame)),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::frame::server::{Live, MessageAck, MessageNew};
    use hubbub_protocol::member::SenderType;
    use hubbub_protocol::{MessageId, Sequence, Timestamp, UserId};

    use super::super::testing::{heard, is_unreadable, published, text};
    use super::super::{Ack, Publish};
    use super::*;

    const ROOM: ConversationId = ConversationId::from_bytes([7; 16]);
    const PLACE: MessageId = MessageId::new(ROOM, Sequence::new(42));

    fn said<T: Serialize>(frame: &T) -> String {
        text(&json(frame))
    }

    fn wire(following: Following) -> Hubbub {
        Hubbub::new("token".to_owned(), following, 1, 2)
    }

    #[test]
    fn frames_as_the_protocol_spells_them_are_read() {
        let message = MessageNew {
            conversation_id: ROOM,
            message_id: PLACE,
            conversation_seq: PLACE.sequence,
            sender_id: UserId::from_bytes([1; 16]),
            sender_type: SenderType::Human,
            device_id: None,
            created_at: Timestamp::from_ms(5),
            client_message_id: None,
            content_type: "te\"xt".to_owned(),
            encrypted_payload: Payload::from(b"hub-7".to_vec()),
            reply_to: None,
            epoch: None,
        };
        let ack = MessageAck {
            id: Some("7".to_owned()),
            client_message_id: ClientMessageId::from_bytes([3; 16]),
            message_id: PLACE,
            conversation_seq: PLACE.sequence,
        };
        let frames = [said(&message), said(&ack), r#"{"type":"from.a.newer.server"}"#.to_owned()];
        let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
        assert_eq!(heard(&mut wire(Following::Login), &frames), ["payload hub-7", "acked 7 at Some(42)"]);
        assert!(is_unreadable(&mut wire(Following::Login), "{}"));
    }

    #[test]
    fn a_socket_is_ready_when_what_it_follows_is_live_and_one_that_only_sends_leaves_first() {
        let ok = r#"{"type":"auth.ok","session_id":"s"}"#;
        let live = said(&Live { conversation_id: ROOM, seq: PLACE.sequence });
        let other = said(&Live { conversation_id: ConversationId::from_bytes([8; 16]), seq: PLACE.sequence });
        assert_eq!(heard(&mut wire(Following::Login), &[ok]), ["ready"]);
        assert_eq!(heard(&mut wire(Following::Live(ROOM)), &[ok, &other, &live]), ["ready"]);
        assert_eq!(heard(&mut wire(Following::Live(ROOM)), &[ok, &other]), [""; 0]);
        let left = heard(&mut wire(Following::Nothing(vec![ROOM])), &[ok, &live]);
        assert_eq!(
            left,
            [format!("say {{\"type\":\"unsubscribe\",\"conversation_id\":\"{ROOM}\"}}"), "ready".to_owned()]
        );
    }

    #[test]
    fn a_publish_is_a_send_with_an_id_of_its_own() {
        let mut wire = wire(Following::Login);
        let publish = Publish { room: &ROOM.to_string(), number: 7, payload: "hub-7", ack: Ack::Wanted };
        let sent: MessageSend = serde_json::from_str(&text(&wire.publish(&publish))).unwrap();
        assert_eq!((sent.conversation_id, sent.encrypted_payload.as_bytes().as_ref()), (ROOM, b"hub-7".as_slice()));
        let next = Publish { number: 8, ..publish };
        let next: MessageSend = serde_json::from_str(&text(&wire.publish(&next))).unwrap();
        assert_ne!(sent.client_message_id, next.client_message_id);
        assert!(published(&mut wire, Ack::Unwanted).contains("message.send"));
    }
}
