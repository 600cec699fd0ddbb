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
