//! The backend that keeps nothing: the whole contract in this process's memory.
//!
//! For tests, for trying Hubbub out, and for measuring what the rest costs without a disk. It keeps ONCE, GAPLESS and
//! HONEST as every backend does; DURABLE only until the process ends. Each call does its work at once, under a lock that
//! is never held across an await, so nothing queues (BOUNDED) and what was handed over in order is tried in order.
//! It grows with what is stored: that is its nature, not a leak.

mod acts;
mod chunks;
mod log;
mod records;
mod rows;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};

use crate::error::{Reason, StoreError, StoreResult};
use crate::store::{Engine, Health, Store};

/// An empty store.
#[must_use]
pub fn open() -> Store {
    let life = Arc::new(Life::default());
    Store {
        log: Arc::new(log::MemoryLog::new(Arc::clone(&life))),
        records: Arc::new(records::MemoryRecords::new(Arc::clone(&life))),
        engine: life,
    }
}

/// Whether it is open. Memory does not fail, so it never stops by itself.
#[derive(Debug, Default)]
struct Life {
    closed: AtomicBool,
}

impl Life {
    fn check(&self) -> StoreResult<()> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Stopped(closed())) } else { Ok(()) }
    }
}

impl Engine for Life {
    fn health(&self) -> Health {
        if self.closed.load(Ordering::Acquire) { Health::Stopped(closed()) } else { Health::Ready }
    }

    fn stopped(&self) -> BoxFuture<'static, Reason> {
        future::pending().boxed()
    }

    fn close(&self) -> BoxFuture<'static, StoreResult<()>> {
        self.closed.store(true, Ordering::Release);
        future::ready(Ok(())).boxed()
    }
}

fn closed() -> Reason {
    Reason::new("it was closed")
}

/// Nothing panics while it holds a lock. Should it, readers find what was written until then.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
