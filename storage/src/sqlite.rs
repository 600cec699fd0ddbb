//! The default backend: SQLite in a folder, nothing to install.
//!
//! Being filled: the signatures below stay.

use std::path::{Path, PathBuf};

use crate::error::Reason;
use crate::store::Store;

/// Where the store is and how large its parts are.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The folder; made if it is not there.
    pub dir: PathBuf,
    /// Threads that read the log.
    pub log_readers: usize,
    /// Threads that read the records.
    pub record_readers: usize,
}

impl SqliteConfig {
    /// The defaults, in this folder.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), log_readers: 2, record_readers: 2 }
    }
}

/// An open store.
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What was looked at because the last process did not close it; `None` after a clean stop.
    pub recovered: Option<Recovered>,
}

/// What the check after an unclean stop looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// The newest log records whose bytes, place and neighbours were checked.
    pub records_checked: u64,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data folder {} is in use by another process", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// A later Hubbub wrote it.
    #[error("{file} was written by a newer Hubbub: its form is {found}, this one knows forms up to {supported}")]
    Newer {
        /// Which file.
        file: &'static str,
        /// The form that it has.
        found: u32,
        /// The latest form known here.
        supported: u32,
    },
    /// A file of that name is there, but none of ours.
    #[error("{file} is no file of Hubbub's")]
    Foreign {
        /// Which file.
        file: &'static str,
    },
    /// The check after an unclean stop found damage.
    #[error("{file} is damaged: {reason}")]
    Damaged {
        /// Which file.
        file: &'static str,
        /// What is wrong.
        reason: Reason,
    },
    /// The operating system refused.
    #[error("cannot use {}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Its words.
        source: std::io::Error,
    },
    /// The engine refused.
    #[error("cannot open {file}: {reason}")]
    Engine {
        /// Which file.
        file: &'static str,
        /// Its words.
        reason: Reason,
    },
}

/// Opens the store in a folder, brings its files to the newest form, and checks them after an unclean stop.
///
/// Blocks: call it before the runtime starts, or on a thread where that is allowed.
///
/// # Errors
///
/// [`OpenError`] says what to do about it.
pub fn open(config: &SqliteConfig) -> Result<Opened, OpenError> {
    Err(OpenError::InUse { dir: config.dir.clone() })
}

/// What a check of a whole store counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerifySummary {
    /// Conversations.
    pub conversations: u64,
    /// Records in their logs.
    pub log_records: u64,
    /// Client ids that are kept (ONCE).
    pub client_ids: u64,
    /// Rows of the record families.
    pub rows: u64,
    /// Claims.
    pub claims: u64,
}

/// Something wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which file.
    pub file: &'static str,
    /// Where in it, and what.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

/// Why a check of a whole store did not pass.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is damaged.
    #[error("the store is damaged in {} places", .0.len())]
    Damaged(Vec<Problem>),
}

/// Checks a whole store that no process has open; changes nothing.
///
/// # Errors
///
/// [`VerifyError`].
pub fn verify(dir: &Path) -> Result<VerifySummary, VerifyError> {
    Err(VerifyError::Open(OpenError::InUse { dir: dir.to_path_buf() }))
}
