//! Whether the store still lives: the one place where a failed write stops everything (DURABLE).
//!
//! Shared by the writers, the readers and the handles. A failed write or sync is never tried again: after one the
//! operating system may have dropped the bytes and call the next sync a success, so only a restart tells what is on disk.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::error::{Reason, StoreError, StoreResult};
use crate::store::Health;

/// Alive, closed, or stopped for a reason.
pub(super) struct Life {
    closed: AtomicBool,
    stopped: watch::Sender<Option<Reason>>,
}

impl Life {
    pub(super) fn new() -> Self {
        Self { closed: AtomicBool::new(false), stopped: watch::Sender::new(None) }
    }

    /// Refuses once the store is closed or has stopped.
    pub(super) fn check(&self) -> StoreResult<()> {
        match self.health() {
            Health::Stopped(reason) => Err(StoreError::Stopped(reason)),
            Health::Ready | Health::Unreachable(_) => Ok(()),
        }
    }

    pub(super) fn health(&self) -> Health {
        if let Some(reason) = self.failure() {
            return Health::Stopped(reason);
        }
        if self.closed.load(Ordering::Acquire) { Health::Stopped(Reason::new("it was closed")) } else { Health::Ready }
    }

    /// Why it stopped by itself, if it did.
    pub(super) fn failure(&self) -> Option<Reason> {
        self.stopped.borrow().clone()
    }

    /// No new work from here on.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Stops the store for good. The first reason stays.
    pub(super) fn stop(&self, reason: &Reason) {
        let first = self.stopped.send_if_modified(|stopped| {
            let first = stopped.is_none();
            stopped.get_or_insert_with(|| reason.clone());
            first
        });
        if first {
            tracing::error!(%reason, "the store has stopped: nothing more is written until a restart");
        }
    }

    pub(super) fn stopped(&self) -> BoxFuture<'static, Reason> {
        let mut watched = self.stopped.subscribe();
        async move {
            match watched.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone()) {
                Some(reason) => reason,
                // The store is gone without having failed: then it never will.
                None => std::future::pending().await,
            }
        }
        .boxed()
    }

    /// What a waiter hears whose work was dropped unanswered.
    pub(super) fn dropped(&self) -> StoreError {
        StoreError::Stopped(self.failure().unwrap_or_else(|| Reason::new("it was closed")))
    }
}

/// Stops the store when the thread that holds it panics.
pub(super) struct StopOnPanic(pub(super) std::sync::Arc<Life>);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(&Reason::new("a thread of the store panicked"));
        }
    }
}
