//! What is under way: in order where order was promised, bounded, and finished before the end.
//!
//! A write is handed over when it is called, whether or not its future is ever polled; a task of the store's own
//! carries it out. Writes of one lane (a conversation, a family's partition, a claim) go one after the other in the
//! order they were handed over: two at once on one partition would only fight over its rounds. Everything that waits or
//! runs holds its share of a budget (BOUNDED: over it, `Overloaded`); closing takes the whole budget, which it has when
//! all is done (DRAINED).

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use hubbub_protocol::ConversationId;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::{Reason, StoreError, StoreResult};

/// What the budget of writes is counted in.
const UNIT: usize = 1024;
/// What a write counts at least: its task, its statements and their values.
const LEAST: usize = 8 * UNIT;

/// What is done one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    Conversation(ConversationId),
    Partition(&'static str, Vec<u8>),
    Claim(&'static str, Vec<u8>),
}

type Job = BoxFuture<'static, ()>;
type Lanes = Mutex<HashMap<Lane, VecDeque<Job>>>;

/// The tasks of a store, and their bounds.
pub(super) struct Work {
    runtime: Handle,
    lanes: Arc<Lanes>,
    writes: Arc<Semaphore>,
    all_writes: u32,
    reads: Arc<Semaphore>,
    all_reads: u32,
    closed: AtomicBool,
}

impl Work {
    /// On this runtime, within these bounds.
    pub(super) fn new(runtime: Handle, max_write_bytes: usize, max_reads: usize) -> Self {
        let all_writes = u32::try_from((max_write_bytes / UNIT).max(1)).unwrap_or(u32::MAX >> 3);
        let all_reads = u32::try_from(max_reads.max(1)).unwrap_or(u32::MAX >> 3);
        Self {
            runtime,
            lanes: Arc::default(),
            writes: Arc::new(Semaphore::new(all_writes as usize)),
            all_writes,
            reads: Arc::new(Semaphore::new(all_reads as usize)),
            all_reads,
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Hands a write over to its lane. It answers through the sender and may go on after that.
    pub(super) fn write<T, F>(
        &self,
        lane: Lane,
        bytes: usize,
        job: impl FnOnce(oneshot::Sender<StoreResult<T>>) -> F,
    ) -> BoxFuture<'static, StoreResult<T>>
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let units = u32::try_from(bytes.max(LEAST).div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.all_writes);
        let permit = match self.admit(&self.writes, units) {
            Ok(permit) => permit,
            Err(refused) => return future::ready(Err(refused)).boxed(),
        };
        let (answer, answered) = oneshot::channel();
        let job = job(answer);
        let job = async move {
            job.await;
            drop(permit);
        };
        self.queue(lane, job.boxed());
        answered.map(|answer| answer.unwrap_or_else(|_| Err(abandoned()))).boxed()
    }

    /// Does a read, whoever waits for it.
    pub(super) fn read<T, F>(
        &self,
        job: impl FnOnce(oneshot::Sender<StoreResult<T>>) -> F,
    ) -> BoxFuture<'static, StoreResult<T>>
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let permit = match self.admit(&self.reads, 1) {
            Ok(permit) => permit,
            Err(refused) => return future::ready(Err(refused)).boxed(),
        };
        let (answer, answered) = oneshot::channel();
        let job = job(answer);
        self.runtime.spawn(async move {
            job.await;
            drop(permit);
        });
        answered.map(|answer| answer.unwrap_or_else(|_| Err(abandoned()))).boxed()
    }

    fn admit(&self, budget: &Arc<Semaphore>, units: u32) -> StoreResult<OwnedSemaphorePermit> {
        let permit = Arc::clone(budget).try_acquire_many_owned(units);
        // After the budget: closing marks first and then waits for all of it.
        if self.is_closed() {
            return Err(StoreError::Stopped(Reason::new("it was closed")));
        }
        permit.map_err(|_| StoreError::Overloaded)
    }

    fn queue(&self, lane: Lane, job: Job) {
        let mut lanes = lock(&self.lanes);
        if let Some(waiting) = lanes.get_mut(&lane) {
            return waiting.push_back(job);
        }
        lanes.insert(lane.clone(), VecDeque::new());
        drop(lanes);
        self.runtime.spawn(run(Arc::clone(&self.lanes), lane, job));
    }

    /// Takes nothing more; the future waits until all that was handed over is done.
    pub(super) fn close(&self) -> BoxFuture<'static, ()> {
        self.closed.store(true, Ordering::SeqCst);
        let (writes, reads) = (Arc::clone(&self.writes), Arc::clone(&self.reads));
        let (all_writes, all_reads) = (self.all_writes, self.all_reads);
        async move {
            // Never refused: nobody closes the semaphores.
            drop(writes.acquire_many(all_writes).await);
            drop(reads.acquire_many(all_reads).await);
        }
        .boxed()
    }
}

/// Works a lane off; it is gone when nothing waits in it.
async fn run(lanes: Arc<Lanes>, lane: Lane, first: Job) {
    let mut guard = EndOnPanic { lanes, lane };
    let mut next = Some(first);
    while let Some(job) = next {
        job.await;
        next = guard.next();
    }
}

/// A job that panics takes its lane along: what waits there is answered as unknown, and the next one begins anew.
struct EndOnPanic {
    lanes: Arc<Lanes>,
    lane: Lane,
}

impl EndOnPanic {
    fn next(&mut self) -> Option<Job> {
        let mut lanes = lock(&self.lanes);
        let next = lanes.get_mut(&self.lane).and_then(VecDeque::pop_front);
        if next.is_none() {
            lanes.remove(&self.lane);
        }
        next
    }
}

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let waiting = lock(&self.lanes).remove(&self.lane);
            drop(waiting);
        }
    }
}

fn lock(lanes: &Lanes) -> MutexGuard<'_, HashMap<Lane, VecDeque<Job>>> {
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn abandoned() -> StoreError {
    StoreError::Unknown(Reason::new("its task ended before it was answered"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn work(bytes: usize) -> Work {
        Work::new(Handle::current(), bytes, 2)
    }

    fn lane(number: u8) -> Lane {
        Lane::Conversation(ConversationId::from_bytes([number; 16]))
    }

    #[tokio::test]
    async fn a_lane_keeps_its_order_and_others_do_not_wait_for_it() {
        let work = work(1 << 20);
        let order = Arc::new(Mutex::new(Vec::new()));
        let job = |number: u64| {
            let order = Arc::clone(&order);
            move |answer: oneshot::Sender<StoreResult<()>>| async move {
                tokio::time::sleep(Duration::from_millis(20 - number)).await;
                order.lock().unwrap().push(number);
                drop(answer.send(Ok(())));
            }
        };
        let first = work.write(lane(1), 0, job(0));
        drop(work.write(lane(1), 0, job(1)));
        let third = work.write(lane(1), 0, job(2));
        let other = work.write(lane(2), 0, job(15));
        assert_eq!((other.await, first.await, third.await), (Ok(()), Ok(()), Ok(())));
        assert_eq!(*order.lock().unwrap(), [15, 0, 1, 2], "a dropped future undid its write, or order was lost");
        assert!(lock(&work.lanes).is_empty(), "BOUNDED: an empty lane stays");
    }

    #[tokio::test]
    async fn over_the_bounds_is_overloaded_and_closing_waits_for_what_was_handed_over() {
        let work = work(3 * LEAST);
        let (go, gone) = oneshot::channel::<()>();
        let slow = work.write(lane(1), 2 * LEAST, |answer| async move {
            drop(gone.await);
            drop(answer.send(Ok(1)));
        });
        let quick = |answer: oneshot::Sender<StoreResult<u8>>| async move { drop(answer.send(Ok(2))) };
        let queued = work.write(lane(1), 0, quick);
        assert_eq!(work.write(lane(2), 0, quick).await, Err(StoreError::Overloaded), "BOUNDED");
        let closing = tokio::spawn(work.close());
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(matches!(work.write(lane(3), 0, quick).await, Err(StoreError::Stopped(_))));
        assert!(matches!(work.read(quick).await, Err(StoreError::Stopped(_))));
        assert!(!closing.is_finished(), "DRAINED");
        go.send(()).unwrap();
        assert_eq!((slow.await, queued.await), (Ok(1), Ok(2)), "DRAINED");
        closing.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_an_unknown_outcome_and_the_lane_goes_on_with_what_comes_next() {
        let work = work(1 << 20);
        let failing = work.write::<u8, _>(lane(1), 0, |_| async { panic!("on purpose") });
        assert!(matches!(failing.await, Err(StoreError::Unknown(_))), "HONEST");
        tokio::time::sleep(Duration::from_millis(5)).await;
        let next = work.write(lane(1), 0, |answer| async move { drop(answer.send(Ok(1))) });
        assert_eq!(next.await, Ok(1));
    }
}
