//! A store over a store that fails on purpose: by a seed, or by a script.
//!
//! The weakest store that the contract allows, for tests of whatever stands on it: refusals that stored nothing, unknown
//! outcomes that stored something or not, answers that come late. Order is kept: a call is carried out, or not, at
//! the moment it is made, and only its answer is changed. It passes the conformance suite with injection off.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use hubbub_protocol::{ClientMessageId, ConversationId, Record, Sequence, UserId};

use crate::error::{Reason, StoreError, StoreResult};
use crate::log::{Append, Appended, MessageLog, Range};
use crate::records::{Claimed, Expect, FamilyDef, RawRow, Records, Slice, Written};
use crate::store::Store;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not carried out; `Overloaded`.
    Overloaded,
    /// Not carried out; `Unavailable`.
    Unavailable,
    /// Not carried out; `Unknown`. A read is `Unavailable` instead, as its outcome does not matter.
    UnknownNotDone,
    /// Carried out; `Unknown`. A read is `Unavailable` instead.
    UnknownDone,
    /// Carried out; the answer comes this much later.
    Late(Duration),
}

/// How often each fault comes, in a thousand calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Odds {
    /// [`Fault::Overloaded`].
    pub overloaded: u16,
    /// [`Fault::Unavailable`].
    pub unavailable: u16,
    /// [`Fault::UnknownNotDone`].
    pub unknown_not_done: u16,
    /// [`Fault::UnknownDone`].
    pub unknown_done: u16,
    /// [`Fault::Late`].
    pub late: u16,
    /// How late.
    pub late_by: Duration,
}

/// Which calls fail, and how.
#[derive(Debug)]
pub struct Plan {
    faults: Faults,
    reads: bool,
}

#[derive(Debug)]
enum Faults {
    Scripted(VecDeque<Option<Fault>>),
    Seeded { state: u64, odds: Odds },
}

impl Plan {
    /// Nothing fails.
    #[must_use]
    pub fn none() -> Self {
        Self::scripted([])
    }

    /// The first write meets the first entry, and so on; after the last nothing fails.
    #[must_use]
    pub fn scripted(faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        Self { faults: Faults::Scripted(faults.into_iter().collect()), reads: false }
    }

    /// Writes fail at these odds, the same ones for the same seed and the same order of calls.
    #[must_use]
    pub fn seeded(seed: u64, odds: Odds) -> Self {
        Self { faults: Faults::Seeded { state: seed, odds }, reads: false }
    }

    /// Reads fail too.
    #[must_use]
    pub fn with_reads(self) -> Self {
        Self { reads: true, ..self }
    }

    fn next(&mut self) -> Option<Fault> {
        match &mut self.faults {
            Faults::Scripted(faults) => faults.pop_front().flatten(),
            Faults::Seeded { state, odds } => odds.fault(draw(state) % 1000),
        }
    }
}

impl Odds {
    fn fault(&self, mut drawn: u64) -> Option<Fault> {
        let faults = [
            (self.overloaded, Fault::Overloaded),
            (self.unavailable, Fault::Unavailable),
            (self.unknown_not_done, Fault::UnknownNotDone),
            (self.unknown_done, Fault::UnknownDone),
            (self.late, Fault::Late(self.late_by)),
        ];
        for (odds, fault) in faults {
            match drawn.checked_sub(u64::from(odds)) {
                None => return Some(fault),
                Some(rest) => drawn = rest,
            }
        }
        None
    }
}

/// The next number of a seed's sequence (`SplitMix64`).
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Turns the injection on and off, and counts it.
#[derive(Clone)]
pub struct Switch(Arc<Shared>);

struct Shared {
    on: AtomicBool,
    injected: AtomicU64,
    plan: Mutex<Plan>,
}

impl Switch {
    /// From here on faults are injected, or not.
    pub fn set(&self, on: bool) {
        self.0.on.store(on, Ordering::SeqCst);
    }

    /// From here on faults come by another plan.
    pub fn follow(&self, plan: Plan) {
        *self.0.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// Faults injected so far.
    pub fn injected(&self) -> u64 {
        self.0.injected.load(Ordering::SeqCst)
    }
}

/// The store over `store` that fails as planned, and its switch, which is on. Its engine is the store's own.
#[must_use]
pub fn over(store: Store, plan: Plan) -> (Store, Switch) {
    let shared = Arc::new(Shared { on: AtomicBool::new(true), injected: AtomicU64::new(0), plan: Mutex::new(plan) });
    let faulty = Store {
        log: Arc::new(FaultyLog { inner: store.log, shared: Arc::clone(&shared) }),
        records: Arc::new(FaultyRecords { inner: store.records, shared: Arc::clone(&shared) }),
        engine: store.engine,
    };
    (faulty, Switch(shared))
}

impl Shared {
    fn fault(&self, read: bool) -> Option<Fault> {
        if !self.on.load(Ordering::SeqCst) {
            return None;
        }
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        if read && !plan.reads {
            return None;
        }
        let fault = plan.next();
        self.injected.fetch_add(u64::from(fault.is_some()), Ordering::SeqCst);
        fault
    }

    fn write<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> BoxFuture<'static, StoreResult<T>>,
    ) -> BoxFuture<'static, StoreResult<T>> {
        match self.fault(false) {
            None => call(),
            Some(Fault::Overloaded) => refuse(StoreError::Overloaded),
            Some(Fault::Unavailable) => refuse(StoreError::Unavailable(on_purpose())),
            Some(Fault::UnknownNotDone) => refuse(StoreError::Unknown(on_purpose())),
            Some(Fault::UnknownDone) => {
                let call = call();
                async move { call.await.and(Err(StoreError::Unknown(on_purpose()))) }.boxed()
            }
            Some(Fault::Late(by)) => late(call(), by),
        }
    }

    fn read<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> BoxFuture<'static, StoreResult<T>>,
    ) -> BoxFuture<'static, StoreResult<T>> {
        match self.fault(true) {
            None => call(),
            Some(Fault::Overloaded) => refuse(StoreError::Overloaded),
            Some(Fault::Unavailable | Fault::UnknownNotDone | Fault::UnknownDone) => {
                refuse(StoreError::Unavailable(on_purpose()))
            }
            Some(Fault::Late(by)) => late(call(), by),
        }
    }
}

fn refuse<T: Send + 'static>(error: StoreError) -> BoxFuture<'static, StoreResult<T>> {
    future::ready(Err(error)).boxed()
}

fn late<T: Send + 'static>(
    call: BoxFuture<'static, StoreResult<T>>,
    by: Duration,
) -> BoxFuture<'static, StoreResult<T>> {
    async move {
        let answer = call.await;
        tokio::time::sleep(by).await;
        answer
    }
    .boxed()
}

fn on_purpose() -> Reason {
    Reason::new("it was told to fail")
}

struct FaultyLog {
    inner: Arc<dyn MessageLog>,
    shared: Arc<Shared>,
}

impl MessageLog for FaultyLog {
    fn append(&self, append: Append) -> BoxFuture<'static, StoreResult<Appended>> {
        self.shared.write(|| self.inner.append(append))
    }

    fn read(
        &self,
        conversation_id: ConversationId,
        range: Range,
        limit: usize,
    ) -> BoxFuture<'static, StoreResult<Vec<Record>>> {
        self.shared.read(|| self.inner.read(conversation_id, range, limit))
    }

    fn head(&self, conversation_id: ConversationId) -> BoxFuture<'static, StoreResult<Sequence>> {
        self.shared.read(|| self.inner.head(conversation_id))
    }

    fn lookup(
        &self,
        conversation_id: ConversationId,
        sender_id: UserId,
        client_message_id: ClientMessageId,
    ) -> BoxFuture<'static, StoreResult<Option<Sequence>>> {
        self.shared.read(|| self.inner.lookup(conversation_id, sender_id, client_message_id))
    }
}

struct FaultyRecords {
    inner: Arc<dyn Records>,
    shared: Arc<Shared>,
}

impl Records for FaultyRecords {
    fn get(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
    ) -> BoxFuture<'static, StoreResult<Option<RawRow>>> {
        self.shared.read(|| self.inner.get(family, partition, sort))
    }

    fn list(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        slice: Slice,
    ) -> BoxFuture<'static, StoreResult<Vec<RawRow>>> {
        self.shared.read(|| self.inner.list(family, partition, slice))
    }

    fn put(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>> {
        self.shared.write(|| self.inner.put(family, partition, sort, value, expect))
    }

    fn delete(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>> {
        self.shared.write(|| self.inner.delete(family, partition, sort, expect))
    }

    fn claim(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<Claimed>> {
        self.shared.write(|| self.inner.claim(name, value, owner))
    }

    fn claimant(&self, name: &'static str, value: Vec<u8>) -> BoxFuture<'static, StoreResult<Option<Vec<u8>>>> {
        self.shared.read(|| self.inner.claimant(name, value))
    }

    fn release(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<()>> {
        self.shared.write(|| self.inner.release(name, value, owner))
    }
}
