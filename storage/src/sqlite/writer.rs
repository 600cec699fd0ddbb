//! One writer thread for a file: natural group commit.
//!
//! While one group is being synced the next forms in the queue; the thread takes what is there, up to a limit and with
//! no artificial delay, makes it durable in one commit, and only then answers (DURABLE). What a group means belongs to a
//! [`GroupCommitter`]; this file knows queue, group and answer. A failed commit fails the whole group as `Stopped` and
//! stops the store; what waits behind it is refused the same way, untried (HONEST).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use tokio::sync::oneshot;

use super::error::last_words;
use super::folder::Folder;
use super::life::{Life, StopOnPanic};
use super::queue::Queue;
use crate::error::{Reason, StoreError, StoreResult};

/// Requests that may wait: at 15,000 a second a quarter of a second's worth, about as long as the slowest commits take.
/// More are refused as `Overloaded`.
const QUEUE_REQUESTS: usize = 4_096;
/// Bytes that may wait, whatever the number of requests: 1,000 of the largest payloads. More are refused likewise.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Requests in one commit, at most, so that a waiter's delay has a bound.
const GROUP_REQUESTS: usize = 512;
/// Bytes in one commit; the request that goes over it is the group's last.
const GROUP_BYTES: usize = 1024 * 1024;
/// After so long without a request the committer may tidy up.
const IDLE_AFTER: Duration = Duration::from_millis(500);

/// Makes groups of requests durable; owned by the writer thread.
///
/// The log's decides over its journal, the records' over SQLite itself.
pub(super) trait GroupCommitter: Send + 'static {
    /// What is asked.
    type Request: Send + 'static;
    /// What is answered.
    type Answer: Send + 'static;

    /// Carries out requests in order, all of them synced when it returns; one answer each. Of an answer that is an
    /// error, nothing was stored.
    ///
    /// # Errors
    ///
    /// `Damaged`: the group met a damaged page and can be rolled back. Anything else stops the store.
    fn commit(&mut self, group: &[Self::Request]) -> StoreResult<Vec<StoreResult<Self::Answer>>>;

    /// Undoes what a failed `commit` began.
    fn roll_back(&mut self) -> StoreResult<()>;

    /// Called after a group was answered.
    fn after_group(&mut self) -> StoreResult<()>;

    /// Called when nothing came for a while, and after the last group.
    fn idle(&mut self) -> StoreResult<()>;

    /// Called at the end if the store has stopped: the disk is to be left as it is.
    fn abandon(&mut self);
}

/// The callers' end of a writer thread.
pub(super) struct Writer<C: GroupCommitter> {
    queue: Queue<Waiting<C::Request, C::Answer>>,
    queued_bytes: Arc<AtomicUsize>,
    life: Arc<Life>,
}

struct Waiting<R, A> {
    request: R,
    bytes: usize,
    answer: oneshot::Sender<StoreResult<A>>,
}

impl<C: GroupCommitter> Writer<C> {
    /// Starts the thread. It holds the folder's lock until it ends.
    pub(super) fn start(
        name: &str,
        committer: C,
        life: Arc<Life>,
        folder: Arc<Folder>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, receiver) = Queue::new(QUEUE_REQUESTS);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let thread = WriterThread {
            committer,
            receiver,
            queued_bytes: Arc::clone(&queued_bytes),
            life: Arc::clone(&life),
            _folder: folder,
        };
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(move || thread.run())?;
        Ok((Self { queue, queued_bytes, life }, handle))
    }

    /// Hands a request over at once; the future waits for its answer.
    pub(super) fn submit(&self, request: C::Request, bytes: usize) -> BoxFuture<'static, StoreResult<C::Answer>> {
        match self.offer(request, bytes) {
            Err(refused) => future::ready(Err(refused)).boxed(),
            Ok(answer) => {
                let life = Arc::clone(&self.life);
                async move { answer.await.unwrap_or_else(|_| Err(life.dropped())) }.boxed()
            }
        }
    }

    fn offer(&self, request: C::Request, bytes: usize) -> StoreResult<oneshot::Receiver<StoreResult<C::Answer>>> {
        self.life.check()?;
        // Each of the callers in between may go over the limit by its own request and no more.
        if self.queued_bytes.fetch_add(bytes, Ordering::Relaxed) > QUEUE_BYTES {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(StoreError::Overloaded);
        }
        let (answer, answered) = oneshot::channel();
        if let Err(refused) = self.queue.offer(Waiting { request, bytes, answer }) {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(refused);
        }
        Ok(answered)
    }

    /// Takes nothing more; the thread finishes what is queued and ends (DRAINED).
    pub(super) fn close(&self) {
        self.queue.close();
    }
}

struct WriterThread<C: GroupCommitter> {
    committer: C,
    receiver: Receiver<Waiting<C::Request, C::Answer>>,
    queued_bytes: Arc<AtomicUsize>,
    life: Arc<Life>,
    _folder: Arc<Folder>,
}

impl<C: GroupCommitter> WriterThread<C> {
    fn run(mut self) {
        let _stop = StopOnPanic(Arc::clone(&self.life));
        loop {
            let done = match self.receiver.recv_timeout(IDLE_AFTER) {
                Ok(first) => self.serve(first),
                Err(RecvTimeoutError::Timeout) => self.unless_stopped(C::idle),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.stop_if_failed(done);
        }
        let done = self.unless_stopped(C::idle);
        self.stop_if_failed(done);
        if self.life.failure().is_some() {
            self.committer.abandon();
        }
    }

    fn stop_if_failed(&self, done: StoreResult<()>) {
        if let Err(error) = done {
            self.life.stop(&last_words(&error));
        }
    }

    fn unless_stopped(&mut self, act: fn(&mut C) -> StoreResult<()>) -> StoreResult<()> {
        if self.life.failure().is_some() { Ok(()) } else { act(&mut self.committer) }
    }

    fn serve(&mut self, first: Waiting<C::Request, C::Answer>) -> StoreResult<()> {
        let (requests, waiters) = self.gather(first);
        if let Some(reason) = self.life.failure() {
            refuse_all(waiters, &reason);
            return Ok(());
        }
        match self.commit(&requests) {
            Ok(answers) => {
                debug_assert_eq!(answers.len(), waiters.len(), "HONEST: one answer for each request");
                for (waiter, answer) in waiters.into_iter().zip(answers) {
                    deliver(waiter, answer);
                }
                self.committer.after_group()
            }
            Err(error) => {
                // The store is seen as stopped before any waiter can try again.
                let reason = last_words(&error);
                self.life.stop(&reason);
                refuse_all(waiters, &reason);
                Ok(())
            }
        }
    }

    fn commit(&mut self, group: &[C::Request]) -> StoreResult<Vec<StoreResult<C::Answer>>> {
        match self.committer.commit(group) {
            Err(StoreError::Damaged(_)) => self.commit_apart(group),
            done => done,
        }
    }

    /// Some page is damaged: each request alone, so that only those that need the page are refused.
    fn commit_apart(&mut self, group: &[C::Request]) -> StoreResult<Vec<StoreResult<C::Answer>>> {
        let mut answers = Vec::with_capacity(group.len());
        for request in group {
            self.committer.roll_back()?;
            match self.committer.commit(std::slice::from_ref(request)) {
                Ok(answer) => answers.extend(answer),
                Err(StoreError::Damaged(reason)) => {
                    tracing::error!(%reason, "a write met damage and was refused");
                    answers.push(Err(StoreError::Damaged(reason)));
                }
                Err(error) => return Err(error),
            }
        }
        self.committer.roll_back()?;
        Ok(answers)
    }

    fn gather(&mut self, first: Waiting<C::Request, C::Answer>) -> (Vec<C::Request>, Waiters<C::Answer>) {
        let (mut requests, mut waiters) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(waiting) = next {
            bytes += waiting.bytes;
            requests.push(waiting.request);
            waiters.push(waiting.answer);
            let room = requests.len() < GROUP_REQUESTS && bytes < GROUP_BYTES;
            next = if room { self.receiver.try_recv().ok() } else { None };
        }
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        (requests, waiters)
    }
}

type Waiters<A> = Vec<oneshot::Sender<StoreResult<A>>>;

fn refuse_all<A>(waiters: Waiters<A>, reason: &Reason) {
    for waiter in waiters {
        deliver(waiter, Err(StoreError::Stopped(reason.clone())));
    }
}

/// A waiter that went away has chosen not to know; what it handed over stands.
fn deliver<A>(waiter: oneshot::Sender<StoreResult<A>>, answer: StoreResult<A>) {
    drop(waiter.send(answer));
}
