//! Every metric of the bus over Redis: its name, unit and meaning. Labels never carry an id.
//!
//! Bytes are those of the commands and pushes on the wire, so that what a message costs in Redis can be read off.

use metrics::{counter, gauge};

/// Things said that Redis has taken, and the bytes of them; probes count too.
pub(super) fn published(count: usize, bytes: usize) {
    counter!("hubbub_bus_published_total").increment(count as u64);
    counter!("hubbub_bus_published_bytes_total").increment(bytes as u64);
}

/// One thing heard, and its bytes; probes count too.
pub(super) fn heard(bytes: usize) {
    counter!("hubbub_bus_heard_total").increment(1);
    counter!("hubbub_bus_heard_bytes_total").increment(bytes as u64);
}

/// Not said (`out`) or not heard (`in`), by reason.
pub(super) fn dropped(way: &'static str, reason: &'static str, count: usize) {
    counter!("hubbub_bus_dropped_total", "way" => way, "reason" => reason).increment(count as u64);
}

/// Tries to connect, by how they ended.
pub(super) fn connected(result: &'static str) {
    counter!("hubbub_bus_connects_total", "result" => result).increment(1);
}

/// 1 while it carries, 0 while not.
pub(super) fn up(is_up: bool) {
    gauge!("hubbub_bus_up").set(if is_up { 1.0 } else { 0.0 });
}

/// Topics that this node watches.
#[expect(clippy::cast_precision_loss, reason = "the limit of watched topics is far below 2^52")]
pub(super) fn watched(topics: usize) {
    gauge!("hubbub_bus_watched_topics").set(topics as f64);
}
