//! What is looked at when the last process did not close the folder.
//!
//! The engine itself brings the files back to the last synced commit. This check is for what the engine cannot see: a
//! disk that lost or mixed up what it had called synced. That hurts what was written last, so of the log the newest
//! records are checked, their bytes, their place in the index, the record before them and their client id; of the
//! records, the whole file while it is small. It is bounded, since a start is; `verify` looks at everything.

use std::path::Path;
use std::time::Instant;

use hubbub_protocol::{ConversationId, Sequence};
use rusqlite::Connection;

use super::error::{OpenError, asking, damaged, opening};
use super::log::ask;
use super::schema::{LOG, META};
use crate::error::{Reason, StoreError, StoreResult};

/// The newest log records that are checked, in 0.2 s: more than one write-ahead file of 16 MiB holds.
const NEWEST: u32 = 10_000;
/// Up to this size, `meta.db` is checked whole: 0.1 s of a start, as it has no index but its tables. The same check of a
/// log of 1.3 million records and their index took 30 s, which no start can wait for.
const WHOLE_META_BYTES: u64 = 64 * 1024 * 1024;

/// What the check after an unclean stop looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// The newest log records that were checked.
    pub log_records_checked: u64,
    /// Records that the journal has and `log.db` did not have yet. Their checksums were looked at.
    pub journal_records: u64,
    /// Whether all of `meta.db` was checked; a large one is left to `verify`.
    pub meta_checked: bool,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// Checks both files through the writers' connections.
pub(super) fn after_unclean_stop(
    log: &Connection,
    meta: &Connection,
    dir: &Path,
    journal_records: u64,
) -> Result<Recovered, OpenError> {
    let start = Instant::now();
    let log_records_checked = newest(log).map_err(|error| match error {
        StoreError::Damaged(reason) => OpenError::Damaged { file: LOG.name, reason },
        other => OpenError::Engine { file: LOG.name, reason: Reason::new(other) },
    })?;
    let meta_checked = small(&dir.join(META.name))?;
    if meta_checked {
        quick_check(meta)?;
    }
    let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Recovered { log_records_checked, journal_records, meta_checked, elapsed_ms })
}

fn small(path: &Path) -> Result<bool, OpenError> {
    let found = std::fs::metadata(path).map_err(|source| OpenError::Io { path: path.to_path_buf(), source })?;
    Ok(found.len() <= WHOLE_META_BYTES)
}

fn quick_check(meta: &Connection) -> Result<(), OpenError> {
    let answer: String = meta.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(opening(META.name))?;
    if answer == "ok" { Ok(()) } else { Err(OpenError::Damaged { file: META.name, reason: Reason::new(answer) }) }
}

fn newest(log: &Connection) -> StoreResult<u64> {
    let mut statement =
        log.prepare("SELECT conversation, sequence FROM log ORDER BY id DESC LIMIT ?1").map_err(asking)?;
    let mut rows = statement.query([NEWEST]).map_err(asking)?;
    let mut checked = 0;
    while let Some(row) = rows.next().map_err(asking)? {
        let id = ConversationId::from_bytes(row.get(0).map_err(asking)?);
        check_place(log, id, ask::sequence(row.get(1).map_err(asking)?)?)?;
        checked += 1;
    }
    Ok(checked)
}

/// The record is sound, found by its place, follows another (GAPLESS), and its client id is kept (ONCE).
fn check_place(log: &Connection, id: ConversationId, at: Sequence) -> StoreResult<()> {
    let lost = |what| Err(damaged(format_args!("conversation {id}, sequence {at}: {what}")));
    let Some(record) = ask::record(log, id, at)? else { return lost("the index does not find its record") };
    if at > Sequence::ZERO.next() && !ask::exists(log, id, at.previous())? {
        return lost("GAPLESS is broken: the record before it is missing");
    }
    let Some(client_id) = record.client_message_id else { return Ok(()) };
    if ask::act(log, id, record.author.sender_id, client_id)? == Some(at) {
        return Ok(());
    }
    lost("ONCE is broken: its client id is not kept")
}
