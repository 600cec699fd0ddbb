//! Who is calling, as a verified access token says: the one type by which sockets and REST carry it.

use hubbub_protocol::member::SenderType;
use hubbub_protocol::record::Author;
use hubbub_protocol::{DeviceId, SessionId, Timestamp, UserId};

/// An authenticated caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The person or agent.
    pub user_id: UserId,
    /// Under which login.
    pub session_id: SessionId,
    /// From which device.
    pub device_id: DeviceId,
    /// Person or agent.
    pub kind: SenderType,
    /// When the access token ends.
    pub expires_at: Timestamp,
}

impl Caller {
    /// The caller as the author of what they do.
    pub const fn author(&self) -> Author {
        Author { sender_id: self.user_id, sender_type: self.kind, device_id: Some(self.device_id) }
    }
}
