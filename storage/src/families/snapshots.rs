//! Snapshots of conversations' states, so that loading one reads a tail and not the whole log.
//!
//! A view: it may lag or be absent, and then more of the log is folded. The state's form belongs to `domain`, which
//! also numbers it; a snapshot of another form is ignored.

use hubbub_protocol::{ConversationId, Payload, Sequence};
use serde::{Deserialize, Serialize};

use crate::records::{Family, FamilyDef};

/// The family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshots;

impl Family for Snapshots {
    type Partition = ConversationId;
    type Sort = ();
    type Value = Snapshot;
    const DEF: FamilyDef = FamilyDef { name: "snapshots" };
}

/// A conversation's state at some head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The form of `state`.
    pub form: u16,
    /// The head it is the state of.
    pub head: Sequence,
    /// The state, as `domain` wrote it.
    pub state: Payload,
}
