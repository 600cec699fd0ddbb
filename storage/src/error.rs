//! How a store refuses. A variant exists only where a caller acts on it.

use std::fmt;

/// What a backend answers when it cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Its queue is full. Nothing was stored; try again.
    #[error("the store's queue is full")]
    Overloaded,
    /// It cannot be reached now, and nothing was stored; try again.
    #[error("the store cannot be reached: {0}")]
    Unavailable(Reason),
    /// It may or may not have been stored: repeat with the same client id, or read, to learn which (HONEST).
    #[error("the store's outcome is unknown: {0}")]
    Unknown(Reason),
    /// A write or sync failed, so the store stopped for good: its process must be restarted, and it recovers from what
    /// is on disk. Whether this very call was stored is as unknown as with [`StoreError::Unknown`].
    #[error("the store has stopped: {0}")]
    Stopped(Reason),
    /// What was read is not what was written. It is refused, not served.
    #[error("the store is damaged: {0}")]
    Damaged(Reason),
    /// What was asked breaks the contract, such as an empty or oversize batch. Nothing was stored; the caller is at fault.
    #[error("the store was asked for what no store does: {0}")]
    Invalid(Reason),
}

/// The engine's own words, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// The reason that says this.
    pub fn new(words: impl fmt::Display) -> Self {
        Self(words.to_string())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What every call of a store answers.
pub type StoreResult<T> = Result<T, StoreError>;
