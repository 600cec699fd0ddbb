//! The thread that puts sealed segments into SQLite, one transaction each, and removes them.
//!
//! Records go in by conversation and sequence and client ids in their own order, so that a page is touched once for all
//! that a segment brings to it. The number of the segment is stored in the same transaction: what is applied is applied
//! once, and a row that stands there already is damage. The write-ahead file is folded in here too, between segments and
//! when nothing comes. A failure stops the store; what is not applied stays in the journal for the next start.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use hubbub_protocol::Sequence;
use rusqlite::{Connection, params};

use super::super::connection::WriteConnection;
use super::super::error::{asking, damaged, last_words, writing};
use super::super::folder::Folder;
use super::super::life::{Life, StopOnPanic};
use super::JOURNAL;
use super::part::Part;
use super::pending::Pending;
use super::segment;
use super::steps::{Step, reached};
use crate::error::{Reason, StoreError, StoreResult};

/// After so long without a segment the write-ahead file is folded in.
const IDLE_AFTER: Duration = Duration::from_millis(200);

/// What the thread owns.
pub(super) struct Applier {
    connection: WriteConnection,
    waiting: Receiver<Arc<Part>>,
    pending: Arc<Pending>,
    life: Arc<Life>,
    folder: Arc<Folder>,
    segment_bytes: usize,
}

impl Applier {
    pub(super) fn new(
        connection: WriteConnection,
        waiting: Receiver<Arc<Part>>,
        pending: Arc<Pending>,
        life: Arc<Life>,
        folder: Arc<Folder>,
        segment_bytes: usize,
    ) -> Self {
        Self { connection, waiting, pending, life, folder, segment_bytes }
    }

    /// Applies what the last process left, then what comes, until the writer has ended and nothing is left.
    pub(super) fn run(self, left: Vec<Arc<Part>>) {
        let _stop = StopOnPanic(Arc::clone(&self.life));
        let done = left.into_iter().try_for_each(|part| self.apply(&part)).and_then(|()| self.serve());
        if let Err(error) = done {
            self.life.stop(&last_words(&error));
        }
        if self.life.failure().is_some() {
            self.connection.abandon();
        }
    }

    fn serve(&self) -> StoreResult<()> {
        loop {
            match self.waiting.recv_timeout(IDLE_AFTER) {
                Ok(part) => self.apply(&part)?,
                Err(waited) => {
                    if self.life.failure().is_none() {
                        self.connection.fold_if_any()?;
                    }
                    if waited == RecvTimeoutError::Disconnected {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn apply(&self, part: &Part) -> StoreResult<()> {
        if let Some(reason) = self.life.failure() {
            return Err(StoreError::Stopped(reason));
        }
        reached(Step::Apply).map_err(writing(JOURNAL))?;
        self.connection.begin()?;
        put(self.connection.get(), part)?;
        reached(Step::Commit).map_err(writing(JOURNAL))?;
        self.connection.commit()?;
        reached(Step::Remove).map_err(writing(JOURNAL))?;
        let path: PathBuf = self.folder.dir().join(segment::name(part.number()));
        std::fs::remove_file(path).map_err(writing(JOURNAL))?;
        reached(Step::NameRemoval).map_err(writing(JOURNAL))?;
        self.folder.sync().map_err(writing(JOURNAL))?;
        reached(Step::Forget).map_err(writing(JOURNAL))?;
        self.pending.forget(part.number());
        self.connection.fold_if_large()?;
        self.make_spare(part.length()).map_err(writing(JOURNAL))
    }

    /// Where segments come that are full, the next one's file is made ahead.
    fn make_spare(&self, length: usize) -> std::io::Result<()> {
        if length < self.segment_bytes || self.pending.has_spare() {
            return Ok(());
        }
        segment::make_spare(self.folder.dir(), self.segment_bytes)?;
        self.pending.put_spare();
        Ok(())
    }
}

/// Puts a part into the tables, in the transaction that is open.
fn put(log: &Connection, part: &Part) -> StoreResult<()> {
    let mut insert =
        log.prepare_cached("INSERT INTO log (conversation, sequence, record) VALUES (?1, ?2, ?3)").map_err(asking)?;
    for (id, at, record) in part.sorted() {
        insert.execute(params![id.as_bytes(), number(at)?, record]).map_err(asking)?;
    }
    reached(Step::ApplyHalf).map_err(writing(JOURNAL))?;
    let mut keep = log
        .prepare_cached("INSERT INTO client_ids (client_id, conversation, sender, sequence) VALUES (?1, ?2, ?3, ?4)")
        .map_err(asking)?;
    for ((client_id, id, sender), at) in part.sorted_acts() {
        keep.execute(params![client_id.as_bytes(), id.as_bytes(), sender.as_bytes(), number(at)?]).map_err(asking)?;
    }
    let mut erase =
        log.prepare_cached("UPDATE log SET record = ?3 WHERE conversation = ?1 AND sequence = ?2").map_err(asking)?;
    for (id, at, record) in part.erasures() {
        erase.execute(params![id.as_bytes(), number(at)?, record]).map_err(asking)?;
    }
    let segment = i64::try_from(part.number()).map_err(damaged)?;
    let mut note = log.prepare_cached("UPDATE journal SET applied = ?1 WHERE applied = ?1 - 1").map_err(asking)?;
    match note.execute([segment]).map_err(asking)? {
        1 => Ok(()),
        _ => Err(damaged(format_args!("the journal's segment {segment} is not the next to be applied"))),
    }
}

fn number(sequence: Sequence) -> StoreResult<i64> {
    i64::try_from(sequence.get()).map_err(|error| StoreError::Invalid(Reason::new(error)))
}
