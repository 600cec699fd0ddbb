//! A socket between the door and its shard.

use bytes::Bytes;
use hubbub_protocol::codec::Format;
use tokio::sync::OwnedSemaphorePermit;

use crate::admission::Permit;
use crate::transport::Detached;

/// A socket that was upgraded, on its way to its shard.
pub(crate) struct Adopted {
    pub(crate) transport: Detached,
    /// What was read behind the request's head.
    pub(crate) read: Bytes,
    pub(crate) format: Format,
    /// Whether it came by the door for agents.
    pub(crate) for_agents: bool,
    pub(crate) permit: Permit,
    /// Its place among those that are not yet logged in.
    pub(crate) pending: OwnedSemaphorePermit,
}
