//! The conversations that a person *may* be in: where a login and a list look.
//!
//! A view that can only be too large: a row is written *before* the log says that somebody is added, and taken away
//! *after* it says that they are removed. So a crash in between leaves a row that the log denies, and never a membership
//! without a row. Whoever reads it asks the conversation's state, which is the truth.

use hubbub_protocol::{ConversationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::records::{Family, FamilyDef};

/// The family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memberships;

impl Family for Memberships {
    type Partition = UserId;
    type Sort = ConversationId;
    type Value = Candidate;
    const DEF: FamilyDef = FamilyDef { name: "memberships" };
}

/// A conversation that the person may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// When the row was written.
    pub since: Timestamp,
}
