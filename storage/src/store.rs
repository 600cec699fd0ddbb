//! The bundle that a process opens once and shares.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::error::{Reason, StoreResult};
use crate::log::MessageLog;
use crate::records::Records;

/// How a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It reads and writes.
    Ready,
    /// It cannot be reached now; it goes on by itself when it can be. Calls are answered `Unavailable` or `Unknown`.
    Unreachable(Reason),
    /// It has stopped for good; the process should end with this as its last word.
    Stopped(Reason),
}

/// An open store: the log, the records and their life. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// The conversations' logs.
    pub log: Arc<dyn MessageLog>,
    /// Everything else.
    pub records: Arc<dyn Records>,
    /// Its life.
    pub engine: Arc<dyn Engine>,
}

/// The life of a store.
pub trait Engine: Send + Sync + 'static {
    /// How it is now; never waits.
    fn health(&self) -> Health;

    /// Waits until it has stopped because of a failed write or sync.
    fn stopped(&self) -> BoxFuture<'static, Reason>;

    /// Finishes what was handed over, syncs and closes (DRAINED). Later calls are refused as `Stopped`.
    fn close(&self) -> BoxFuture<'static, StoreResult<()>>;
}
