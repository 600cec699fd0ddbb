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
        let known = part
            .get(&append.conversation_id)
            .map(|found| found.known_of(&self.hasher, &append.records))
            .unwrap_or_default();
        if !known.is_empty() {
            return Ok(Appended::Duplicate { known });
        }
        let head = part.get(&append.conversation_id).map_or(Sequence::ZERO, Conversation::head);
        if head != append.expected_head {
            return Ok(Appended::Stale { head });
        }
        let conversation = part.entry(append.conversation_id).or_default();
        conversation.append(&self.hasher, append)?;
        Ok(Appended::Committed { first: head.next(), last: conversation.head() })
    }

    /// What `question` answers about a conversation; the default where there is none.
    fn ask<T: Default + Send + 'static>(
        &self,
        id: ConversationId,
        question: impl FnOnce(&Conversation) -> StoreResult<T>,
    ) -> BoxFuture<'static, StoreResult<T>> {
        let ask = || lock(self.part(id)).get(&id).map_or_else(|| Ok(T::default()), question);
        future::ready(self.life.check().and_then(|()| ask())).boxed()
    }
}

impl Conversation {
    fn head(&self) -> Sequence {
        Sequence::new(self.rows.len() as u64)
    }

    fn find(&self, hasher: &RandomState, act: &Act) -> Option<Sequence> {
        let act_of = |row| content::act(self.rows.get(row)?);
        self.acts.find(hasher, act, act_of).map(|row| Sequence::new(row as u64).next())
    }

    fn known_of(&self, hasher: &RandomState, records: &[NewRecord]) -> Vec<(usize, Sequence)> {
        let places = records.iter().enumerate();
        places.filter_map(|(place, record)| Some((place, self.find(hasher, &act(record)?)?))).collect()
    }

    /// Stores all of these records or none.
    fn append(&mut self, hasher: &RandomState, append: &Append) -> StoreResult<()> {
        let before = self.rows.len();
        for record in &append.records {
            if let Err(error) = self.rows.push(content::room_for(record), |bytes| content::write(record, bytes)) {
                self.rows.truncate(before);
                return Err(error);
            }
        }
        for (row, record) in (before..).zip(&append.records) {
            if let Some(act) = act(record) {
                self.acts.insert(hasher, &act, row);
            }
            if let RecordBody::Recalled(recalled) = &record.body {
                self.erase(append.conversation_id, recalled.target)?;
            }
        }
        Ok(())
    }

    /// Takes the payload out of a message that was recalled.
    fn erase(&mut self, id: ConversationId, target: Sequence) -> StoreResult<()> {
        let Some(mut record) = self.record(id, target).transpose()? else { return Ok(()) };
        if erase_payload(&mut record.body) {
            let mut bytes = Vec::new();
            content::write(&record.into(), &mut bytes)?;
            if let Some(row) = row(target) {
                self.rows.replace(row, &bytes);
            }
        }
        Ok(())
    }

    fn record(&self, id: ConversationId, sequence: Sequence) -> Option<StoreResult<Record>> {
        Some(content::read(id, sequence, self.rows.get(row(sequence)?)?))
    }

    fn read(&self, id: ConversationId, range: Range, limit: usize) -> StoreResult<Vec<Record>> {
        let limit = limit.min(MAX_READ_RECORDS) as u64;
        let head = self.head().get();
        let (after, last) = match range {
            Range::After(after) => (after.get().min(head), after.get().saturating_add(limit).min(head)),
            Range::Before(before) => {
                let last = before.previous().get().min(head);
                (last.saturating_sub(limit), last)
            }
        };
        (after + 1..=last).filter_map(|sequence| self.record(id, Sequence::new(sequence))).collect()
    }
}

/// Whose act a record is, if it has a client's id.
fn act(record: &NewRecord) -> Option<Act> {
    Some((record.author.sender_id, record.client_message_id?))
}

/// Where the record with this sequence lies.
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
        self.ask(conversation_id, |conversation| conversation.read(conversation_id, range, limit))
    }

    fn head(&self, conversation_id: ConversationId) -> BoxFuture<'static, StoreResult<Sequence>> {
        self.ask(conversation_id, |conversation| Ok(conversation.head()))
    }

    fn lookup(
        &self,
        conversation_id: ConversationId,
        sender_id: UserId,
        client_message_id: ClientMessageId,
    ) -> BoxFuture<'static, StoreResult<Option<Sequence>>> {
        let act = (sender_id, client_message_id);
        self.ask(conversation_id, |conversation| Ok(conversation.find(&self.hasher, &act)))
    }
}
