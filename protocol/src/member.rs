//! Who belongs to a conversation, and with which rank.

use serde::{Deserialize, Serialize};

use crate::id::UserId;

/// A member's rank, lowest first: a higher one may do all that a lower one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads and writes.
    Member,
    /// Also edits the group and adds or removes members.
    Admin,
    /// Also names admins and hands the group on. One a group.
    Owner,
}

/// A member of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user_id: UserId,
    /// With which rank.
    pub role: Role,
}

/// What kind of conversation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationKind {
    /// Between two people; its members never change.
    Direct,
    /// Between any number of people up to the group limit.
    Group,
}

/// Who the author of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderType {
    /// A person.
    Human,
    /// An agent.
    Agent,
    /// The server itself.
    System,
}
