//! Makes groups durable in the journal: the log's writer thread, behind the sequencer.
//!
//! A group's rows are gathered in a frame, which is written and synced in one go, and only then shown to readers and
//! acknowledged (DURABLE). What the sequencer asks is answered from the group itself, the parts in memory, and SQLite
//! through a connection that only reads. For one group that connection sees one moment of SQLite: the sealed parts are
//! taken hold of before that moment is fixed, so whatever the applier takes away meanwhile is in the one or the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use hubbub_protocol::{ClientMessageId, ConversationId, Record, Sequence, UserId};
use rusqlite::Connection;

use super::super::error::{asking, writing};
use super::super::folder::Folder;
use super::super::log::ask;
use super::super::log::write::{LogWriter, Row};
use super::JOURNAL;
use super::frame::{Frame, Kind, RowAt};
use super::part::{Act, Part};
use super::pending::Pending;
use super::segment::Segment;
use super::steps::{Step, reached};
use super::vacancy::Vacancy;
use crate::error::{Reason, StoreError, StoreResult};
use crate::stored::record;

/// Rows in a segment, at most: 16 MiB of 250 bytes each. Their index takes about 150 bytes each in memory (BOUNDED).
const SEGMENT_ROWS: usize = 65_536;
/// A segment's rows wait no longer than this before they are on their way into SQLite.
const SEGMENT_AGE: Duration = Duration::from_secs(5);

/// The journal's writing end.
pub(in crate::sqlite) struct JournalWriter {
    pending: Arc<Pending>,
    /// Reads what is applied.
    applied: Connection,
    segment: Segment,
    /// To the applier; a part that finds no room makes the appends wait.
    sealed: SyncSender<Arc<Part>>,
    folder: Arc<Folder>,
    segment_bytes: usize,
    group: Group,
    /// Client ids that SQLite is known not to have.
    vacancy: Vacancy,
}

/// The rows of the group that is being decided.
#[derive(Default)]
struct Group {
    frame: Frame,
    rows: Vec<(RowAt, Option<(UserId, ClientMessageId)>)>,
    acts: HashMap<Act, Sequence>,
    /// The sealed parts when it began.
    sealed: Vec<Arc<Part>>,
}

impl JournalWriter {
    pub(super) fn new(
        pending: Arc<Pending>,
        applied: Connection,
        segment: Segment,
        sealed: SyncSender<Arc<Part>>,
        folder: Arc<Folder>,
        segment_bytes: usize,
    ) -> Self {
        Self {
            pending,
            applied,
            segment,
            sealed,
            folder,
            segment_bytes,
            group: Group::default(),
            vacancy: Vacancy::default(),
        }
    }

    /// What of this group was put in last, and fits.
    fn of_group(&self, fits: impl Fn(&RowAt) -> bool) -> Option<&RowAt> {
        self.group.rows.iter().rev().map(|(row, _)| row).find(|row| fits(row))
    }

    /// What the newest part that knows says.
    fn of_parts<T>(&self, look: impl Fn(&Part) -> Option<T>) -> Option<T> {
        let growing = self.pending.growing(&look);
        growing.or_else(|| self.group.sealed.iter().rev().find_map(|part| look(part)))
    }

    /// SQLite as it is for this group.
    fn tables(&self) -> StoreResult<&Connection> {
        if self.applied.is_autocommit() {
            self.applied.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(asking)?;
        }
        Ok(&self.applied)
    }

    fn let_go_of_tables(&self) -> StoreResult<()> {
        if self.applied.is_autocommit() {
            return Ok(());
        }
        self.applied.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).map(drop).map_err(asking)
    }

    fn put(&mut self, kind: Kind, row: &Row<'_>) -> StoreResult<()> {
        let placed = self.group.frame.push(kind, row.conversation_id, row.sequence, row.bytes);
        let placed = placed.ok_or_else(|| StoreError::Invalid(Reason::new("a group of more than 4 GiB")))?;
        if let Some((sender, client_id)) = row.act {
            self.group.acts.insert((client_id, row.conversation_id, sender), row.sequence);
        }
        self.group.rows.push((placed, row.act));
        Ok(())
    }

    /// A new segment is there before the old one is given away, so that there is always one.
    fn seal(&mut self) -> StoreResult<()> {
        let folder = &self.folder;
        let spare = self.pending.has_spare();
        let next = Segment::create(folder.dir(), self.segment.number() + 1, self.segment.length(), spare)
            .and_then(|next| folder.sync().map(|()| next))
            .map_err(writing(JOURNAL))?;
        if spare {
            self.pending.took_spare();
        }
        reached(Step::Seal).map_err(writing(JOURNAL))?;
        let part = self.pending.growing(|part| next.begin_part(Some(part)));
        let sealed = self.pending.seal(part);
        self.segment = next;
        // The applier ends early only where the store has stopped.
        self.sealed.send(sealed).map_err(|_| StoreError::Unavailable(Reason::new("the applier has ended")))
    }
}

impl LogWriter for JournalWriter {
    fn begin(&mut self) -> StoreResult<()> {
        self.group.frame.clear();
        self.group.rows.clear();
        self.group.acts.clear();
        let (sealed, applied) = self.pending.sealed();
        self.group.sealed = sealed;
        self.vacancy.as_of(applied);
        Ok(())
    }

    fn head(&mut self, id: ConversationId) -> StoreResult<Sequence> {
        let stored = |row: &RowAt| row.kind == Kind::Stored && row.conversation_id == id;
        if let Some(row) = self.of_group(stored) {
            return Ok(row.sequence);
        }
        match self.of_parts(|part| part.span(id)) {
            Some((_, last)) => Ok(last),
            None => ask::head(self.tables()?, id),
        }
    }

    fn act(&mut self, id: ConversationId, sender: UserId, client_id: ClientMessageId) -> StoreResult<Option<Sequence>> {
        let act = (client_id, id, sender);
        let known = self.group.acts.get(&act).copied();
        match known.or_else(|| self.of_parts(|part| part.act(&act))) {
            Some(at) => Ok(Some(at)),
            None if self.vacancy.has(client_id) => Ok(None),
            None => {
                let known = ask::act(self.tables()?, id, sender, client_id)?;
                if known.is_none() && self.vacancy.is_to_be_looked_for() {
                    self.vacancy.set(ask::neighbours(&self.applied, client_id)?);
                }
                Ok(known)
            }
        }
    }

    fn record(&mut self, id: ConversationId, at: Sequence) -> StoreResult<Option<Record>> {
        if let Some(row) = self.of_group(|row| row.conversation_id == id && row.sequence == at) {
            return record::decode(id, at, self.group.frame.at(row.place)).map(Some);
        }
        match self.of_parts(|part| part.record(id, at).map(|bytes| record::decode(id, at, bytes))) {
            Some(found) => found.map(Some),
            None => ask::record(self.tables()?, id, at),
        }
    }

    fn insert(&mut self, row: &Row<'_>) -> StoreResult<()> {
        self.put(Kind::Stored, row)
    }

    fn replace(&mut self, row: &Row<'_>) -> StoreResult<()> {
        self.put(Kind::Erased, row)
    }

    fn commit(&mut self) -> StoreResult<()> {
        self.let_go_of_tables()?;
        let group = &mut self.group;
        group.sealed.clear();
        if group.rows.is_empty() {
            return Ok(());
        }
        self.segment.append(&mut group.frame).map_err(writing(JOURNAL))?;
        self.pending.grow(|part| {
            let offset = part.append(group.frame.bytes());
            for (row, act) in group.rows.drain(..) {
                part.index(RowAt { place: row.place.after(offset), ..row }, act);
            }
        });
        Ok(())
    }

    fn roll_back(&mut self) -> StoreResult<()> {
        self.group.rows.clear();
        self.group.acts.clear();
        self.group.sealed.clear();
        self.let_go_of_tables()
    }

    fn after_group(&mut self) -> StoreResult<()> {
        let (bytes, segment_bytes) = (self.segment.length(), self.segment_bytes as u64);
        let (rows, since) = self.pending.growing(|part| (part.rows(), part.since()));
        let old = since.is_some_and(|since| since.elapsed() >= SEGMENT_AGE);
        if bytes >= segment_bytes || rows >= SEGMENT_ROWS || old { self.seal() } else { Ok(()) }
    }

    fn idle(&mut self) -> StoreResult<()> {
        if self.pending.growing(Part::is_empty) { Ok(()) } else { self.seal() }
    }

    /// The journal is as the last sync left it.
    fn abandon(&mut self) {}
}
