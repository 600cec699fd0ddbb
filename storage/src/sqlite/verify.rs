//! The whole check of a store that no process has open: what `hubbub verify` does.
//!
//! Reads everything and changes nothing. The engine's own check looks at pages and indexes; ours at what they hold: each
//! record's checksum and bytes, GAPLESS over every conversation, ONCE in both directions between records and client ids
//! (an entry without its record tells of a lost end of a log), the same of what only the journal has, and the checksum of
//! every row and claim.

mod journal;

use std::fmt;
use std::path::Path;

use hubbub_protocol::{ConversationId, Record, Sequence};
use rusqlite::{Connection, OptionalExtension};

use super::error::{OpenError, asking, damaged, opening};
use super::folder::Folder;
use super::log::ask;
use super::records::ask as rows;
use super::schema::{self, LOG, META};
use crate::error::{StoreError, StoreResult};
use crate::families;
use crate::records::FamilyDef;
use crate::stored::record;
use crate::stored::row::claim_checksum;

/// Problems that are told; a damaged page can make thousands.
const PROBLEMS: usize = 100;

/// What a check of a whole store counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerifySummary {
    /// Conversations.
    pub conversations: u64,
    /// Records in their logs, wherever they stand.
    pub log_records: u64,
    /// Those of them that only the journal has, with the recalls there: the next start brings them into `log.db`.
    pub journal_records: u64,
    /// Bytes at the journal's end that are no whole group, as one leaves them that was being written. The next start cuts
    /// them off.
    pub journal_torn_bytes: u64,
    /// Client ids that are kept (ONCE).
    pub client_ids: u64,
    /// Rows of the record families.
    pub rows: u64,
    /// Claims.
    pub claims: u64,
}

/// Something wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which file.
    pub file: &'static str,
    /// Where in it, and what.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

/// Why a check of a whole store did not pass.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is damaged. Of very many problems the first are told.
    #[error("the store is damaged in {} places", .0.len())]
    Damaged(Vec<Problem>),
}

/// Checks a whole store that no process has open; changes nothing.
///
/// # Errors
///
/// [`VerifyError`].
pub fn verify(dir: &Path) -> Result<VerifySummary, VerifyError> {
    let folder = Folder::lock_existing(dir)?;
    let mut check = Check::default();
    let log = schema::open_reader(&LOG, dir)?;
    check.pages(&log, LOG.name)?;
    let done = check.log(&log).and_then(|()| check.client_ids(&log));
    check.note(LOG.name, done);
    check.journal(&folder, dir, &log)?;
    let meta = schema::open_reader(&META, dir)?;
    check.pages(&meta, META.name)?;
    for family in families::ALL {
        let done = check.family(&meta, family);
        check.note(META.name, done);
    }
    let done = check.claims(&meta);
    check.note(META.name, done);
    if check.problems.is_empty() { Ok(check.summary) } else { Err(VerifyError::Damaged(check.problems)) }
}

#[derive(Default)]
struct Check {
    summary: VerifySummary,
    problems: Vec<Problem>,
}

impl Check {
    /// Whether what was asked is sound; if not, it is noted.
    fn note<T>(&mut self, file: &'static str, done: StoreResult<T>) -> Option<T> {
        let error = match done {
            Ok(sound) => return Some(sound),
            Err(StoreError::Damaged(reason)) => reason.to_string(),
            Err(error) => error.to_string(),
        };
        if self.problems.len() < PROBLEMS {
            self.problems.push(Problem { file, what: error });
        }
        None
    }

    fn pages(&mut self, connection: &Connection, file: &'static str) -> Result<(), OpenError> {
        let engine = opening(file);
        let mut statement = connection.prepare("PRAGMA integrity_check(100)").map_err(&engine)?;
        let mut rows = statement.query([]).map_err(&engine)?;
        loop {
            match rows.next() {
                Ok(None) => return Ok(()),
                Ok(Some(row)) => {
                    let answer: String = row.get(0).map_err(&engine)?;
                    if answer != "ok" {
                        self.note::<()>(file, Err(damaged(answer)));
                    }
                }
                // Too damaged to be looked through.
                Err(error) => {
                    self.note::<()>(file, Err(asking(error)));
                    return Ok(());
                }
            }
        }
    }

    fn log(&mut self, log: &Connection) -> StoreResult<()> {
        let sql = "SELECT conversation, sequence, record FROM log ORDER BY conversation, sequence";
        let mut statement = log.prepare(sql).map_err(asking)?;
        let mut rows = statement.query([]).map_err(asking)?;
        let mut before: Option<(ConversationId, Sequence)> = None;
        while let Some(found) = rows.next().map_err(asking)? {
            let id = ConversationId::from_bytes(found.get(0).map_err(asking)?);
            let at = ask::sequence(found.get(1).map_err(asking)?)?;
            let expected = match before {
                Some((same, last)) if same == id => last.next(),
                _ => {
                    self.summary.conversations += 1;
                    Sequence::ZERO.next()
                }
            };
            before = Some((id, at));
            self.summary.log_records += 1;
            if at != expected {
                self.note(LOG.name, gap(id, expected, at));
            }
            let bytes = found.get_ref(2).map_err(asking)?.as_blob().map_err(damaged)?;
            let sound = record::decode(id, at, bytes).and_then(|record| kept(log, &record));
            self.note(LOG.name, sound);
        }
        Ok(())
    }

    fn client_ids(&mut self, log: &Connection) -> StoreResult<()> {
        let sql = "SELECT conversation, sequence FROM client_ids";
        let mut statement = log.prepare(sql).map_err(asking)?;
        let mut rows = statement.query([]).map_err(asking)?;
        while let Some(found) = rows.next().map_err(asking)? {
            let id = ConversationId::from_bytes(found.get(0).map_err(asking)?);
            let at = ask::sequence(found.get(1).map_err(asking)?)?;
            self.summary.client_ids += 1;
            if !ask::exists(log, id, at)? {
                let what = format_args!("conversation {id}, sequence {at}: a client id is kept, its record is gone");
                self.note::<()>(LOG.name, Err(damaged(what)));
            }
        }
        Ok(())
    }

    fn family(&mut self, meta: &Connection, family: &'static FamilyDef) -> StoreResult<()> {
        let table = schema::table(family);
        let there = meta.query_row("SELECT 1 FROM sqlite_schema WHERE name = ?1", [&table], |_| Ok(()));
        if there.optional().map_err(asking)?.is_none() {
            // A family that the version which wrote the file did not know yet.
            return Ok(());
        }
        let sql = format!("SELECT sort, version, value, checksum, partition FROM {table}");
        let mut statement = meta.prepare(&sql).map_err(asking)?;
        let mut found = statement.query([]).map_err(asking)?;
        while let Some(row) = found.next().map_err(asking)? {
            self.summary.rows += 1;
            let partition: Vec<u8> = row.get(4).map_err(asking)?;
            let sound = rows::checked(family, &partition, row).map(drop);
            self.note(META.name, sound);
        }
        Ok(())
    }

    fn claims(&mut self, meta: &Connection) -> StoreResult<()> {
        let mut statement = meta.prepare("SELECT name, value, owner, checksum FROM claims").map_err(asking)?;
        let mut found = statement.query([]).map_err(asking)?;
        while let Some(row) = found.next().map_err(asking)? {
            self.summary.claims += 1;
            let name: String = row.get(0).map_err(asking)?;
            let value: Vec<u8> = row.get(1).map_err(asking)?;
            let owner: Vec<u8> = row.get(2).map_err(asking)?;
            if row.get::<_, u32>(3).map_err(asking)? != claim_checksum(&name, &value, &owner) {
                let what = format_args!("the checksum of a claim of {name} does not match");
                self.note::<()>(META.name, Err(damaged(what)));
            }
        }
        Ok(())
    }
}

fn gap(id: ConversationId, expected: Sequence, found: Sequence) -> StoreResult<()> {
    let what = format_args!("conversation {id}, sequence {expected}: GAPLESS is broken, {found} comes next");
    Err(damaged(what))
}

/// The record's client id is kept and leads to it (ONCE).
fn kept(log: &Connection, record: &Record) -> StoreResult<()> {
    let (id, at) = (record.conversation_id, record.sequence);
    let Some(client_id) = record.client_message_id else { return Ok(()) };
    if ask::act_entry(log, id, record.author.sender_id, client_id)? == Some(at) {
        return Ok(());
    }
    Err(damaged(format_args!("conversation {id}, sequence {at}: ONCE is broken, its client id is not kept")))
}
