//! Handles by their first character: where a search by the beginning of a handle looks.
//!
//! A view of the accounts, written after them; a row that points to an account with another handle is stale and skipped.

use hubbub_protocol::UserId;
use serde::{Deserialize, Serialize};

use crate::records::{Family, FamilyDef};

/// The family: partition by the handle's first character, sorted by handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handles;

impl Family for Handles {
    type Partition = String;
    type Sort = String;
    type Value = HandleOf;
    const DEF: FamilyDef = FamilyDef { name: "handles" };
}

/// Whose handle it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandleOf {
    /// The person.
    pub user_id: UserId,
}
