//! What all shards of a hub share, and how they reach each other.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hubbub_domain::sessions::Sessions;
use hubbub_protocol::ConversationId;
use hubbub_storage::clock::Clock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::adopted::Adopted;
use crate::cluster::Cluster;
use crate::config::HubConfig;
use crate::directory::Directory;
use crate::message::{Control, EdgeInput, HomeInput};

/// Acts that may wait for one home shard: 64 of each of 64 busy sockets. Full: their connections wait, unread.
pub(crate) const COMMAND_QUEUE: usize = 4_096;
/// Batches that may wait for one edge shard; each is what a home shard said to it in one turn. Full: the home shard
/// keeps its batch growing and takes no more commands until it fits.
pub(crate) const EDGE_QUEUE: usize = 256;
/// Sockets that may wait to be taken by a shard. Full: their doors wait, and then the listen queue.
pub(crate) const ADOPT_QUEUE: usize = 1_024;
/// Orders from the hub itself that may wait: few and small. Full: the hub waits.
pub(crate) const CONTROL_QUEUE: usize = 256;

/// How the rest of the hub reaches a shard.
#[derive(Clone)]
pub(crate) struct ShardHandle {
    pub(crate) commands: mpsc::Sender<HomeInput>,
    pub(crate) edges: mpsc::Sender<Vec<EdgeInput>>,
    pub(crate) adopt: mpsc::Sender<Adopted>,
    pub(crate) control: mpsc::Sender<Control>,
}

/// Which shard is home to a conversation. Ids are random in their last bytes (`UUIDv7`, RFC 9562 section 5.7), and
/// derived ones in all.
pub(crate) fn home_of(conversation: ConversationId, shards: usize) -> usize {
    let [.., a, b, c, d] = *conversation.as_bytes();
    u32::from_be_bytes([a, b, c, d]) as usize % shards
}

/// What all shards share.
pub(crate) struct Shared {
    pub(crate) config: HubConfig,
    pub(crate) homes: Vec<ShardHandle>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) sessions: Sessions,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Commands that were accepted and are not yet answered.
    pub(crate) open_commands: Arc<AtomicU64>,
    /// Sockets that have lost their seat and are not yet closed.
    pub(crate) partings: Arc<AtomicU64>,
    /// Cancelled when the hub begins to stop: its door closes.
    pub(crate) leaving: CancellationToken,
    /// Cancelled when it takes no more commands, because it stops.
    pub(crate) draining: CancellationToken,
    /// Cancelled when shards are to end at once.
    pub(crate) stop: CancellationToken,
    /// Cancelled when a shard ended although nobody asked it to.
    pub(crate) failed: CancellationToken,
}

impl Shared {
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }
}
