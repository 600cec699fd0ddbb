//! Events: the frames that tell of one record each, and the way from a record to its event.
//!
//! An event is the same object live, replayed, in a `history` page and by REST; docs/decisions/0004 says why.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::ServerFrame;
use crate::id::{ClientMessageId, ConversationId, DeviceId, MessageId, UserId};
use crate::member::{ConversationKind, Member, SenderType};
use crate::payload::Payload;
use crate::record::{ReactionChange, Record, RecordBody};
use crate::sequence::Sequence;
use crate::time::Timestamp;

/// Declares the events, each with the fields that all share and then its own, and [`Event`], which is any of them.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $word:literal { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {
        $(
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
                $($(#[$field_meta])* pub $field: $type,)*
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
        )*

        /// The frame that tells of one record: the same live, replayed, in a `history` page and by REST.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $($(#[$doc])* $name($name),)*
        }

        impl Event {
            /// The place of its record, as conversation and sequence.
            pub const fn place(&self) -> MessageId {
                match self { $(Self::$name(event) => event.message_id,)* }
            }
        }

        impl From<Event> for ServerFrame {
            fn from(event: Event) -> Self {
                match event { $(Event::$name(event) => event.into(),)* }
            }
        }

        impl ServerFrame {
            /// The event in it, if it tells of a record.
            pub fn into_event(self) -> Option<Event> {
                match self {
                    $(Self::$name(event) => Some(Event::$name(event)),)*
                    // Whatever is not declared here tells of no record.
                    _ => None,
                }
            }
        }
    };
}

events! {
    /// `message.new`
    MessageNew = "message.new" {
        /// The sender's id of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_message_id: Option<ClientMessageId>,
        /// What the clients agree the payload is.
        content_type: String,
        /// The sealed bytes; empty if the message was recalled since.
        encrypted_payload: Payload,
        /// The message it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<MessageId>,
        /// The key epoch it was sealed in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<u32>,
    }
    /// `message.recalled`
    MessageRecalled = "message.recalled" {
        /// The message that was taken back.
        target_id: MessageId,
    }
    /// `reaction.update`
    ReactionUpdate = "reaction.update" {
        /// The message it belongs to.
        target_id: MessageId,
        /// The emoji.
        emoji: String,
        /// Put or taken away.
        change: ReactionChange,
    }
    /// `conversation.opened`
    ConversationOpened = "conversation.opened" {
        /// Direct or group.
        kind: ConversationKind,
        /// The group's name.
        name: String,
        /// Who was in it from the start.
        members: Vec<Member>,
    }
    /// `member.added`
    MemberAdded = "member.added" {
        /// Who, with which rank.
        member: Member,
    }
    /// `member.removed`
    MemberRemoved = "member.removed" {
        /// Who; the sender if they left.
        user_id: UserId,
    }
    /// `member.role_changed`
    MemberRoleChanged = "member.role_changed" {
        /// Who, with the new rank.
        member: Member,
    }
    /// `group.updated`; what is null stayed.
    GroupUpdated = "group.updated" {
        /// The new name.
        name: Option<String>,
        /// The new description.
        description: Option<String>,
    }
}

impl Event {
    /// The event of a record. Cheap: payloads are shared.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let target_id = |target| MessageId::new(record.conversation_id, target);
        match &record.body {
            RecordBody::Message(message) => Self::MessageNew(MessageNew::of(
                record,
                record.client_message_id,
                message.content_type.clone(),
                message.payload.clone(),
                message.reply_to.map(target_id),
                message.epoch,
            )),
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
