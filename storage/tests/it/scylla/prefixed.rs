//! A store whose rows and claims stand under a prefix of their own, so that many can share one keyspace's tables.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hubbub_protocol::ConversationId;
use hubbub_storage::error::StoreResult;
use hubbub_storage::records::{Claimed, Expect, FamilyDef, RawRow, Records, Slice, Written};
use hubbub_storage::store::Store;

/// The store with its records so.
pub(super) fn prefixed(store: Store) -> Store {
    let prefix = *ConversationId::generate().as_bytes();
    Store { records: Arc::new(Prefixed { inner: store.records, prefix }), ..store }
}

struct Prefixed {
    inner: Arc<dyn Records>,
    prefix: [u8; 16],
}

impl Prefixed {
    fn with(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix[..], key].concat()
    }
}

impl Records for Prefixed {
    fn get(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
    ) -> BoxFuture<'static, StoreResult<Option<RawRow>>> {
        self.inner.get(family, self.with(&partition), sort)
    }

    fn list(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        slice: Slice,
    ) -> BoxFuture<'static, StoreResult<Vec<RawRow>>> {
        self.inner.list(family, self.with(&partition), slice)
    }

    fn put(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>> {
        self.inner.put(family, self.with(&partition), sort, value, expect)
    }

    fn delete(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>> {
        self.inner.delete(family, self.with(&partition), sort, expect)
    }

    fn claim(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<Claimed>> {
        self.inner.claim(name, self.with(&value), owner)
    }

    fn claimant(&self, name: &'static str, value: Vec<u8>) -> BoxFuture<'static, StoreResult<Option<Vec<u8>>>> {
        self.inner.claimant(name, self.with(&value))
    }

    fn release(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<()>> {
        self.inner.release(name, self.with(&value), owner)
    }
}
