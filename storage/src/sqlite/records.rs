//! The record families and claims in `meta.db`: the handle.
//!
//! One table a family. Reads go to the reading threads, writes to one writer thread that commits them in groups
//! ([`commit`]); both ask the tables by [`ask`], which refuses a row whose checksum does not match.

pub(super) mod ask;
mod commit;

use std::sync::Arc;
use std::thread::JoinHandle;

use futures_util::future::{self, BoxFuture};
use futures_util::{FutureExt, TryFutureExt};

use self::ask::{Families, RowKey};
use self::commit::{Answer, RecordCommitter, Request};
use super::connection::WriteConnection;
use super::error::damaged;
use super::folder::Folder;
use super::life::Life;
use super::reader::Readers;
use super::writer::Writer;
use crate::error::{StoreError, StoreResult};
use crate::records::{Claimed, Expect, FamilyDef, RawRow, Records, Slice, Written};

/// The records' handle.
pub(super) struct SqliteRecords {
    families: Arc<Families>,
    writer: Writer<RecordCommitter>,
    readers: Readers,
}

impl SqliteRecords {
    /// Starts the writer thread on a connection.
    pub(super) fn start(
        connection: WriteConnection,
        readers: Readers,
        life: Arc<Life>,
        folder: Arc<Folder>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let families = Arc::new(Families::all());
        let committer = RecordCommitter::new(connection, Arc::clone(&families));
        let (writer, thread) = Writer::start("store-meta-writer", committer, life, folder)?;
        Ok((Self { families, writer, readers }, thread))
    }

    pub(super) fn close_readers(&self) {
        self.readers.close();
    }

    pub(super) fn close_writer(&self) {
        self.writer.close();
    }

    fn write<T: Send + 'static>(
        &self,
        request: Request,
        bytes: usize,
        pick: fn(Answer) -> Option<T>,
    ) -> BoxFuture<'static, StoreResult<T>> {
        let answer = self.writer.submit(request, bytes);
        answer.and_then(move |answer| future::ready(pick(answer).ok_or_else(other_answer))).boxed()
    }
}

/// Requests and answers are paired in [`commit`]; another pairing would be a fault there.
fn other_answer() -> StoreError {
    damaged("the answer belongs to another request")
}

impl Records for SqliteRecords {
    fn get(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
    ) -> BoxFuture<'static, StoreResult<Option<RawRow>>> {
        let families = Arc::clone(&self.families);
        self.readers.read(move |connection| families.get(connection, &RowKey { family, partition, sort }))
    }

    fn list(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        slice: Slice,
    ) -> BoxFuture<'static, StoreResult<Vec<RawRow>>> {
        let families = Arc::clone(&self.families);
        self.readers.read(move |connection| families.list(connection, family, &partition, slice))
    }

    fn put(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>> {
        let bytes = partition.len() + sort.len() + value.len();
        let request = Request::Put { key: RowKey { family, partition, sort }, value, expect };
        self.write(request, bytes, Answer::written)
    }

    fn delete(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>> {
        let bytes = partition.len() + sort.len();
        self.write(Request::Delete { key: RowKey { family, partition, sort }, expect }, bytes, Answer::written)
    }

    fn claim(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<Claimed>> {
        let bytes = value.len() + owner.len();
        self.write(Request::Claim { name, value, owner }, bytes, Answer::claimed)
    }

    fn claimant(&self, name: &'static str, value: Vec<u8>) -> BoxFuture<'static, StoreResult<Option<Vec<u8>>>> {
        self.readers.read(move |connection| ask::claimant(connection, name, &value))
    }

    fn release(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<()>> {
        let bytes = value.len() + owner.len();
        self.write(Request::Release { name, value, owner }, bytes, Answer::released)
    }
}
