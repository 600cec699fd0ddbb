//! Every metric of the hub: its name, unit and meaning. Labels never carry an id.
//!
//! What is counted for every message is looked up once: recorders are there before the first message is.

use std::sync::LazyLock;

use metrics::{Counter, Histogram, counter, gauge, histogram};

/// Open sockets that are logged in.
pub(crate) fn connections(change: f64) {
    gauge!("hubbub_connections").increment(change);
}

/// Logins, by how they ended.
pub(crate) fn login(result: &'static str) {
    counter!("hubbub_logins_total", "result" => result).increment(1);
}

/// Connections refused at the door, by the limit that was reached.
pub(crate) fn refused(limit: &'static str) {
    counter!("hubbub_refused_connections_total", "limit" => limit).increment(1);
}

/// TLS handshakes by how they ended; `plain` is plain HTTP where it is not let in.
pub(crate) fn handshake(result: &'static str) {
    counter!("hubbub_tls_handshakes_total", "result" => result).increment(1);
}

/// Sockets closed by the hub, by close reason.
pub(crate) fn closed(reason: &'static str) {
    counter!("hubbub_closed_total", "reason" => reason).increment(1);
}

/// Appends handed to the store until their answer, in seconds, and how many records they carried.
pub(crate) fn append(seconds: f64, records: usize) {
    static HANDLES: LazyLock<(Histogram, Counter)> =
        LazyLock::new(|| (histogram!("hubbub_append_seconds"), counter!("hubbub_appended_records_total")));
    HANDLES.0.record(seconds);
    HANDLES.1.increment(records as u64);
}

/// Frames handed to outboxes for the events of conversations.
pub(crate) fn deliveries(count: u64) {
    static HANDLE: LazyLock<Counter> = LazyLock::new(|| counter!("hubbub_deliveries_total"));
    HANDLE.increment(count);
}

/// Sends that were known already (ONCE).
pub(crate) fn duplicates(count: usize) {
    counter!("hubbub_duplicates_suppressed_total").increment(count as u64);
}

/// Ranges that could not be given (IN-ORDER), by reason.
pub(crate) fn gap(reason: &'static str) {
    counter!("hubbub_gaps_total", "reason" => reason).increment(1);
}

/// Ephemeral frames dropped because a socket was behind.
pub(crate) fn ephemeral_dropped() {
    counter!("hubbub_ephemeral_dropped_total").increment(1);
}

/// Acts that another node was asked to do.
pub(crate) fn forwarded(acts: usize) {
    counter!("hubbub_forwarded_acts_total").increment(acts as u64);
}

/// Forwards that were left to whoever sent them.
pub(crate) fn declined() {
    counter!("hubbub_declined_forwards_total").increment(1);
}

/// Forwards that were not answered in time.
pub(crate) fn unanswered() {
    counter!("hubbub_unanswered_forwards_total").increment(1);
}

/// Times at which something that other nodes said may have been missed.
pub(crate) fn missed() {
    counter!("hubbub_bus_missed_total").increment(1);
}

/// Words of other nodes that are not known here: of a newer version.
pub(crate) fn not_understood() {
    counter!("hubbub_bus_not_understood_total").increment(1);
}

/// Nodes that take conversations home, as this one sees it.
pub(crate) fn homes(count: usize) {
    gauge!("hubbub_homes").set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// A promise that the hub found broken and healed; never expected to move.
pub(crate) fn invariant_violation(name: &'static str) {
    counter!("hubbub_invariant_violations_total", "invariant" => name).increment(1);
}
