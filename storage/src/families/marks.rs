//! Read marks: how far each member has read. Kept, the highest wins.

use hubbub_protocol::{ConversationId, Sequence, UserId};
use serde::{Deserialize, Serialize};

use crate::records::{Family, FamilyDef};

/// The family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks;

impl Family for Marks {
    type Partition = ConversationId;
    type Sort = UserId;
    type Value = Mark;
    const DEF: FamilyDef = FamilyDef { name: "marks" };
}

/// A member's mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Read up to and including.
    pub read_seq: Sequence,
}
