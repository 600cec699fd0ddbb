//! A look at a connection: is it alive, and does its token still stand? And when to look again.
//!
//! Run by the shard once a second for the connections whose second it is, from one timer, so that an idle socket costs no
//! timer of its own, and nothing while nothing is due.

use hubbub_protocol::Timestamp;
use hubbub_protocol::frame::close::CloseCode;
use hubbub_protocol::frame::server::AuthExpiring;
use hubbub_protocol::limits::EXPIRING_NOTICE_MS;

use super::Connection;
use crate::config::HubConfig;

/// Pings are spread over this many seconds, so that a crowd that came at once is not pinged at once.
const JITTER_SECONDS: u32 = 4;

/// Looks at a connection; true if there is something to flush.
pub(crate) fn check(connection: &Connection, slot: u32, second: u32, now: Timestamp, config: &HubConfig) -> bool {
    if connection.closing().is_some() {
        return false;
    }
    if connection.is_unread.get() || !connection.takes_commands() {
        // Whoever is not read, as the store is slow, is not to blame for silence.
        connection.last_heard.set(second);
    }
    let silent = u64::from(second.saturating_sub(connection.last_heard.get()));
    if silent > config.dead_after.as_secs() {
        connection.close(CloseCode::HeartbeatLost);
        return true;
    }
    let expires_at = connection.expires_at.get();
    if now >= expires_at {
        connection.close(CloseCode::TokenExpired);
        return true;
    }
    let mut said = false;
    if now.plus_ms(EXPIRING_NOTICE_MS) > expires_at && !connection.warned.replace(true) {
        connection.frame(&AuthExpiring { expires_at }.into());
        said = true;
    }
    if second >= ping_at(connection, slot, config) {
        connection.last_pinged.set(second);
        connection.ping();
        said = true;
    }
    said
}

/// The next second in which [`check`] may find something to do, as things stand. What is heard until then puts it off, and
/// is found out in that second.
pub(crate) fn next_look(connection: &Connection, slot: u32, second: u32, now: Timestamp, config: &HubConfig) -> u32 {
    let from_now = |at: Timestamp| {
        let ms = u64::try_from(at.as_ms().saturating_sub(now.as_ms())).unwrap_or_default();
        second.saturating_add(whole_seconds(ms.div_ceil(1_000)))
    };
    let dead_at =
        connection.last_heard.get().saturating_add(whole_seconds(config.dead_after.as_secs())).saturating_add(1);
    let expires_at = connection.expires_at.get();
    let warn_at = if connection.warned.get() { expires_at } else { expires_at.plus_ms(-EXPIRING_NOTICE_MS) };
    let due = ping_at(connection, slot, config).min(dead_at).min(from_now(warn_at)).min(from_now(expires_at));
    due.max(second.saturating_add(1))
}

/// When it is pinged if it says nothing.
fn ping_at(connection: &Connection, slot: u32, config: &HubConfig) -> u32 {
    let quiet_since = connection.last_heard.get().max(connection.last_pinged.get());
    let heartbeat = config.heartbeat.as_secs().saturating_sub(u64::from(slot % JITTER_SECONDS));
    quiet_since.saturating_add(whole_seconds(heartbeat))
}

fn whole_seconds(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
