//! One look at a connection a second: is it alive, and does its token still stand?
//!
//! Run by the shard for each of its connections from one timer, so that an idle socket costs no timer of its own.

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
    if !connection.takes_commands() {
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
    let quiet_since = connection.last_heard.get().max(connection.last_pinged.get());
    let due = config.heartbeat.as_secs().saturating_sub(u64::from(slot % JITTER_SECONDS));
    if u64::from(second.saturating_sub(quiet_since)) >= due {
        connection.last_pinged.set(second);
        connection.ping();
        said = true;
    }
    said
}
