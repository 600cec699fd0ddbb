//! The conversations' logs, each a row in which a record's place is its sequence less one (GAPLESS).

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};

use foldhash::quality::RandomState;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use hubbub_protocol::{ClientMessageId, ConversationId, Record, RecordBody, Sequence, UserId};

use super::chunks::Chunks;
use super::{Life, lock};
use crate::error::StoreResult;
use crate::log::{Append, Appended, MAX_READ_RECORDS, MessageLog, NewRecord, Range, erase_payload};

/// Locks over the conversations: enough that the shards of a large machine seldom meet at one.
const LOCKS: usize = 64;

type Table<K, V> = HashMap<K, V, RandomState>;

/// Every log, spread over [`LOCKS`] maps by the conversation's hash.
pub(super) struct MemoryLog {
    life: Arc<Life>,
    hasher: RandomState,
    parts: Vec<Mutex<Table<ConversationId, Conversation>>>,
}

/// One conversation's records, and which acts they were (ONCE).
#[derive(Default)]
struct Conversation {
    records: Chunks<Record>,
    known: Table<(UserId, ClientMessageId), Sequence>,
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

    fn append_now(&self, append: Append) -> StoreResult<Appended> {
        self.life.check()?;
        append.check()?;
        let mut part = lock(self.part(append.conversation_id));
        let known = part.get(&append.conversation_id).map(|found| found.known_of(&append.records)).unwrap_or_default();
        if !known.is_empty() {
            return Ok(Appended::Duplicate { known });
        }
        let head = part.get(&append.conversation_id).map_or(Sequence::ZERO, Conversation::head);
        if head != append.expected_head {
            return Ok(Appended::Stale { head });
        }
        let conversation = part.entry(append.conversation_id).or_default();
        for record in append.records {
            conversation.push(append.conversation_id, record);
        }
        Ok(Appended::Committed { first: head.next(), last: conversation.head() })
    }

    /// What `question` answers about a conversation; the default where there is none.
    fn ask<T: Default + Send + 'static>(
        &self,
        id: ConversationId,
        question: impl FnOnce(&Conversation) -> T,
    ) -> BoxFuture<'static, StoreResult<T>> {
        let answer = self.life.check().map(|()| lock(self.part(id)).get(&id).map(question).unwrap_or_default());
        future::ready(answer).boxed()
    }
}

impl Conversation {
    fn head(&self) -> Sequence {
        Sequence::new(self.records.len() as u64)
    }

    fn known_of(&self, records: &[NewRecord]) -> Vec<(usize, Sequence)> {
        let places = records.iter().enumerate();
        places
            .filter_map(|(place, record)| {
                let act = (record.author.sender_id, record.client_message_id?);
                Some((place, *self.known.get(&act)?))
            })
            .collect()
    }

    fn push(&mut self, conversation_id: ConversationId, record: NewRecord) {
        let NewRecord { author, created_at, client_message_id, body } = record;
        let sequence = self.head().next();
        if let Some(id) = client_message_id {
            self.known.insert((author.sender_id, id), sequence);
        }
        if let RecordBody::Recalled(recalled) = &body
            && let Some(target) = self.at(recalled.target)
        {
            erase_payload(&mut target.body);
        }
        self.records.push(Record { conversation_id, sequence, author, created_at, client_message_id, body });
    }

    fn at(&mut self, sequence: Sequence) -> Option<&mut Record> {
        let index = usize::try_from(sequence.get().checked_sub(1)?).ok()?;
        self.records.get_mut(index)
    }

    fn read(&self, range: Range, limit: usize) -> Vec<Record> {
        let limit = limit.min(MAX_READ_RECORDS);
        let index = |sequence: u64| usize::try_from(sequence).unwrap_or(usize::MAX).min(self.records.len());
        let (from, to) = match range {
            Range::After(after) => {
                let from = index(after.get());
                (from, from.saturating_add(limit).min(self.records.len()))
            }
            Range::Before(before) => {
                let to = index(before.previous().get());
                (to.saturating_sub(limit), to)
            }
        };
        self.records.range(from..to).cloned().collect()
    }
}

impl MessageLog for MemoryLog {
    fn append(&self, append: Append) -> BoxFuture<'static, StoreResult<Appended>> {
        future::ready(self.append_now(append)).boxed()
    }

    fn read(
        &self,
        conversation_id: ConversationId,
        range: Range,
        limit: usize,
    ) -> BoxFuture<'static, StoreResult<Vec<Record>>> {
        self.ask(conversation_id, |conversation| conversation.read(range, limit))
    }

    fn head(&self, conversation_id: ConversationId) -> BoxFuture<'static, StoreResult<Sequence>> {
        self.ask(conversation_id, Conversation::head)
    }

    fn lookup(
        &self,
        conversation_id: ConversationId,
        sender_id: UserId,
        client_message_id: ClientMessageId,
    ) -> BoxFuture<'static, StoreResult<Option<Sequence>>> {
        self.ask(conversation_id, |conversation| conversation.known.get(&(sender_id, client_message_id)).copied())
    }
}
