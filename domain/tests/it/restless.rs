//! A store whose calls let others run before and after them, so that tasks of one thread race; and that loses outcomes on
//! demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use hubbub_protocol::{ClientMessageId, ConversationId, Record, Sequence, UserId};
use hubbub_storage::error::{Reason, StoreError, StoreResult};
use hubbub_storage::log::{Append, Appended, MessageLog, Range};
use hubbub_storage::records::{Claimed, Expect, FamilyDef, RawRow, Records, Slice, Written};
use hubbub_storage::store::Store;
use tokio::task::yield_now;

/// The log of such a store.
pub(crate) struct RestlessLog {
    inner: Arc<dyn MessageLog>,
    pub(crate) lose_next_outcome: AtomicBool,
}

/// The store made restless, and its log.
pub(crate) fn restless(store: &Store) -> (Store, Arc<RestlessLog>) {
    let log = Arc::new(RestlessLog { inner: Arc::clone(&store.log), lose_next_outcome: AtomicBool::new(false) });
    let records = Arc::new(RestlessRecords(Arc::clone(&store.records)));
    (Store { log: Arc::clone(&log) as _, records, engine: Arc::clone(&store.engine) }, log)
}

impl MessageLog for RestlessLog {
    fn append(&self, append: Append) -> BoxFuture<'static, StoreResult<Appended>> {
        let (inner, lose) = (Arc::clone(&self.inner), self.lose_next_outcome.swap(false, Ordering::SeqCst));
        Box::pin(async move {
            yield_now().await;
            let outcome = inner.append(append).await;
            if lose { Err(StoreError::Unknown(Reason::new("lost on purpose"))) } else { outcome }
        })
    }

    fn read(&self, id: ConversationId, range: Range, limit: usize) -> BoxFuture<'static, StoreResult<Vec<Record>>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            yield_now().await;
            let records = inner.read(id, range, limit).await;
            // What was read is old by the time it is looked at.
            yield_now().await;
            records
        })
    }

    fn head(&self, id: ConversationId) -> BoxFuture<'static, StoreResult<Sequence>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            yield_now().await;
            inner.head(id).await
        })
    }

    fn lookup(
        &self,
        id: ConversationId,
        sender: UserId,
        client: ClientMessageId,
    ) -> BoxFuture<'static, StoreResult<Option<Sequence>>> {
        self.inner.lookup(id, sender, client)
    }
}

struct RestlessRecords(Arc<dyn Records>);

/// The same call, with others running before and after it.
macro_rules! restlessly {
    ($self:ident.$call:ident($($argument:ident),*)) => {{
        let inner = Arc::clone(&$self.0);
        Box::pin(async move {
            yield_now().await;
            let answer = inner.$call($($argument),*).await;
            yield_now().await;
            answer
        })
    }};
}

impl Records for RestlessRecords {
    fn get(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
    ) -> BoxFuture<'static, StoreResult<Option<RawRow>>> {
        restlessly!(self.get(family, partition, sort))
    }

    fn list(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        slice: Slice,
    ) -> BoxFuture<'static, StoreResult<Vec<RawRow>>> {
        restlessly!(self.list(family, partition, slice))
    }

    fn put(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>> {
        restlessly!(self.put(family, partition, sort, value, expect))
    }

    fn delete(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>> {
        restlessly!(self.delete(family, partition, sort, expect))
    }

    fn claim(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<Claimed>> {
        restlessly!(self.claim(name, value, owner))
    }

    fn claimant(&self, name: &'static str, value: Vec<u8>) -> BoxFuture<'static, StoreResult<Option<Vec<u8>>>> {
        restlessly!(self.claimant(name, value))
    }

    fn release(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<()>> {
        restlessly!(self.release(name, value, owner))
    }
}
