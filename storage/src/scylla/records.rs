//! The record families and the claims over CQL: the handle.
//!
//! Every write is conditional, on the stamp that the write before it left; so one whose outcome is unknown can be settled by
//! looking, and a try that comes late finds another stamp. What is deleted leaves one for a day ([`mod@write`]). Writes of one
//! partition go one after the other, as they would only fight over its rounds. Partition keys begin with a byte of ours, since CQL has no empty ones.

pub(super) mod claims;
pub(super) mod cluster;
#[cfg(test)]
mod faults;
pub(super) mod rows;
mod write;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use self::cluster::RowTables;
use self::rows::RowKey;
use self::write::Writer;
use super::log::base::Patience;
use super::log::partition::Sight;
use super::work::{Lane, Work};
use crate::error::StoreResult;
use crate::records::{Claimed, Expect, FamilyDef, RawRow, Records, Slice, Written};

/// What a row takes besides its bytes, about.
const ROW_BYTES: usize = 512;

/// The records' handle.
pub(super) struct CqlRecords {
    writer: Arc<Writer<RowTables>>,
    work: Arc<Work>,
}

impl CqlRecords {
    pub(super) fn new(rows: RowTables, patience: Patience, work: Arc<Work>) -> Self {
        Self { writer: Arc::new(Writer { rows, patience }), work }
    }
}

fn key(family: &'static FamilyDef, partition: Vec<u8>, sort: Vec<u8>) -> RowKey {
    RowKey { family: family.name, partition, sort }
}

impl Records for CqlRecords {
    fn get(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
    ) -> BoxFuture<'static, StoreResult<Option<RawRow>>> {
        use self::rows::Rows;
        let writer = Arc::clone(&self.writer);
        self.work.read(move |answer| async move {
            let key = key(family, partition, sort);
            let found = writer.rows.get(&key, Sight::Quorum).await;
            let row = found.and_then(|found| found.map(|found| found.checked(family, &key.partition)).transpose());
            drop(answer.send(row.map(Option::flatten)));
        })
    }

    fn list(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        slice: Slice,
    ) -> BoxFuture<'static, StoreResult<Vec<RawRow>>> {
        let writer = Arc::clone(&self.writer);
        self.work.read(move |answer| async move {
            drop(answer.send(writer.rows.list(family, &partition, slice).await));
        })
    }

    fn put(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>> {
        let writer = Arc::clone(&self.writer);
        let bytes = ROW_BYTES + partition.len() + sort.len() + value.len();
        self.work.write(Lane::Partition(family.name, partition.clone()), bytes, move |answer| async move {
            let key = key(family, partition, sort);
            let written = match writer.rows.check(family) {
                Ok(()) => writer.put(family, &key, &value, expect).await,
                Err(refused) => Err(refused),
            };
            drop(answer.send(written));
        })
    }

    fn delete(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>> {
        let writer = Arc::clone(&self.writer);
        let bytes = ROW_BYTES + partition.len() + sort.len();
        self.work.write(Lane::Partition(family.name, partition.clone()), bytes, move |answer| async move {
            drop(answer.send(writer.delete(&key(family, partition, sort), expect).await));
        })
    }

    fn claim(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<Claimed>> {
        let writer = Arc::clone(&self.writer);
        let bytes = ROW_BYTES + value.len() + owner.len();
        self.work.write(Lane::Claim(name, value.clone()), bytes, move |answer| async move {
            drop(answer.send(writer.claim(name, &value, &owner).await));
        })
    }

    fn claimant(&self, name: &'static str, value: Vec<u8>) -> BoxFuture<'static, StoreResult<Option<Vec<u8>>>> {
        let writer = Arc::clone(&self.writer);
        self.work.read(move |answer| async move {
            drop(answer.send(writer.claimant(name, &value).await));
        })
    }

    fn release(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<()>> {
        let writer = Arc::clone(&self.writer);
        let bytes = ROW_BYTES + value.len() + owner.len();
        self.work.write(Lane::Claim(name, value.clone()), bytes, move |answer| async move {
            drop(answer.send(writer.release(name, &value, &owner).await));
        })
    }
}
