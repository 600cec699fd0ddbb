//! Sessions: one row a login, holding the number of its current refresh token and nothing that would serve as one.

use hubbub_protocol::{DeviceId, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::records::{Family, FamilyDef};

/// The family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sessions;

impl Family for Sessions {
    type Partition = SessionId;
    type Sort = ();
    type Value = Session;
    const DEF: FamilyDef = FamilyDef { name: "sessions" };
}

/// A login: one family of refresh tokens, of which only the last works.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose.
    pub user_id: UserId,
    /// From which device.
    pub device_id: DeviceId,
    /// What the client calls the device.
    #[serde(default)]
    pub device_name: String,
    /// How many times the refresh token was rotated: the number inside the current one.
    pub generation: u64,
    /// When it was last rotated; a retry with the token before it within a short grace gets the same successor.
    pub rotated_at: Timestamp,
    /// When the login was.
    pub created_at: Timestamp,
    /// When it ends, whatever is done.
    pub expires_at: Timestamp,
    /// When it was ended: logout, or a refresh token used twice.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
}

/// Shows whose it is and no more.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}
