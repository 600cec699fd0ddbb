//! The record families: one ordered map a family, and the claims.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};

use super::{Life, lock};
use crate::error::StoreResult;
use crate::records::{Claimed, Expect, FamilyDef, MAX_LIST_ROWS, RawRow, Records, Slice, Version, Written};

/// Partition, then sort key: rows of one partition stand together, in order.
type RowKey = (Vec<u8>, Vec<u8>);

/// Every family and every claim.
pub(super) struct MemoryRecords {
    life: Arc<Life>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    families: HashMap<&'static str, BTreeMap<RowKey, Stored>>,
    claims: HashMap<(&'static str, Vec<u8>), Vec<u8>>,
}

struct Stored {
    version: Version,
    value: Vec<u8>,
}

impl MemoryRecords {
    pub(super) fn new(life: Arc<Life>) -> Self {
        Self { life, state: Mutex::default() }
    }

    fn now<T: Send + 'static>(&self, act: impl FnOnce(&mut State) -> T) -> BoxFuture<'static, StoreResult<T>> {
        let answer = self.life.check().map(|()| act(&mut lock(&self.state)));
        future::ready(answer).boxed()
    }
}

impl State {
    fn list(&self, family: &'static FamilyDef, partition: &[u8], slice: &Slice) -> Vec<RawRow> {
        let Some(rows) = self.families.get(family.name) else { return Vec::new() };
        let start = slice.after.as_ref().map_or(&slice.prefix, |after| after.max(&slice.prefix)).clone();
        rows.range((partition.to_vec(), start)..)
            .take_while(|((of, sort), _)| of == partition && sort.starts_with(&slice.prefix))
            .filter(|((_, sort), _)| slice.after.as_ref().is_none_or(|after| sort > after))
            .take(slice.limit.min(MAX_LIST_ROWS))
            .map(|((_, sort), stored)| stored.row(sort))
            .collect()
    }

    fn put(&mut self, family: &'static FamilyDef, key: RowKey, value: Vec<u8>, expect: Expect) -> Written {
        let rows = self.families.entry(family.name).or_default();
        let found = rows.get(&key).map(|stored| stored.version);
        if !expect.is_met_by(found) {
            return Written::Conflict(found);
        }
        let version = found.unwrap_or_default() + 1;
        rows.insert(key, Stored { version, value });
        Written::Done(version)
    }

    fn delete(&mut self, family: &'static FamilyDef, key: &RowKey, expect: Expect) -> Written {
        let rows = self.families.entry(family.name).or_default();
        match rows.get(key).map(|stored| stored.version) {
            Some(version) if expect.is_met_by(Some(version)) => {
                rows.remove(key);
                Written::Done(version)
            }
            found => Written::Conflict(found),
        }
    }

    fn claim(&mut self, name: &'static str, value: Vec<u8>, owner: &[u8]) -> Claimed {
        let holder = self.claims.entry((name, value)).or_insert_with(|| owner.to_vec());
        if holder == owner { Claimed::Yours } else { Claimed::Taken(holder.clone()) }
    }

    fn release(&mut self, name: &'static str, value: Vec<u8>, owner: &[u8]) {
        let key = (name, value);
        if self.claims.get(&key).is_some_and(|holder| holder == owner) {
            self.claims.remove(&key);
        }
    }
}

impl Stored {
    fn row(&self, sort: &[u8]) -> RawRow {
        RawRow { sort: sort.to_vec(), version: self.version, value: self.value.clone() }
    }
}

impl Records for MemoryRecords {
    fn get(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
    ) -> BoxFuture<'static, StoreResult<Option<RawRow>>> {
        self.now(|state| {
            let key = (partition, sort);
            state.families.get(family.name)?.get(&key).map(|stored| stored.row(&key.1))
        })
    }

    fn list(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        slice: Slice,
    ) -> BoxFuture<'static, StoreResult<Vec<RawRow>>> {
        self.now(|state| state.list(family, &partition, &slice))
    }

    fn put(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>> {
        self.now(|state| state.put(family, (partition, sort), value, expect))
    }

    fn delete(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>> {
        self.now(|state| state.delete(family, &(partition, sort), expect))
    }

    fn claim(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<Claimed>> {
        self.now(|state| state.claim(name, value, &owner))
    }

    fn claimant(&self, name: &'static str, value: Vec<u8>) -> BoxFuture<'static, StoreResult<Option<Vec<u8>>>> {
        self.now(|state| state.claims.get(&(name, value)).cloned())
    }

    fn release(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<()>> {
        self.now(|state| state.release(name, value, &owner))
    }
}
