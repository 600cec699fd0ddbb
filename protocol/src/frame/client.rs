//! All that a client can say.
//!
//! Each frame but `auth` may carry an `id`; its one reply carries the same. Frames that only move an ephemeral or kept mark
//! (`typing`, `presence`, `read`) are answered with `ok` only if they have one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CommandId, Cursor, direction, list};
use crate::id::{ClientMessageId, ConversationId, MessageId};
use crate::payload::Payload;
use crate::record::ReactionChange;
use crate::sequence::Sequence;

direction! {
    /// A frame from a client.
    ClientFrame {
        /// Who it is. The first frame, within [`crate::limits::LOGIN_DEADLINE_MS`].
        Auth = "auth",
        /// A fresh token for the same session, before the old one ends.
        AuthRenew = "auth.renew",
        /// Sends a message.
        MessageSend = "message.send",
        /// Takes a message back.
        MessageRecall = "message.recall",
        /// Puts a reaction to a message.
        ReactionAdd = "reaction.add",
        /// Takes a reaction away.
        ReactionRemove = "reaction.remove",
        /// Says that its person is writing, or stopped.
        Typing = "typing",
        /// Says up to where its person has read.
        Read = "read",
        /// Says whether its person is there.
        Presence = "presence",
        /// Starts (again) the flow of one conversation on this socket.
        Subscribe = "subscribe",
        /// Stops it.
        Unsubscribe = "unsubscribe",
        /// Asks for all above the cursors, then the live flow.
        Resume = "resume",
        /// Asks for a page of the past.
        History = "history",
        /// Asks for a `pong`.
        Ping = "ping",
    }
}

impl ClientFrame {
    /// The client's id of this command, if it gave one.
    pub fn id(&self) -> Option<&CommandId> {
        match self {
            Self::Auth(_) => None,
            Self::AuthRenew(frame) => frame.id.as_ref(),
            Self::MessageSend(frame) => frame.id.as_ref(),
            Self::MessageRecall(frame) => frame.id.as_ref(),
            Self::ReactionAdd(frame) => frame.id.as_ref(),
            Self::ReactionRemove(frame) => frame.id.as_ref(),
            Self::Typing(frame) => frame.id.as_ref(),
            Self::Read(frame) => frame.id.as_ref(),
            Self::Presence(frame) => frame.id.as_ref(),
            Self::Subscribe(frame) => frame.id.as_ref(),
            Self::Unsubscribe(frame) => frame.id.as_ref(),
            Self::Resume(frame) => frame.id.as_ref(),
            Self::History(frame) => frame.id.as_ref(),
            Self::Ping(frame) => frame.id.as_ref(),
        }
    }
}

/// `auth`: who it is, and what its device holds already. Its `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "auth")]
pub struct Auth {
    /// The access token.
    pub token: String,
    /// What the device holds. A conversation that is not named starts at its live edge.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list::read")]
    pub resume: Vec<Cursor>,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("resume", &self.resume).finish_non_exhaustive()
    }
}

/// `auth.renew`: answered with `ok`. Its `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "auth.renew")]
pub struct AuthRenew {
    /// The client's id of this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// The new access token, of the same session.
    pub access_token: String,
}

impl fmt::Debug for AuthRenew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthRenew").field("id", &self.id).finish_non_exhaustive()
    }
}

/// `message.send`: answered with `message.ack` once it is on disk (DURABLE).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "message.send")]
pub struct MessageSend {
    /// The client's id of this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// Where to.
    pub conversation_id: ConversationId,
    /// The id of the message; repeat a send of unknown outcome with the same (ONCE).
    pub client_message_id: ClientMessageId,
    /// What the clients agree the payload is, such as `text`.
    pub content_type: String,
    /// The sealed bytes.
    pub encrypted_payload: Payload,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// The key epoch it was sealed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
}

/// `message.recall`: answered with `ok`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "message.recall")]
pub struct MessageRecall {
    /// The client's id of this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// The message.
    pub message_id: MessageId,
}

macro_rules! reaction_frame {
    ($(#[$doc:meta])* $name:ident = $word:literal, $change:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "type", rename = $word)]
        pub struct $name {
            /// The client's id of this command.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub id: Option<CommandId>,
            /// The message.
            pub message_id: MessageId,
            /// The emoji, up to [`crate::limits::MAX_EMOJI_BYTES`].
            pub emoji: String,
        }

        impl $name {
            /// The change this frame asks for.
            pub const CHANGE: ReactionChange = ReactionChange::$change;
        }
    };
}

reaction_frame! {
    /// `reaction.add`: answered with `ok`.
    ReactionAdd = "reaction.add", Added
}
reaction_frame! {
    /// `reaction.remove`: answered with `ok`.
    ReactionRemove = "reaction.remove", Removed
}

/// `typing`: ephemeral, dropped first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "typing")]
pub struct Typing {
    /// The client's id of this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// Where.
    pub conversation_id: ConversationId,
    /// Writing, or stopped.
    pub active: bool,
}

/// `read`: kept, the highest wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "read")]
pub struct Read {
    /// The client's id of this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// Where.
    pub conversation_id: ConversationId,
    /// Read up to and including.
    pub seq: Sequence,
}

/// Whether a person is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceStatus {
    /// At least one socket is open.
    Online,
    /// A socket is open, but nobody looks at it.
    Away,
    /// No socket is open.
    Offline,
}

/// `presence`: ephemeral.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "presence")]
pub struct Presence {
    /// The client's id of this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// `online` or `away`; `offline` is what closing the socket says.
    pub status: PresenceStatus,
}

/// `subscribe`: answered with `ok`, then the replay, then `live`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "subscribe")]
pub struct Subscribe {
    /// The client's id of this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// Which.
    pub conversation_id: ConversationId,
    /// Replay all above this first; absent: start at the live edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_seq: Option<Sequence>,
}

/// `unsubscribe`: answered with `ok`; nothing of the conversation follows until it is subscribed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "unsubscribe")]
pub struct Unsubscribe {
    /// The client's id of this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// Which.
    pub conversation_id: ConversationId,
}

/// `resume`: like `subscribe` for many conversations at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "resume")]
pub struct Resume {
    /// The client's id of this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// What the device holds, up to [`crate::limits::MAX_CURSORS`] of them.
    #[serde(deserialize_with = "list::read")]
    pub conversations: Vec<Cursor>,
}

/// `history`: answered with `history`. With neither bound: the newest page; both at once are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "history")]
pub struct History {
    /// The client's id of this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// Which.
    pub conversation_id: ConversationId,
    /// The page that ends right before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_seq: Option<Sequence>,
    /// The page that begins right after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_seq: Option<Sequence>,
    /// How many, up to [`crate::limits::MAX_PAGE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `ping`: answered with `pong`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "ping")]
pub struct Ping {
    /// The client's id of this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
}
