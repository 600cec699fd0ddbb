//! A store whose calls let others run before and after them, so that tasks of one thread race.
//!
//! Not `hubbub_storage::faulty`, whose calls are carried out at the moment they are made and whose late answers wait for
//! a timer: here nobody waits, and others come between a call and its doing as well. What fails on purpose is left to it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hubbub_protocol::{ClientMessageId, ConversationId, Record, Sequence, UserId};
use hubbub_storage::error::StoreResult;
use hubbub_storage::log::{Append, Appended, MessageLog, Range};
use hubbub_storage::records::{Claimed, Expect, FamilyDef, RawRow, Records, Slice, Written};
use hubbub_storage::store::Store;
use tokio::task::yield_now;

/// The store made restless.
pub(crate) fn restless(store: &Store) -> Store {
    Store {
        log: Arc::new(RestlessLog(Arc::clone(&store.log))),
        records: Arc::new(RestlessRecords(Arc::clone(&store.records))),
        engine: Arc::clone(&store.engine),
    }
}

struct RestlessLog(Arc<dyn MessageLog>);

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

impl MessageLog for RestlessLog {
    fn append(&self, append: Append) -> BoxFuture<'static, StoreResult<Appended>> {
        restlessly!(self.append(append))
    }

    fn read(&self, id: ConversationId, range: Range, limit: usize) -> BoxFuture<'static, StoreResult<Vec<Record>>> {
        restlessly!(self.read(id, range, limit))
    }

    fn head(&self, id: ConversationId) -> BoxFuture<'static, StoreResult<Sequence>> {
        restlessly!(self.head(id))
    }

    fn lookup(
        &self,
        id: ConversationId,
        sender: UserId,
        client: ClientMessageId,
    ) -> BoxFuture<'static, StoreResult<Option<Sequence>>> {
        restlessly!(self.lookup(id, sender, client))
    }
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
