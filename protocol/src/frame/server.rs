//! All that the hub can say: replies to commands, events of conversations, and what concerns the socket itself.

mod event;

use serde::{Deserialize, Serialize};

pub use event::{
    ConversationOpened, Event, GroupUpdated, MemberAdded, MemberRemoved, MemberRoleChanged, MessageNew,
    MessageRecalled, ReactionUpdate,
};

use super::client::PresenceStatus;
use super::{CommandId, Cursor, direction};
use crate::error::ErrorBody;
use crate::id::{ClientMessageId, ConversationId, MessageId, SessionId, UserId};
use crate::limits::Limits;
use crate::member::SenderType;
use crate::sequence::Sequence;
use crate::time::Timestamp;

direction! {
    /// A frame from the hub.
    ServerFrame {
        /// The login was taken.
        AuthOk = "auth.ok",
        /// The login was refused; a close follows.
        AuthError = "auth.error",
        /// The token ends soon: send `auth.renew`.
        AuthExpiring = "auth.expiring",
        /// A command was done.
        CommandOk = "ok",
        /// A command was refused, or its outcome is unknown.
        CommandError = "error",
        /// A message is on disk.
        MessageAck = "message.ack",
        /// A page of the past.
        HistoryPage = "history",
        /// The answer to `ping`.
        Pong = "pong",
        /// Event: a message.
        MessageNew = "message.new",
        /// Event: a message was taken back.
        MessageRecalled = "message.recalled",
        /// Event: a reaction came or went.
        ReactionUpdate = "reaction.update",
        /// Event: a conversation began.
        ConversationOpened = "conversation.opened",
        /// Event: somebody became a member.
        MemberAdded = "member.added",
        /// Event: somebody ceased to be a member.
        MemberRemoved = "member.removed",
        /// Event: a member's rank changed.
        MemberRoleChanged = "member.role_changed",
        /// Event: the group's face changed.
        GroupUpdated = "group.updated",
        /// Somebody has read up to here.
        MessageRead = "message.read",
        /// Somebody is writing.
        TypingNotice = "typing",
        /// Somebody came or went.
        PresenceNotice = "presence",
        /// A range of a conversation cannot be given.
        Gap = "gap",
        /// The replay of a conversation is over; what follows is live.
        Live = "live",
        /// The socket will be closed: when to come back, and from where.
        GoingAway = "going_away",
        /// The session was ended elsewhere; a close follows.
        SessionInvalidated = "session.invalidated",
    }
}

/// `auth.ok`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "auth.ok")]
pub struct AuthOk {
    /// The login this socket belongs to.
    pub session_id: SessionId,
    /// Who it is.
    pub actor: Actor,
    /// The server's clock.
    pub server_time: Timestamp,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// How often the server pings, in milliseconds.
    pub heartbeat_ms: u64,
    /// The limits this server keeps.
    pub limits: Limits,
    /// What this server can do beyond the first version of the protocol.
    pub features: Vec<String>,
    /// How many conversations follow: each with its replay (if a cursor was named) and one `live`, but for those named
    /// that the caller is not in, which end in a `gap` of [`GapReason::NoAccess`].
    pub conversations: u64,
}

/// Who is logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The id.
    pub id: UserId,
    /// A person or an agent.
    pub kind: SenderType,
}

/// `auth.error`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "auth.error")]
pub struct AuthError {
    /// An [`crate::error::ErrorCode`]'s word.
    pub reason: String,
    /// For developers.
    pub message: String,
    /// For translators.
    pub i18n_key: String,
}

/// `auth.expiring`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "auth.expiring")]
pub struct AuthExpiring {
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// `ok`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "ok")]
pub struct CommandOk {
    /// The command's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// The sequence of what was stored, or where things stand if it was so already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_seq: Option<Sequence>,
}

/// `error`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "error")]
pub struct CommandError {
    /// The command's id; absent if the frame could not be read so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// Why.
    pub error: ErrorBody,
}

/// `message.ack`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "message.ack")]
pub struct MessageAck {
    /// The command's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// The message's client id.
    pub client_message_id: ClientMessageId,
    /// Its id from now on.
    pub message_id: MessageId,
    /// Its place. A repeated send gets the first one's (ONCE).
    pub conversation_seq: Sequence,
}

/// `history`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "history")]
pub struct HistoryPage {
    /// The command's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// The newest sequence of the conversation that this member may read.
    pub head_seq: Sequence,
}

/// `pong`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "pong")]
pub struct Pong {
    /// The command's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// The server's clock.
    pub server_time: Timestamp,
}

/// `message.read`: a kept mark, never backwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "message.read")]
pub struct MessageRead {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// Who.
    pub user_id: UserId,
    /// Read up to and including.
    pub seq: Sequence,
}

/// `typing`: ephemeral; over after [`crate::limits::TYPING_MS`] if not renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "typing")]
pub struct TypingNotice {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// Who.
    pub user_id: UserId,
    /// Writing, or stopped.
    pub active: bool,
}

/// `presence`: ephemeral.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "presence")]
pub struct PresenceNotice {
    /// Who.
    pub user_id: UserId,
    /// There, or not.
    pub status: PresenceStatus,
}

/// Why a range cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The caller was not a member then; what came later follows.
    NotMember,
    /// The caller is no member (any more): nothing of the conversation follows, and its cursor is to be forgotten.
    NoAccess,
    /// It is no longer retained.
    NotRetained,
    /// The cursor is above the head: it is from another history, such as before a restore.
    AheadOfLog,
    /// The store found it damaged.
    Damaged,
}

/// `gap`: the range cannot be given, and everything later follows (IN-ORDER).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "gap")]
pub struct Gap {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The first missing sequence.
    pub from: Sequence,
    /// The last missing sequence.
    pub to: Sequence,
    /// Why.
    pub reason: GapReason,
}

/// `live`: all up to `seq` was given; what follows is live (RESUMABLE).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "live")]
pub struct Live {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The live edge.
    pub seq: Sequence,
}

/// Why a socket will be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoingAwayReason {
    /// The server stops (DRAINED).
    Draining,
    /// More waits for this socket than it reads (BOUNDED).
    SlowReader,
}

/// `going_away`: the last frame before a close that is no fault of the client's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "going_away")]
pub struct GoingAway {
    /// Why.
    pub reason: GoingAwayReason,
    /// Come back after this long, in milliseconds: spread over the clients, so that they do not come as a herd.
    pub reconnect_after_ms: u64,
    /// Where to resume, for the conversations of which frames were still waiting, up to
    /// [`crate::limits::MAX_CURSORS`]; of the others the last sequence received.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resume: Vec<Cursor>,
}

/// `session.invalidated`: the session was ended elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "session.invalidated")]
pub struct SessionInvalidated {
    /// The session.
    pub session_id: SessionId,
}
