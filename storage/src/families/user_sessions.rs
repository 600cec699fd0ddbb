//! A person's sessions: what to end when the password changes. A view of the sessions, written before them.

use hubbub_protocol::{SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::records::{Family, FamilyDef};

/// The family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSessions;

impl Family for UserSessions {
    type Partition = UserId;
    type Sort = SessionId;
    type Value = SessionOf;
    const DEF: FamilyDef = FamilyDef { name: "user_sessions" };
}

/// A session of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOf {
    /// When the login was.
    pub created_at: Timestamp,
}
