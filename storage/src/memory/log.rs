//! The conversations' logs: each record a row, whose number is its sequence less one (GAPLESS).

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};

use foldhash::quality::RandomState;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use hubbub_protocol::{ClientMessageId, ConversationId, Record, RecordBody, Sequence, UserId};

use super::acts::{Act, Acts};
use super::rows::Rows;
use super::{Life, lock};
use crate::error::StoreResult;
use crate::log::{Append, Appended, MAX_READ_RECORDS, MessageLog, NewRecord, Range, erase_payload};
use crate::stored::content;

/// Locks over the conversations: enough that the shards of a large machine seldom meet at one.
const LOCKS: usize = 64;

type Table<K, V> = HashMap<K, V, RandomState>;

/// Every log, spread over [`LOCKS`] maps by the conversation's hash.
pub(super) struct MemoryLog {
    life: Arc<Life>,
    hasher: RandomState,
    parts: Vec<Mutex<Table<ConversationId, Conversation>>>,
}

/// One conversation's records, and which acts they are (ONCE).
#[derive(Default)]
struct Conversation {
    rows: Rows,
    acts: Acts,
}

impl MemoryLog {
    pub(super) fn new(life: Arc<Life>) -> Self {
        let parts = (0..LOCKS).map(|_| Mutex::default()).collect();
        Self { life, hasher: RandomState::default(), parts }
    }

    fn part(&self, id: ConversationId) -> &Mutex<Table<ConversationId, Conversation>> {
        let hash = usize::try_from(self.hasher.hash_one(id) % LOCKS as u64).unwrap_or_default();
        &self.parts[hash]
    }

    fn append_now(&self, append: &Append) -> StoreResult<Appended> {
        self.life.check()?;
        append.check()?;
        let mut part = lock(self.part(append.conversation_id));
        let found = part.get(&append.conversation_id);
        let known = found.map(|found| found.known_of(&self.hasher, &append.records)).unwrap_or_default();
        if !known.is_empty() {
            return Ok(Appended::Duplicate { known });
        }
        let head = found.map_or(Sequence::ZERO, Conversation::head);
        if head != append.expected_head {
            return Ok(Appended::Stale { head });
        }
        let conversation = part.entry(append.conversation_id).or_default();
        conversation.append(&self.hasher, append)?;
        Ok(Appended::Committed { first: head.next(), last: conversation.head() })
    }

    /// What `question` answers about a conversation; the default where there is none.
    fn ask<T: Default>(&self, id: ConversationId, question: impl FnOnce(&Conversation) -> T) -> StoreResult<T> {
        self.life.check()?;
        Ok(lock(self.part(id)).get(&id).map(question).unwrap_or_default())
    }

    fn read_now(&self, id: ConversationId, range: Range, limit: usize) -> StoreResult<Vec<Record>> {
        // What takes time is done without the lock.
        let Copied { bytes, ends } = self.ask(id, |conversation| conversation.copy(range, limit))?;
        let mut from = 0;
        let mut record = |(sequence, end): (Sequence, usize)| {
            let row = bytes.get(from..end).unwrap_or_default();
            from = end;
            content::read(id, sequence, row)
        };
        ends.into_iter().map(&mut record).collect()
    }
}

/// Rows as they were at one moment, one behind the other, each with its sequence and its end.
#[derive(Default)]
struct Copied {
    bytes: Vec<u8>,
    ends: Vec<(Sequence, usize)>,
}

impl Conversation {
    fn head(&self) -> Sequence {
        Sequence::new(self.rows.len() as u64)
    }

    fn find(&self, hasher: &RandomState, act: &Act) -> Option<Sequence> {
        let act_of = |row| content::act(self.rows.get(row)?);
        self.acts.find(hasher, act, act_of).map(sequence)
    }

    fn known_of(&self, hasher: &RandomState, records: &[NewRecord]) -> Vec<(usize, Sequence)> {
        let places = records.iter().enumerate();
        places.filter_map(|(place, record)| Some((place, self.find(hasher, &act(record)?)?))).collect()
    }

    /// Stores all of these records or none.
    fn append(&mut self, hasher: &RandomState, append: &Append) -> StoreResult<()> {
        let before = self.rows.len();
        let erased = self.write(append).inspect_err(|_| self.rows.truncate(before))?;
        // From here on nothing can fail.
        for (row, bytes) in erased {
            self.rows.replace(row, &bytes);
        }
        for (row, record) in (before..).zip(&append.records) {
            if let Some(act) = act(record) {
                self.acts.insert(hasher, &act, row);
            }
        }
        Ok(())
    }

    /// Writes the rows, and makes those that are to stand in place of what they recall.
    fn write(&mut self, append: &Append) -> StoreResult<Vec<(usize, Vec<u8>)>> {
        let mut recalled = Vec::new();
        for record in &append.records {
            if let RecordBody::Recalled(recall) = &record.body {
                recalled.extend(row(recall.target).filter(|row| *row < self.rows.len()));
            }
            self.rows.push(content::room_for(record), |bytes| content::write(record, bytes))?;
        }
        recalled.into_iter().map(|row| Ok((row, self.erased(append.conversation_id, row)?))).collect()
    }

    /// A row without its payload.
    fn erased(&self, id: ConversationId, row: usize) -> StoreResult<Vec<u8>> {
        let mut record = NewRecord::from(content::read(id, sequence(row), self.rows.get(row).unwrap_or_default())?);
        erase_payload(&mut record.body);
        let mut bytes = Vec::new();
        content::write(&record, &mut bytes)?;
        Ok(bytes)
    }

    fn copy(&self, range: Range, limit: usize) -> Copied {
        let (limit, rows) = (limit.min(MAX_READ_RECORDS), self.rows.len());
        let place = |sequence: Sequence| usize::try_from(sequence.get()).unwrap_or(usize::MAX).min(rows);
        let (from, to) = match range {
            Range::After(after) => (place(after), place(after).saturating_add(limit).min(rows)),
            Range::Before(before) => (place(before.previous()).saturating_sub(limit), place(before.previous())),
        };
        let mut copied = Copied::default();
        for (row, bytes) in (from..to).filter_map(|row| Some((row, self.rows.get(row)?))) {
            copied.bytes.extend_from_slice(bytes);
            copied.ends.push((sequence(row), copied.bytes.len()));
        }
        copied
    }
}

/// Whose act a record is, if it has a client's id.
fn act(record: &NewRecord) -> Option<Act> {
    Some((record.author.sender_id, record.client_message_id?))
}

/// The sequence of the record in this row.
const fn sequence(row: usize) -> Sequence {
    Sequence::new(row as u64).next()
}

/// The row of the record with this sequence.
fn row(sequence: Sequence) -> Option<usize> {
    usize::try_from(sequence.get().checked_sub(1)?).ok()
}

impl MessageLog for MemoryLog {
    fn append(&self, append: Append) -> BoxFuture<'static, StoreResult<Appended>> {
        future::ready(self.append_now(&append)).boxed()
    }

    fn read(
        &self,
        conversation_id: ConversationId,
        range: Range,
        limit: usize,
    ) -> BoxFuture<'static, StoreResult<Vec<Record>>> {
        future::ready(self.read_now(conversation_id, range, limit)).boxed()
    }

    fn head(&self, conversation_id: ConversationId) -> BoxFuture<'static, StoreResult<Sequence>> {
        future::ready(self.ask(conversation_id, Conversation::head)).boxed()
    }

    fn lookup(
        &self,
        conversation_id: ConversationId,
        sender_id: UserId,
        client_message_id: ClientMessageId,
    ) -> BoxFuture<'static, StoreResult<Option<Sequence>>> {
        let act = (sender_id, client_message_id);
        future::ready(self.ask(conversation_id, |conversation| conversation.find(&self.hasher, &act))).boxed()
    }
}
