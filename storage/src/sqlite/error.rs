//! What can go wrong with the engine, in the contract's words.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::error::{Reason, StoreError};

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
    /// The check after an unclean stop found damage. `hubbub verify` tells all of it.
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

/// The engine's error while a file is being opened.
pub(super) fn opening(file: &'static str) -> impl Fn(rusqlite::Error) -> OpenError {
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign { file },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { file, reason: Reason::new(error) },
        _ => OpenError::Engine { file, reason: Reason::new(error) },
    }
}

/// The engine's error while it is asked: what is damaged is refused, anything else may pass.
pub(super) fn asking(error: rusqlite::Error) -> StoreError {
    // A value of another type than the one that was written is as damaged as a page that makes no sense.
    let kind = matches!(error, rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::IntegralValueOutOfRange(..));
    let page = matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase));
    let reason = words(&error);
    if kind || page { StoreError::Damaged(reason) } else { StoreError::Unavailable(reason) }
}

/// The engine's words, and its number for what the operating system answered.
fn words(error: &rusqlite::Error) -> Reason {
    match error.sqlite_error() {
        Some(code) => Reason::new(format_args!("{error} (SQLite code {})", code.extended_code)),
        None => Reason::new(error),
    }
}

/// Why the store stops: a write that failed is not a store that cannot be reached for the moment.
pub(super) fn last_words(error: &StoreError) -> Reason {
    match error {
        StoreError::Unavailable(reason) => Reason::new(format_args!("a write or sync failed: {reason}")),
        other => Reason::new(other),
    }
}

/// Damage that our own checks found.
pub(super) fn damaged(what: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(Reason::new(what))
}
