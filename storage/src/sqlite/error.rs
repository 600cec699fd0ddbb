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
    use rusqlite::Error::{IntegralValueOutOfRange, InvalidColumnType, SqliteFailure};
    match error {
        SqliteFailure(failure, words) => {
            // The number tells what the operating system answered.
            let words = words.unwrap_or_else(|| failure.to_string());
            let reason = Reason::new(format_args!("{words} (SQLite code {})", failure.extended_code));
            match failure.code {
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Damaged(reason),
                _ => StoreError::Unavailable(reason),
            }
        }
        // A value of another type than the one that was written.
        other @ (InvalidColumnType(..) | IntegralValueOutOfRange(..)) => damaged(other),
        other => StoreError::Unavailable(Reason::new(other)),
    }
}

/// The operating system's error while a file is written: the store stops.
pub(super) fn writing(file: &'static str) -> impl Fn(std::io::Error) -> StoreError {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    move |error| {
        let full =
            if matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull) { "the disk is full: " } else { "" };
        StoreError::Unavailable(Reason::new(format_args!("{file}: {full}{error}")))
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
