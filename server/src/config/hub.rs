//! Live connections: how many, on how many shards, and how long each may take.
//!
//! The defaults are the hub's own; here they get keys, bounds and words.

use std::time::Duration;

use hubbub_hub::HubConfig;

use super::form::{Count, Switch};
use super::reader::Reader;

/// A deadline is no shorter than a slow phone's round trip and no longer than an hour.
const DEADLINE_MS: Count = Count { min: 100, max: 3_600_000 };

/// More connections than any machine holds.
const CONNECTIONS: Count = Count { min: 1, max: 10_000_000 };

/// Reads the settings below `[hub]`.
pub(super) fn read(reader: &mut Reader, allowed_origins: Vec<String>) -> HubConfig {
    let config = read_capacities(reader, HubConfig { allowed_origins, ..HubConfig::default() });
    read_deadlines(reader, config)
}

fn read_capacities(reader: &mut Reader, default: HubConfig) -> HubConfig {
    let mut count = |key, purpose, default, form: &Count| {
        to_usize(reader.setting(key, purpose, u64::try_from(default).unwrap_or(u64::MAX), form))
    };
    HubConfig {
        shards: count(
            "hub.shards",
            "Threads that connections and conversations are spread over; 0 is one per core.",
            default.shards,
            &Count { min: 0, max: 128 },
        ),
        max_connections: count(
            "hub.max_connections",
            "Open connections in all, HTTP included; the next is answered 503. The system's limit of open files bounds \
             them too: the soft one is raised to the hard one at the start.",
            default.max_connections,
            &CONNECTIONS,
        ),
        max_connections_per_address: count(
            "hub.max_connections_per_address",
            "Open connections from one address (of IPv6: from one /64); the next is answered 503.",
            default.max_connections_per_address,
            &CONNECTIONS,
        ),
        max_connections_per_user: count(
            "hub.max_connections_per_user",
            "Sockets of one person; the next is closed with a code.",
            default.max_connections_per_user,
            &CONNECTIONS,
        ),
        max_pending: count(
            "hub.max_pending",
            "Connections whose request head or login is still to come; the next waits in the listen queue.",
            default.max_pending,
            &CONNECTIONS,
        ),
        max_outbox_bytes: count(
            "hub.max_outbox_bytes",
            "Bytes that may wait for one socket; a slower reader is closed with a resume point. The least is two of the \
             largest frames.",
            default.max_outbox_bytes,
            &Count { min: 2 * hubbub_protocol::limits::MAX_FRAME_BYTES as u64, max: 1024 * 1024 * 1024 },
        ),
        max_idle_conversations: count(
            "hub.max_idle_conversations",
            "Conversations whose state one shard keeps while nobody is subscribed to them.",
            default.max_idle_conversations,
            &Count { min: 0, max: 100_000_000 },
        ),
        exempt_loopback: reader.setting(
            "hub.exempt_loopback",
            "Whether connections from this machine are free of the limits per address, those of /auth/* too: a proxy in \
             front, or a load test.",
            default.exempt_loopback,
            &Switch,
        ),
        ..default
    }
}

fn read_deadlines(reader: &mut Reader, default: HubConfig) -> HubConfig {
    let mut milliseconds = |key, purpose, default: Duration| {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(reader.setting(key, purpose, default, &DEADLINE_MS))
    };
    HubConfig {
        head_deadline: milliseconds(
            "hub.head_deadline_ms",
            "Milliseconds from a connection's start to its whole request head.",
            default.head_deadline,
        ),
        login_deadline: milliseconds(
            "hub.login_deadline_ms",
            "Milliseconds from a socket's start to its whole first frame, the login.",
            default.login_deadline,
        ),
        heartbeat: milliseconds(
            "hub.heartbeat_ms",
            "Milliseconds after which a silent socket is pinged; looked at once a second, in whole seconds.",
            default.heartbeat,
        ),
        dead_after: milliseconds(
            "hub.dead_after_ms",
            "Milliseconds after which a silent socket is closed; looked at once a second, in whole seconds.",
            default.dead_after,
        ),
        reconnect_window: milliseconds(
            "hub.reconnect_window_ms",
            "Milliseconds over which clients are asked to spread their return when this process stops and there is no other hub.",
            default.reconnect_window,
        ),
        handover_window: milliseconds(
            "hub.handover_window_ms",
            "Milliseconds over which a process that stops hands its sockets to the other hubs, each at its own moment.",
            default.handover_window,
        ),
        ..default
    }
}

/// What can only be seen when two settings are looked at together.
pub(super) fn check(config: &HubConfig, reader: &mut Reader) {
    if config.dead_after <= config.heartbeat {
        reader.refuse_beside("hub.dead_after_ms", "more than", "hub.heartbeat_ms");
    }
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
