//! Writes to records and claims, decided one after the other inside a group's transaction, on the writer thread.

use std::sync::Arc;

use rusqlite::params;

use super::super::connection::WriteConnection;
use super::super::writer::GroupCommitter;
use super::ask::{self, Families, RowKey};
use crate::error::{Reason, StoreError, StoreResult};
use crate::records::{Claimed, Expect, Version, Written};
use crate::stored::row::{claim_checksum, row_checksum};

/// What is asked.
pub(super) enum Request {
    Put { key: RowKey, value: Vec<u8>, expect: Expect },
    Delete { key: RowKey, expect: Expect },
    Claim { name: &'static str, value: Vec<u8>, owner: Vec<u8> },
    Release { name: &'static str, value: Vec<u8>, owner: Vec<u8> },
}

/// What is answered: to `Put` and `Delete` the first, to the others their own.
pub(super) enum Answer {
    Written(Written),
    Claimed(Claimed),
    Released,
}

impl Answer {
    pub(super) fn written(self) -> Option<Written> {
        if let Self::Written(written) = self { Some(written) } else { None }
    }

    pub(super) fn claimed(self) -> Option<Claimed> {
        if let Self::Claimed(claimed) = self { Some(claimed) } else { None }
    }

    pub(super) fn released(self) -> Option<()> {
        matches!(self, Self::Released).then_some(())
    }
}

/// The records' committer.
pub(super) struct RecordCommitter {
    connection: WriteConnection,
    families: Arc<Families>,
}

impl RecordCommitter {
    pub(super) fn new(connection: WriteConnection, families: Arc<Families>) -> Self {
        Self { connection, families }
    }

    fn carry_out(&self, request: &Request) -> StoreResult<Answer> {
        match request {
            Request::Put { key, value, expect } => self.put(key, value, *expect).map(Answer::Written),
            Request::Delete { key, expect } => self.delete(key, *expect).map(Answer::Written),
            Request::Claim { name, value, owner } => self.claim(name, value, owner).map(Answer::Claimed),
            Request::Release { name, value, owner } => self.release(name, value, owner).map(|()| Answer::Released),
        }
    }

    /// Whoever expects nothing of a row need not find it sound: writing it anew heals it.
    fn found(&self, key: &RowKey, expect: Expect) -> StoreResult<Option<Version>> {
        match expect {
            Expect::Any => self.families.version(self.connection.get(), key),
            Expect::Absent | Expect::Version(_) => {
                Ok(self.families.get(self.connection.get(), key)?.map(|row| row.version))
            }
        }
    }

    fn put(&self, key: &RowKey, value: &[u8], expect: Expect) -> StoreResult<Written> {
        let found = self.found(key, expect)?;
        if !expect.is_met_by(found) {
            return Ok(Written::Conflict(found));
        }
        let version = found.unwrap_or_default() + 1;
        let number = i64::try_from(version).map_err(|error| StoreError::Invalid(Reason::new(error)))?;
        let sum = row_checksum(key.family, &key.partition, &key.sort, version, value);
        self.connection
            .execute(&self.families.of(key.family)?.put, params![key.partition, key.sort, number, value, sum])?;
        Ok(Written::Done(version))
    }

    fn delete(&self, key: &RowKey, expect: Expect) -> StoreResult<Written> {
        let found = self.found(key, expect)?;
        let Some(version) = found.filter(|_| expect.is_met_by(found)) else { return Ok(Written::Conflict(found)) };
        self.connection.execute(&self.families.of(key.family)?.delete, params![key.partition, key.sort])?;
        Ok(Written::Done(version))
    }

    fn claim(&self, name: &str, value: &[u8], owner: &[u8]) -> StoreResult<Claimed> {
        match ask::claimant(self.connection.get(), name, value)? {
            Some(holder) if holder == owner => Ok(Claimed::Yours),
            Some(holder) => Ok(Claimed::Taken(holder)),
            None => {
                self.connection.execute(
                    "INSERT INTO claims (name, value, owner, checksum) VALUES (?1, ?2, ?3, ?4)",
                    params![name, value, owner, claim_checksum(name, value, owner)],
                )?;
                Ok(Claimed::Yours)
            }
        }
    }

    fn release(&self, name: &str, value: &[u8], owner: &[u8]) -> StoreResult<()> {
        let sql = "DELETE FROM claims WHERE name = ?1 AND value = ?2 AND owner = ?3";
        self.connection.execute(sql, params![name, value, owner])
    }
}

impl GroupCommitter for RecordCommitter {
    type Request = Request;
    type Answer = Answer;

    fn commit(&mut self, group: &[Request]) -> StoreResult<Vec<StoreResult<Answer>>> {
        self.connection.begin()?;
        let mut answers = Vec::with_capacity(group.len());
        for request in group {
            match self.carry_out(request) {
                Err(StoreError::Invalid(reason)) => answers.push(Err(StoreError::Invalid(reason))),
                answer => answers.push(Ok(answer?)),
            }
        }
        self.connection.commit()?;
        Ok(answers)
    }

    fn roll_back(&mut self) -> StoreResult<()> {
        self.connection.roll_back()
    }

    fn after_group(&mut self) -> StoreResult<()> {
        self.connection.fold_if_large()
    }

    fn idle(&mut self) -> StoreResult<()> {
        self.connection.fold_if_any()
    }

    fn abandon(&mut self) {
        self.connection.abandon();
    }
}
