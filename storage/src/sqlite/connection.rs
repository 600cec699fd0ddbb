//! The one connection that writes to a file: its transactions, and when its write-ahead file is folded in.
//!
//! Owned by the file's writer thread. Folding in (a checkpoint) is done here alone, between groups, so that no two
//! connections ever meet at it and the pages that many groups touched are written once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, Params};

use super::error::asking;
use crate::error::StoreResult;

/// Pages in the write-ahead file before it is folded in: 16 MiB of 4 KiB pages.
const FOLD_PAGES: i32 = 16 * 1024 * 1024 / 4096;
/// Pages at which readers that keep the file from starting anew are waited for: 64 MiB (BOUNDED).
const INSIST_PAGES: i32 = 4 * FOLD_PAGES;

/// A file's writing connection.
pub(super) struct WriteConnection {
    connection: Connection,
    /// Pages in the write-ahead file after the last commit.
    wal_pages: Arc<AtomicI32>,
}

impl WriteConnection {
    pub(super) fn new(mut connection: Connection) -> rusqlite::Result<Self> {
        // Not none, so that what a crash left behind is folded in at the first quiet moment.
        let wal_pages = Arc::new(AtomicI32::new(1));
        let pages = Arc::clone(&wal_pages);
        connection.wal_hook(Some(move |_: &mut Wal, count| {
            pages.store(count, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { connection, wal_pages })
    }

    /// For what is asked inside a transaction.
    pub(super) fn get(&self) -> &Connection {
        &self.connection
    }

    /// Runs a statement that is used again and again.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> StoreResult<()> {
        let mut statement = self.connection.prepare_cached(sql).map_err(asking)?;
        statement.execute(params).map(drop).map_err(asking)
    }

    pub(super) fn begin(&self) -> StoreResult<()> {
        self.execute("BEGIN IMMEDIATE", [])
    }

    /// All since `begin` is synced when this returns (DURABLE).
    pub(super) fn commit(&self) -> StoreResult<()> {
        self.execute("COMMIT", [])
    }

    /// Nothing since `begin` has been, whether or not there was one.
    pub(super) fn roll_back(&self) -> StoreResult<()> {
        if self.connection.is_autocommit() { Ok(()) } else { self.execute("ROLLBACK", []) }
    }

    /// Folds the write-ahead file in if it has grown enough.
    pub(super) fn fold_if_large(&self) -> StoreResult<()> {
        match self.wal_pages.load(Ordering::Relaxed) {
            ..FOLD_PAGES => Ok(()),
            FOLD_PAGES..INSIST_PAGES => self.fold("PRAGMA wal_checkpoint(PASSIVE)"),
            INSIST_PAGES.. => self.fold("PRAGMA wal_checkpoint(TRUNCATE)"),
        }
    }

    /// Folds the write-ahead file in if there is anything in it, and empties it.
    pub(super) fn fold_if_any(&self) -> StoreResult<()> {
        if self.wal_pages.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        self.fold("PRAGMA wal_checkpoint(TRUNCATE)")
    }

    /// That readers stand in the way is no failure: what is left is folded in another time.
    fn fold(&self, sql: &str) -> StoreResult<()> {
        let (busy, pages, folded): (i32, i32, i32) =
            self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(asking)?;
        if busy == 0 && pages == folded {
            self.wal_pages.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Closing folds nothing in from here on: after a failed sync nobody knows what the write-ahead file holds.
    pub(super) fn abandon(&self) {
        if let Err(error) = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::warn!(%error, "closing the stopped store may still fold its write-ahead file in");
        }
    }
}
