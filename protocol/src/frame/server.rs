//! All that the hub can say: replies to commands, events of conversations, and what concerns the socket itself.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::client::PresenceStatus;
use super::{CommandId, Cursor, direction};
use crate::error::ErrorBody;
use crate::id::{ClientMessageId, ConversationId, DeviceId, MessageId, SessionId, UserId};
use crate::limits::Limits;
use crate::member::{ConversationKind, Member, SenderType};
use crate::payload::Payload;
use crate::record::{ReactionChange, Record, RecordBody};
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
    /// How many conversations follow: each with its replay (if a cursor was named) and one `live`.
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
    /// The sequence of what was stored, where something was.
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

/// Declares an event: the fields that all events share, then its own.
macro_rules! event {
    ($(#[$doc:meta])* $name:ident = $word:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "type", rename = $word)]
        pub struct $name {
            /// The conversation.
            pub conversation_id: ConversationId,
            /// The record's id.
            pub message_id: MessageId,
            /// Its place.
            pub conversation_seq: Sequence,
            /// Who did it.
            pub sender_id: UserId,
            /// A person, an agent or the system.
            pub sender_type: SenderType,
            /// From which device.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub device_id: Option<DeviceId>,
            /// When the server decided it. Order is by `conversation_seq`.
            pub created_at: Timestamp,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            fn of(record: &Record $(, $field: $type)*) -> Self {
                Self {
                    conversation_id: record.conversation_id,
                    message_id: record.message_id(),
                    conversation_seq: record.sequence,
                    sender_id: record.author.sender_id,
                    sender_type: record.author.sender_type,
                    device_id: record.author.device_id,
                    created_at: record.created_at,
                    $($field,)*
                }
            }
        }
    };
}

/// `message.new`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "message.new")]
pub struct MessageNew {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The message's id.
    pub message_id: MessageId,
    /// Its place.
    pub conversation_seq: Sequence,
    /// Who sent it.
    pub sender_id: UserId,
    /// A person, an agent or the system.
    pub sender_type: SenderType,
    /// From which device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// When the server decided it. Order is by `conversation_seq`.
    pub created_at: Timestamp,
    /// The sender's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<ClientMessageId>,
    /// What the clients agree the payload is.
    pub content_type: String,
    /// The sealed bytes; empty if the message was recalled since.
    pub encrypted_payload: Payload,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// The key epoch it was sealed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
}

event! {
    /// `message.recalled`
    MessageRecalled = "message.recalled" {
        /// The message that was taken back.
        target_id: MessageId,
    }
}
event! {
    /// `reaction.update`
    ReactionUpdate = "reaction.update" {
        /// The message it belongs to.
        target_id: MessageId,
        /// The emoji.
        emoji: String,
        /// Put or taken away.
        change: ReactionChange,
    }
}
event! {
    /// `conversation.opened`
    ConversationOpened = "conversation.opened" {
        /// Direct or group.
        kind: ConversationKind,
        /// The group's name.
        name: String,
        /// Who was in it from the start.
        members: Vec<Member>,
    }
}
event! {
    /// `member.added`
    MemberAdded = "member.added" {
        /// Who, with which rank.
        member: Member,
    }
}
event! {
    /// `member.removed`
    MemberRemoved = "member.removed" {
        /// Who; the sender if they left.
        user_id: UserId,
    }
}
event! {
    /// `member.role_changed`
    MemberRoleChanged = "member.role_changed" {
        /// Who, with the new rank.
        member: Member,
    }
}
event! {
    /// `group.updated`; what is null stayed.
    GroupUpdated = "group.updated" {
        /// The new name.
        name: Option<String>,
        /// The new description.
        description: Option<String>,
    }
}

/// The frame that tells of one record: the same live, replayed, in a `history` page and by REST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// A message.
    MessageNew(MessageNew),
    /// A message was taken back.
    MessageRecalled(MessageRecalled),
    /// A reaction came or went.
    ReactionUpdate(ReactionUpdate),
    /// The conversation began.
    ConversationOpened(ConversationOpened),
    /// Somebody became a member.
    MemberAdded(MemberAdded),
    /// Somebody ceased to be a member.
    MemberRemoved(MemberRemoved),
    /// A member's rank changed.
    MemberRoleChanged(MemberRoleChanged),
    /// The group's face changed.
    GroupUpdated(GroupUpdated),
}

impl Event {
    /// The event of a record. Cheap: payloads are shared.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let target_id = |target| MessageId::new(record.conversation_id, target);
        match &record.body {
            RecordBody::Message(message) => Self::MessageNew(MessageNew {
                conversation_id: record.conversation_id,
                message_id: record.message_id(),
                conversation_seq: record.sequence,
                sender_id: record.author.sender_id,
                sender_type: record.author.sender_type,
                device_id: record.author.device_id,
                created_at: record.created_at,
                client_message_id: record.client_message_id,
                content_type: message.content_type.clone(),
                encrypted_payload: message.payload.clone(),
                reply_to: message.reply_to.map(target_id),
                epoch: message.epoch,
            }),
            RecordBody::Recalled(recalled) => {
                Self::MessageRecalled(MessageRecalled::of(record, target_id(recalled.target)))
            }
            RecordBody::Reaction(reaction) => Self::ReactionUpdate(ReactionUpdate::of(
                record,
                target_id(reaction.target),
                reaction.emoji.clone(),
                reaction.change,
            )),
            RecordBody::Opened(opened) => Self::ConversationOpened(ConversationOpened::of(
                record,
                opened.kind,
                opened.name.clone(),
                opened.members.clone(),
            )),
            RecordBody::MemberAdded(added) => Self::MemberAdded(MemberAdded::of(record, added.member)),
            RecordBody::MemberRemoved(removed) => Self::MemberRemoved(MemberRemoved::of(record, removed.user_id)),
            RecordBody::RoleChanged(changed) => Self::MemberRoleChanged(MemberRoleChanged::of(record, changed.member)),
            RecordBody::GroupUpdated(updated) => {
                Self::GroupUpdated(GroupUpdated::of(record, updated.name.clone(), updated.description.clone()))
            }
        }
    }

    /// The place of its record, as conversation and sequence.
    pub const fn place(&self) -> MessageId {
        match self {
            Self::MessageNew(event) => event.message_id,
            Self::MessageRecalled(event) => event.message_id,
            Self::ReactionUpdate(event) => event.message_id,
            Self::ConversationOpened(event) => event.message_id,
            Self::MemberAdded(event) => event.message_id,
            Self::MemberRemoved(event) => event.message_id,
            Self::MemberRoleChanged(event) => event.message_id,
            Self::GroupUpdated(event) => event.message_id,
        }
    }
}

/// All that any event can hold. Inside a page an event's type is not known before its fields, and a generic value in
/// between is not wanted: so its fields are read first and the type picks among them.
#[derive(Deserialize)]
struct AnyEvent {
    #[serde(rename = "type")]
    word: String,
    conversation_id: ConversationId,
    message_id: MessageId,
    conversation_seq: Sequence,
    sender_id: UserId,
    sender_type: SenderType,
    device_id: Option<DeviceId>,
    created_at: Timestamp,
    client_message_id: Option<ClientMessageId>,
    content_type: Option<String>,
    encrypted_payload: Option<Payload>,
    reply_to: Option<MessageId>,
    epoch: Option<u32>,
    target_id: Option<MessageId>,
    emoji: Option<String>,
    change: Option<ReactionChange>,
    kind: Option<ConversationKind>,
    name: Option<String>,
    description: Option<String>,
    members: Option<Vec<Member>>,
    member: Option<Member>,
    user_id: Option<UserId>,
}

/// Builds an event from [`AnyEvent`]: the shared fields, the named own ones (each must be there), and the optional ones.
macro_rules! event_from {
    ($name:ident, $any:ident { $($needed:ident),* } $({ $($optional:ident),* })?) => {
        Event::$name($name {
            conversation_id: $any.conversation_id,
            message_id: $any.message_id,
            conversation_seq: $any.conversation_seq,
            sender_id: $any.sender_id,
            sender_type: $any.sender_type,
            device_id: $any.device_id,
            created_at: $any.created_at,
            $($needed: $any.$needed.ok_or_else(|| D::Error::missing_field(stringify!($needed)))?,)*
            $($($optional: $any.$optional,)*)?
        })
    };
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let any = AnyEvent::deserialize(deserializer)?;
        Ok(match any.word.as_str() {
            "message.new" => event_from!(MessageNew, any { content_type, encrypted_payload }
                { client_message_id, reply_to, epoch }),
            "message.recalled" => event_from!(MessageRecalled, any { target_id }),
            "reaction.update" => event_from!(ReactionUpdate, any { target_id, emoji, change }),
            "conversation.opened" => event_from!(ConversationOpened, any { kind, name, members }),
            "member.added" => event_from!(MemberAdded, any { member }),
            "member.removed" => event_from!(MemberRemoved, any { user_id }),
            "member.role_changed" => event_from!(MemberRoleChanged, any { member }),
            "group.updated" => event_from!(GroupUpdated, any {} { name, description }),
            other => return Err(D::Error::custom(format_args!("no event has the type {other:?}"))),
        })
    }
}

impl From<Event> for ServerFrame {
    fn from(event: Event) -> Self {
        match event {
            Event::MessageNew(event) => event.into(),
            Event::MessageRecalled(event) => event.into(),
            Event::ReactionUpdate(event) => event.into(),
            Event::ConversationOpened(event) => event.into(),
            Event::MemberAdded(event) => event.into(),
            Event::MemberRemoved(event) => event.into(),
            Event::MemberRoleChanged(event) => event.into(),
            Event::GroupUpdated(event) => event.into(),
        }
    }
}

impl ServerFrame {
    /// The event in it, if it tells of a record.
    pub fn into_event(self) -> Option<Event> {
        Some(match self {
            Self::MessageNew(event) => Event::MessageNew(event),
            Self::MessageRecalled(event) => Event::MessageRecalled(event),
            Self::ReactionUpdate(event) => Event::ReactionUpdate(event),
            Self::ConversationOpened(event) => Event::ConversationOpened(event),
            Self::MemberAdded(event) => Event::MemberAdded(event),
            Self::MemberRemoved(event) => Event::MemberRemoved(event),
            Self::MemberRoleChanged(event) => Event::MemberRoleChanged(event),
            Self::GroupUpdated(event) => Event::GroupUpdated(event),
            Self::AuthOk(_)
            | Self::AuthError(_)
            | Self::AuthExpiring(_)
            | Self::CommandOk(_)
            | Self::CommandError(_)
            | Self::MessageAck(_)
            | Self::HistoryPage(_)
            | Self::Pong(_)
            | Self::MessageRead(_)
            | Self::TypingNotice(_)
            | Self::PresenceNotice(_)
            | Self::Gap(_)
            | Self::Live(_)
            | Self::GoingAway(_)
            | Self::SessionInvalidated(_) => return None,
        })
    }
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
    /// The caller was not a member then.
    NotMember,
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
