//! What a conversation's log holds: one record a sequence, each a fact that was decided and stored.
//!
//! Records are the truth: a conversation's state is a fold over them. Their stored bytes are MessagePack with names, so
//! that a later version reads what an earlier one wrote.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{ClientMessageId, ConversationId, DeviceId, MessageId, UserId};
use crate::member::{ConversationKind, Member, SenderType};
use crate::payload::Payload;
use crate::sequence::Sequence;
use crate::time::Timestamp;

/// Who did something, from which device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Author {
    /// The person or agent.
    pub sender_id: UserId,
    /// Which of the two.
    pub sender_type: SenderType,
    /// The device it came from, where it came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
}

/// One fact in a conversation's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The place in it.
    pub sequence: Sequence,
    /// Who did it.
    pub author: Author,
    /// When the server decided it. Order is by `sequence`, never by this.
    pub created_at: Timestamp,
    /// The client's own id of the act (ONCE), where it gave one.
    pub client_message_id: Option<ClientMessageId>,
    /// What was done.
    pub body: RecordBody,
}

impl Record {
    /// The id by which clients name this record.
    pub const fn message_id(&self) -> MessageId {
        MessageId::new(self.conversation_id, self.sequence)
    }
}

/// How many of these records, in their order, have room together in so many payload bytes: at least one, if there is one,
/// so that whoever reads page by page always gets on.
pub fn fitting<'a>(records: impl IntoIterator<Item = &'a Record>, max_bytes: usize) -> usize {
    let mut bytes = 0;
    let fits = |(place, record): &(usize, &Record)| {
        bytes += record.body.payload_bytes();
        *place == 0 || bytes <= max_bytes
    };
    records.into_iter().enumerate().take_while(fits).count()
}

impl RecordBody {
    /// The bytes of its payload; nothing but a message has any.
    pub fn payload_bytes(&self) -> usize {
        if let Self::Message(message) = self { message.payload.len() } else { 0 }
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordBody {
    /// The conversation began. Always sequence 1.
    Opened(Opened),
    /// A message. Shared, as it goes many ways: to the log, to those who follow, and to those who come back.
    Message(Arc<Message>),
    /// A message was taken back; its payload is erased from the log.
    Recalled(Recalled),
    /// A reaction was put to a message, or taken away.
    Reaction(Reaction),
    /// Somebody became a member.
    MemberAdded(MemberAdded),
    /// Somebody ceased to be a member.
    MemberRemoved(MemberRemoved),
    /// A member's rank changed.
    RoleChanged(RoleChanged),
    /// The group's name or description changed.
    GroupUpdated(GroupUpdated),
}

impl From<Message> for RecordBody {
    fn from(message: Message) -> Self {
        Self::Message(Arc::new(message))
    }
}

/// The first record of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Direct or group.
    pub kind: ConversationKind,
    /// The group's name; empty in a direct conversation.
    #[serde(default)]
    pub name: String,
    /// Who is in it from the start.
    pub members: Vec<Member>,
}

/// A message, as its sender sealed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What the clients agree the payload is, such as `text`.
    pub content_type: String,
    /// The sealed bytes. Empty once recalled.
    pub payload: Payload,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Sequence>,
    /// The key epoch it was sealed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
}

/// A message was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recalled {
    /// The message.
    pub target: Sequence,
}

/// A reaction came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The message.
    pub target: Sequence,
    /// The emoji.
    pub emoji: String,
    /// Put or taken away.
    pub change: ReactionChange,
}

/// Which way a reaction changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReactionChange {
    /// It is there now.
    Added,
    /// It is gone now.
    Removed,
}

/// Somebody became a member, and reads from this record on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAdded {
    /// Who, with which rank.
    pub member: Member,
}

/// Somebody ceased to be a member, and reads up to this record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRemoved {
    /// Who. The author themselves if they left.
    pub user_id: UserId,
}

/// A member's rank changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleChanged {
    /// Who, with the new rank. Making somebody owner makes the author an admin.
    pub member: Member,
}

/// The group's face changed; what is absent stayed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupUpdated {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Record {
        Record {
            conversation_id: ConversationId::from_bytes([1; 16]),
            sequence: Sequence::new(1),
            author: Author { sender_id: UserId::from_bytes([2; 16]), sender_type: SenderType::Human, device_id: None },
            created_at: Timestamp::default(),
            client_message_id: None,
            body: RecordBody::from(Message {
                content_type: "text".to_owned(),
                payload: Payload::from(vec![0; bytes]),
                reply_to: None,
                epoch: None,
            }),
        }
    }

    #[test]
    fn as_many_records_fit_as_their_payloads_do_and_one_always_does() {
        let records = [message(40), message(60), message(1), message(0)];
        assert_eq!(fitting(&records, 101), 4);
        assert_eq!(fitting(&records, 100), 2);
        assert_eq!(fitting(records.iter().rev(), 60), 2);
        assert_eq!(fitting(&records, 1), 1, "a page without a record would never end");
        assert_eq!(fitting(&[], 100), 0);
    }
}
