//! A few threads that read one file, each through a read-only connection of its own.
//!
//! A read begins after it was asked for, so it sees whatever was acknowledged before (DURABLE). No async thread ever
//! waits for the disk here, and what waits is bounded (BOUNDED).

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::OpenError;
use super::folder::Folder;
use super::life::{Life, StopOnPanic};
use super::queue::Queue;
use super::schema::{self, FileDef};
use crate::error::StoreResult;

/// Reads that may wait: at 50 microseconds each for two threads about 0.1 s. More are refused as `Overloaded`.
const QUEUE_READS: usize = 4_096;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The callers' end of the reading threads.
pub(super) struct Readers {
    queue: Queue<Read>,
    life: Arc<Life>,
}

impl Readers {
    /// Opens `count` connections and starts a thread for each.
    pub(super) fn start(
        file: &'static FileDef,
        dir: &Path,
        count: usize,
        life: &Arc<Life>,
        folder: &Arc<Folder>,
    ) -> Result<(Self, Vec<JoinHandle<()>>), OpenError> {
        let (queue, receiver) = Queue::new(QUEUE_READS);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut threads = Vec::with_capacity(count.max(1));
        for number in 0..count.max(1) {
            let connection = schema::open_reader(file, dir)?;
            let (receiver, life, folder) = (Arc::clone(&receiver), Arc::clone(life), Arc::clone(folder));
            let thread = std::thread::Builder::new()
                .name(format!("{}-reader-{number}", file.short))
                .spawn(move || {
                    let _stop = StopOnPanic(life);
                    let _folder = folder;
                    serve(&connection, &receiver);
                })
                .map_err(|source| OpenError::Io { path: dir.join(file.name), source })?;
            threads.push(thread);
        }
        Ok((Self { queue, life: Arc::clone(life) }, threads))
    }

    /// Asks at once; the future waits for the answer.
    pub(super) fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> BoxFuture<'static, StoreResult<T>> {
        let (answer, answered) = oneshot::channel();
        // Whoever asked and went away needs no answer.
        let read = Box::new(move |connection: &Connection| drop(answer.send(ask(connection))));
        if let Err(refused) = self.life.check().and_then(|()| self.queue.offer(read)) {
            return future::ready(Err(refused)).boxed();
        }
        let life = Arc::clone(&self.life);
        async move { answered.await.unwrap_or_else(|_| Err(life.dropped())) }.boxed()
    }

    /// Takes nothing more; the threads answer what is queued and end.
    pub(super) fn close(&self) {
        self.queue.close();
    }
}

fn serve(connection: &Connection, receiver: &Mutex<Receiver<Read>>) {
    loop {
        // One thread waits inside, the others at the lock; none of them is an async thread.
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(read) = next else { return };
        read(connection);
    }
}
