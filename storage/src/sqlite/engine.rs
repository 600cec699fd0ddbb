//! The store's life from open to close: who holds what, and in which order it ends.
//!
//! Closing lets the readers answer what they have, then the writers (DRAINED); what stands in the journal is applied; each
//! write-ahead file is folded in and its file closed; only then the mark of an open folder is taken away.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::folder::Folder;
use super::journal;
use super::life::Life;
use super::log::SqliteLog;
use super::records::SqliteRecords;
use crate::error::{Reason, StoreError, StoreResult};
use crate::store::{Engine, Health};

/// The threads of the store, readers and writers.
pub(super) struct Threads {
    pub(super) readers: Vec<JoinHandle<()>>,
    pub(super) writers: Vec<JoinHandle<()>>,
}

/// What closing needs.
struct Parts {
    log: Arc<SqliteLog>,
    records: Arc<SqliteRecords>,
    threads: Threads,
    folder: Arc<Folder>,
}

/// An open folder.
pub(super) struct SqliteEngine {
    life: Arc<Life>,
    parts: Mutex<Option<Parts>>,
    closed: Arc<watch::Sender<Option<StoreResult<()>>>>,
}

impl SqliteEngine {
    pub(super) fn new(
        life: Arc<Life>,
        log: Arc<SqliteLog>,
        records: Arc<SqliteRecords>,
        threads: Threads,
        folder: Arc<Folder>,
    ) -> Self {
        let parts = Mutex::new(Some(Parts { log, records, threads, folder }));
        Self { life, parts, closed: Arc::new(watch::Sender::new(None)) }
    }

    fn begin_closing(&self) {
        self.life.close();
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(parts) = parts else { return };
        let (life, closed) = (Arc::clone(&self.life), Arc::clone(&self.closed));
        // Joining waits, which no async thread may do.
        let work = move || {
            closed.send_replace(Some(close(parts, &life)));
        };
        if let Err(error) = std::thread::Builder::new().name("store-closer".to_owned()).spawn(work) {
            self.closed.send_replace(Some(Err(StoreError::Unavailable(Reason::new(error)))));
        }
    }
}

fn close(parts: Parts, life: &Life) -> StoreResult<()> {
    let Parts { log, records, threads, folder } = parts;
    log.close_readers();
    records.close_readers();
    join(threads.readers, life);
    log.close_writer();
    records.close_writer();
    join(threads.writers, life);
    let done = match life.failure() {
        Some(reason) => Err(StoreError::Stopped(reason)),
        // The journal's last segment goes after the mark: while the mark is there, a segment is looked for.
        None => folder
            .mark_closed()
            .and_then(|()| journal::tidy(folder.dir()))
            .and_then(|()| folder.sync())
            .map_err(|error| StoreError::Unavailable(Reason::new(error))),
    };
    folder.unlock();
    done
}

fn join(threads: Vec<JoinHandle<()>>, life: &Life) {
    for thread in threads {
        if thread.join().is_err() {
            life.stop(&Reason::new("a thread of the store panicked"));
        }
    }
}

impl Engine for SqliteEngine {
    fn health(&self) -> Health {
        self.life.health()
    }

    fn stopped(&self) -> BoxFuture<'static, Reason> {
        self.life.stopped()
    }

    fn close(&self) -> BoxFuture<'static, StoreResult<()>> {
        self.begin_closing();
        let mut closed = self.closed.subscribe();
        async move {
            match closed.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone()) {
                Some(outcome) => outcome,
                None => Err(StoreError::Unavailable(Reason::new("closing did not end"))),
            }
        }
        .boxed()
    }
}
