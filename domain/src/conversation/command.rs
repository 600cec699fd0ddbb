//! What a member can ask of a conversation, in the words of the rules: sockets and REST both translate into these.

use std::sync::Arc;

use hubbub_protocol::member::{ConversationKind, Role};
use hubbub_protocol::record::{Author, Message, ReactionChange};
use hubbub_protocol::{ClientMessageId, Sequence, UserId};
use serde::{Deserialize, Serialize};

/// Something that somebody wants done, as it is submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Who, from which device: as authenticated, never as the client claims.
    pub author: Author,
    /// The client's own id of it (ONCE), where it gave one.
    pub client_message_id: Option<ClientMessageId>,
    /// What.
    pub command: Command,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Begin a conversation.
    Open(Open),
    /// Send this message.
    Send(Arc<Message>),
    /// Take a message back.
    Recall(Recall),
    /// Put a reaction to a message, or take it away.
    React(React),
    /// Add members to a group.
    AddMembers(AddMembers),
    /// Remove a member from a group, or leave it.
    RemoveMember(RemoveMember),
    /// Change a member's rank.
    ChangeRole(ChangeRole),
    /// Change a group's name or description.
    UpdateGroup(UpdateGroup),
}

impl Command {
    /// The record that has to be read before this can be decided.
    pub const fn target(&self) -> Option<Sequence> {
        match self {
            Self::Recall(recall) => Some(recall.target),
            Self::React(react) => Some(react.target),
            Self::Open(_)
            | Self::Send(_)
            | Self::AddMembers(_)
            | Self::RemoveMember(_)
            | Self::ChangeRole(_)
            | Self::UpdateGroup(_) => None,
        }
    }
}

/// Begin a conversation. The author becomes the owner of a group, or one of the two of a direct conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Direct or group.
    pub kind: ConversationKind,
    /// The group's name; empty for a direct conversation.
    pub name: String,
    /// Who is in it from the start, besides the author. Exactly one for a direct conversation.
    pub others: Vec<UserId>,
}

/// Take a message back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// The message.
    pub target: Sequence,
}

/// Put a reaction to a message, or take it away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct React {
    /// The message.
    pub target: Sequence,
    /// The emoji.
    pub emoji: String,
    /// Which of the two.
    pub change: ReactionChange,
}

/// Add members to a group. Who is in it already is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddMembers {
    /// Who. The caller has checked that they exist.
    pub user_ids: Vec<UserId>,
}

/// Remove a member from a group; oneself, to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveMember {
    /// Who.
    pub user_id: UserId,
}

/// Change a member's rank. Making another the owner hands the group over and makes the author an admin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRole {
    /// Whose.
    pub user_id: UserId,
    /// To which.
    pub role: Role,
}

/// Change a group's face; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UpdateGroup {
    /// The new name.
    pub name: Option<String>,
    /// The new description.
    pub description: Option<String>,
}
