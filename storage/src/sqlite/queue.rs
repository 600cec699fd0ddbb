//! A bounded way from async callers to a blocking thread: offering never waits (BOUNDED).

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{PoisonError, RwLock};

use crate::error::{Reason, StoreError, StoreResult};

/// The callers' end. Closing it lets the thread finish what is queued, and then end (DRAINED).
pub(super) struct Queue<T> {
    sender: RwLock<Option<SyncSender<T>>>,
}

impl<T> Queue<T> {
    /// A queue for `capacity` items.
    pub(super) fn new(capacity: usize) -> (Self, Receiver<T>) {
        let (sender, receiver) = sync_channel(capacity);
        (Self { sender: RwLock::new(Some(sender)) }, receiver)
    }

    /// Puts an item in, or says why not; then it is dropped.
    pub(super) fn offer(&self, item: T) -> StoreResult<()> {
        let sender = self.sender.read().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else { return Err(StoreError::Stopped(Reason::new("it was closed"))) };
        sender.try_send(item).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => StoreError::Stopped(Reason::new("its thread has ended")),
        })
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.sender.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}
