//! What the CQL store counts: conditional writes and how they ended, above all, as they are what it costs.
//!
//! Conditional writes for each message: `hubbub_cql_writes_total{of="append"}` over `hubbub_cql_records_total`.

use std::time::Duration;

/// A conditional write was answered: `applied`, `refused` (somebody was faster), `not_done` or `unknown`.
pub(super) fn write(of: &'static str, outcome: &'static str, took: Duration) {
    metrics::counter!("hubbub_cql_writes_total", "of" => of, "outcome" => outcome).increment(1);
    metrics::histogram!("hubbub_cql_write_seconds", "of" => of).record(took.as_secs_f64());
}

/// A read was answered, with which sight.
pub(super) fn read(sight: &'static str, took: Duration) {
    metrics::counter!("hubbub_cql_reads_total", "sight" => sight).increment(1);
    metrics::histogram!("hubbub_cql_read_seconds", "sight" => sight).record(took.as_secs_f64());
}

/// Records were committed by one append.
pub(super) fn appended(records: usize) {
    metrics::counter!("hubbub_cql_records_total").increment(records as u64);
}

/// A write's outcome was unknown at first.
pub(super) fn doubted() {
    metrics::counter!("hubbub_cql_doubts_total").increment(1);
}

/// An unknown outcome was settled: it was done, or it was not and never will be.
pub(super) fn settled(done: bool) {
    let outcome = if done { "done" } else { "not_done" };
    metrics::counter!("hubbub_cql_settled_total", "outcome" => outcome).increment(1);
}

/// An unknown outcome stayed unknown, and was told so.
pub(super) fn given_up() {
    metrics::counter!("hubbub_cql_settled_total", "outcome" => "unknown").increment(1);
}

/// Whether the cluster answers.
pub(super) fn reachable(reachable: bool) {
    metrics::gauge!("hubbub_cql_reachable").set(if reachable { 1.0 } else { 0.0 });
}
