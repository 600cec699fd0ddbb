//! The journal in front of the log's SQLite: what is acknowledged fast, and not yet in the tables.
//!
//! ```text
//! appends ─▶ store-log-writer ─▶ DATA/journal-N   one frame a group, one fdatasync, then the acks (DURABLE)
//!                   │ published                ▲ removed once applied
//!                   ▼                          │
//! readers ─▶ Pending: the parts in memory ─▶ store-log-applier ─▶ log.db   one transaction a segment, synchronous=FULL
//! ```
//!
//! A transaction a group touches a page for each conversation in it, again and again; a segment's worth of groups touches
//! each page once. So groups are written to an append-only file, a *segment* ([`segment`], [`frame`]), and whole segments
//! are put into SQLite later ([`applier`]). What stands in the segments stands in memory too, as *parts* ([`part`]), which
//! every reader asks before SQLite ([`pending`]): the two read as one log.
//!
//! The rules that make it safe:
//!
//! - A group is one frame, and is acknowledged after its `fdatasync`; readers see it only then. A write or sync that
//!   fails stops the store (DURABLE, HONEST).
//! - Segments are numbered without a hole. A new one is made and its name synced before the one before is given to the
//!   applier, so an open store has always one; `log.db` knows the number of the last that was applied, from the same
//!   transaction. So each is applied exactly once, and a segment, a write-ahead file or a `log.db` that was lost or
//!   exchanged shows as a hole at the next start, which is refused ([`recovery`]).
//! - A segment is removed after the transaction that applied it was synced.
//! - A frame that is not whole ends the *last* segment, if nothing whole comes after it: the torn tail of a group that
//!   nobody was told of. Anywhere else it is damage, and refuses the start.
//! - A segment ends at 16 MiB, after 5 seconds, or when nothing came for half a second; at most two wait to be applied,
//!   then appends wait (BOUNDED).

mod applier;
mod frame;
mod part;
mod pending;
mod recovery;
mod segment;
mod steps;
mod vacancy;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use rusqlite::Connection;

use self::applier::Applier;
pub(super) use self::part::{Act, Part};
pub(super) use self::pending::Pending;
pub(super) use self::recovery::{Found, look};
use self::segment::Segment;
pub(super) use self::writer::JournalWriter;
use super::connection::WriteConnection;
use super::error::{OpenError, opening};
use super::folder::Folder;
use super::life::Life;
use super::schema::LOG;

/// What messages call it; its files are `journal-…`.
pub(super) const JOURNAL: &str = "journal";

/// Segments that wait to be applied besides the one that is just being applied.
const WAITING: usize = 1;

/// The number of the last segment that SQLite has.
pub(super) fn applied(log: &Connection) -> Result<u64, OpenError> {
    let engine = opening(LOG.name);
    let number: i64 = log.query_row("SELECT applied FROM journal", [], |row| row.get(0)).map_err(&engine)?;
    u64::try_from(number)
        .map_err(|error| OpenError::Damaged { file: LOG.name, reason: crate::error::Reason::new(error) })
}

/// What starting needs.
pub(super) struct Start {
    /// Applies.
    pub(super) connection: WriteConnection,
    /// Answers the writer thread's questions.
    pub(super) asking: Connection,
    /// What the last process left.
    pub(super) found: Found,
    /// A segment's size.
    pub(super) segment_bytes: usize,
    pub(super) life: Arc<Life>,
    pub(super) folder: Arc<Folder>,
}

/// Makes a new segment, and starts the thread that applies: first of all what the last process left.
pub(super) fn start(start: Start) -> std::io::Result<(JournalWriter, Arc<Pending>, JoinHandle<()>)> {
    let Start { connection, asking, found, segment_bytes, life, folder } = start;
    let segment = Segment::create(folder.dir(), found.next_number, found.last_length, false)?;
    folder.sync()?;
    folder.expect_journal()?;
    let left: Vec<_> = found.parts.into_iter().map(Arc::new).collect();
    let pending = Arc::new(Pending::new(left.clone(), segment.begin_part(None)));
    let (sealed, waiting) = sync_channel(WAITING);
    let applier = Applier::new(connection, waiting, Arc::clone(&pending), life, Arc::clone(&folder), segment_bytes);
    let thread = std::thread::Builder::new().name("store-log-applier".to_owned()).spawn(move || applier.run(left))?;
    let writer = JournalWriter::new(Arc::clone(&pending), asking, segment, sealed, folder, segment_bytes);
    Ok((writer, pending, thread))
}

/// Removes the last segment of a store that was closed, which holds nothing.
pub(super) fn tidy(dir: &Path) -> std::io::Result<()> {
    for (_, path) in segment::list(dir)? {
        if segment::is_empty(&path)? {
            std::fs::remove_file(&path)?;
        }
    }
    segment::remove_spare(dir)
}

#[cfg(test)]
mod tests;
