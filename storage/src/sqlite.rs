//! The default backend: SQLite in a folder, nothing to install.
//!
//! ```text
//! DATA/lock      held while a process has the folder open
//! DATA/made      there once the files below were made
//! DATA/open      there while it is open, and after a stop that was no close
//! DATA/journal-N what was appended of late, until log.db has it                 (log's writer thread, its applier)
//! DATA/log.db    the conversations' logs, and the client ids that are stored    (log's applier, readers)
//! DATA/meta.db   the record families and the claims                             (writer thread, readers)
//! ```
//!
//! One writer thread for the log and one for the records commit in groups and answer after the sync (DURABLE): the log's
//! to the [`journal`], from which another thread puts it into `log.db` in bulk; the records' to their file. Reading
//! threads have connections of their own; async threads only hand over and wait for answers. Every queue is bounded
//! (BOUNDED). A failed write or sync stops the store for good. Every record, row and claim has a checksum: what is damaged
//! is refused, never served, and the rest stays up.

mod check;
mod connection;
mod engine;
mod error;
mod folder;
mod journal;
mod life;
mod log;
mod queue;
mod reader;
mod records;
mod schema;
mod verify;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

pub use self::check::Recovered;
use self::connection::WriteConnection;
use self::engine::{SqliteEngine, Threads};
pub use self::error::OpenError;
use self::error::opening;
use self::folder::{Folder, Left};
use self::journal::Found;
use self::life::Life;
use self::log::SqliteLog;
use self::reader::Readers;
use self::records::SqliteRecords;
use self::schema::{FileDef, LOG, META};
pub use self::verify::{Problem, VerifyError, VerifySummary, verify};
use crate::store::Store;

/// Where the store is and how many threads read it.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The folder; made if it is not there.
    pub dir: PathBuf,
    /// Threads that read the log.
    pub log_readers: usize,
    /// Threads that read the records.
    pub record_readers: usize,
    /// Bytes after which a segment of the journal is full, about. Three of them may be in memory, and on the disk besides
    /// the log itself; small ones cost throughput.
    pub segment_bytes: usize,
}

/// Some 40,000 messages of 300 bytes: each page of the log is touched once for all of them.
const SEGMENT_BYTES: usize = 16 * 1024 * 1024;

impl SqliteConfig {
    /// The defaults, in this folder.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), log_readers: 2, record_readers: 2, segment_bytes: SEGMENT_BYTES }
    }
}

/// An open store.
pub struct Opened {
    /// The store. Close it by its engine; dropped without that, it counts as an unclean stop.
    pub store: Store,
    /// What was checked because the last process did not close the folder; `None` after a clean stop.
    pub recovered: Option<Recovered>,
}

/// Opens the store in a folder, brings its files to the newest form, and checks them after an unclean stop.
///
/// Blocks: call it before the runtime starts, or on a thread where that is allowed.
///
/// # Errors
///
/// [`OpenError`] says what to do about it.
pub fn open(config: &SqliteConfig) -> Result<Opened, OpenError> {
    let dir = &config.dir;
    let folder = Arc::new(Folder::lock(dir)?);
    folder.check_whole(&[LOG.name, META.name])?;
    let log = schema::open_writer(&LOG, dir)?;
    let mut meta = schema::open_writer(&META, dir)?;
    schema::make_families(&mut meta)?;
    folder.mark_made()?;
    let left = folder.left()?;
    let found = journal::look(dir, journal::applied(&log)?, left == Left::OpenWithJournal)?;
    let recovered = match left {
        Left::Closed => None,
        Left::Open | Left::OpenWithJournal => Some(check::after_unclean_stop(&log, &meta, dir, found.records())?),
    };
    if let Some(recovered) = &recovered {
        let Recovered { log_records_checked, journal_records, meta_checked, elapsed_ms } = *recovered;
        tracing::warn!(
            log_records_checked,
            journal_records,
            meta_checked,
            elapsed_ms,
            "the last stop was no close; the store is sound"
        );
    }
    // The mark comes after the looking: a folder that cannot be opened is left as it was.
    folder.mark_open()?;
    found.mend(dir)?;
    start(config, folder, log, meta, found).map(|store| Opened { store, recovered })
}

fn start(
    config: &SqliteConfig,
    folder: Arc<Folder>,
    log: Connection,
    meta: Connection,
    found: Found,
) -> Result<Store, OpenError> {
    let dir = &config.dir;
    let life = Arc::new(Life::new());
    let writing = |file: &FileDef, connection| WriteConnection::new(connection).map_err(opening(file.name));
    let threads = |source| OpenError::Io { path: dir.clone(), source };
    let (log_readers, mut readers) = Readers::start(&LOG, dir, config.log_readers, &life, &folder)?;
    let (meta_readers, more_readers) = Readers::start(&META, dir, config.record_readers, &life, &folder)?;
    readers.extend(more_readers);
    let (journal, pending, applier) = journal::start(journal::Start {
        connection: writing(&LOG, log)?,
        asking: schema::open_reader(&LOG, dir)?,
        found,
        segment_bytes: config.segment_bytes,
        life: Arc::clone(&life),
        folder: Arc::clone(&folder),
    })
    .map_err(threads)?;
    let (log, log_writer) =
        SqliteLog::start(journal, pending, log_readers, Arc::clone(&life), Arc::clone(&folder)).map_err(threads)?;
    let (records, meta_writer) =
        SqliteRecords::start(writing(&META, meta)?, meta_readers, Arc::clone(&life), Arc::clone(&folder))
            .map_err(threads)?;
    let (log, records) = (Arc::new(log), Arc::new(records));
    // The applier ends once the log's writer has.
    let threads = Threads { readers, writers: vec![log_writer, applier, meta_writer] };
    let engine = SqliteEngine::new(life, Arc::clone(&log), Arc::clone(&records), threads, folder);
    Ok(Store { log, records, engine: Arc::new(engine) })
}
