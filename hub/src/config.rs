//! Every capacity and deadline that an operator may change (BOUNDED). The wire's own limits are in `protocol::limits`.

use std::time::Duration;

use hubbub_protocol::limits;

/// How a hub behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubConfig {
    /// Shards; 0 for one a core.
    pub shards: usize,
    /// Open connections in all, HTTP included. The next is answered 503.
    pub max_connections: usize,
    /// Open connections of one address (of one /64 in IPv6). The next is answered 503.
    pub max_connections_per_address: usize,
    /// Whether loopback addresses are free of the limit per address: a proxy in front, or a test on this machine.
    pub exempt_loopback: bool,
    /// Sockets of one person. The next is closed with `too_many_connections`.
    pub max_connections_per_user: usize,
    /// Connections whose request head or login is still to come. The next waits in the listen queue.
    pub max_pending: usize,
    /// Origins from which a browser may open a socket, spelt exactly as browsers send them. Others are answered 403;
    /// a client that sends no `Origin` is no browser and is let in.
    pub allowed_origins: Vec<String>,
    /// Time from `accept` to a whole request head.
    pub head_deadline: Duration,
    /// Time from the upgrade to a whole `auth` frame.
    pub login_deadline: Duration,
    /// A socket that was silent for this long is pinged.
    pub heartbeat: Duration,
    /// A socket that was silent for this long is closed.
    pub dead_after: Duration,
    /// Bytes that may wait for one socket.
    pub max_outbox_bytes: usize,
    /// Over how long clients are asked to spread their return when the hub drains and there is no other.
    pub reconnect_window: Duration,
    /// Over how long a hub that drains hands its sockets to the others, if there are any: at the most three quarters of
    /// the time that it has.
    pub handover_window: Duration,
    /// Conversations whose state one shard keeps while nobody is subscribed to them.
    pub max_idle_conversations: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            shards: 0,
            max_connections: 100_000,
            max_connections_per_address: 1_024,
            exempt_loopback: true,
            max_connections_per_user: 100,
            max_pending: 4_096,
            allowed_origins: Vec::new(),
            head_deadline: Duration::from_millis(limits::HEAD_DEADLINE_MS),
            login_deadline: Duration::from_millis(limits::LOGIN_DEADLINE_MS),
            heartbeat: Duration::from_millis(limits::HEARTBEAT_MS),
            dead_after: Duration::from_millis(limits::DEAD_AFTER_MS),
            max_outbox_bytes: limits::MAX_OUTBOX_BYTES,
            reconnect_window: Duration::from_secs(5),
            handover_window: Duration::from_secs(3),
            max_idle_conversations: 50_000,
        }
    }
}

impl HubConfig {
    /// How many shards this machine gets.
    pub(crate) fn shard_count(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let wanted = if self.shards == 0 { cores } else { self.shards };
        wanted.clamp(1, MAX_SHARDS)
    }
}

/// Shards at the most: their numbers fit a byte, and no machine we know has more cores to give.
pub(crate) const MAX_SHARDS: usize = 128;
