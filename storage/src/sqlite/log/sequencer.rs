//! Decides each append of a group against the heads, on the writer thread: duplicate, stale or stored.
//!
//! The only place that moves a head. Keeps ONCE (a client id that is stored refuses its whole append), GAPLESS (only the
//! right head is appended to, at the next sequence) and recall (the target's payload goes in the same commit). How a
//! group becomes durable is the [`LogWriter`]'s.

use hubbub_protocol::{ClientMessageId, ConversationId, Sequence, UserId};

use super::super::writer::GroupCommitter;
use super::write::{LogWriter, Row};
use crate::error::{Reason, StoreError, StoreResult};
use crate::log::{Appended, NewRecord, erase_payload};
use crate::stored::recent::Recent;
use crate::stored::record;

/// Heads of one generation: two of them know 100,000 conversations or more, in about 8 MiB.
const HEADS: usize = 100_000;

/// An append, its records encoded for the places right after the expected head.
pub(super) struct EncodedAppend {
    pub(super) conversation_id: ConversationId,
    pub(super) expected_head: Sequence,
    pub(super) records: Vec<EncodedRecord>,
}

/// One of its records.
pub(super) struct EncodedRecord {
    pub(super) sender_id: UserId,
    pub(super) client_id: Option<ClientMessageId>,
    /// The message that it takes back.
    pub(super) recalls: Option<Sequence>,
    pub(super) bytes: Vec<u8>,
}

/// The log's committer.
pub(super) struct Sequencer<W> {
    writer: W,
    /// Heads of the conversations that were appended to of late: a head is nowhere stored by itself.
    heads: Recent<ConversationId, Sequence>,
}

impl<W: LogWriter> Sequencer<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer, heads: Recent::new(HEADS) }
    }

    /// The inner error is the append's own; the outer one is the group's.
    fn decide(&mut self, append: &EncodedAppend) -> StoreResult<StoreResult<Appended>> {
        let checked = self.check(append);
        match checked {
            Ok(Some(refusal)) => return Ok(Ok(refusal)),
            Ok(None) => {}
            Err(StoreError::Damaged(reason)) => return Ok(refused(append.conversation_id, reason)),
            Err(error) => return Err(error),
        }
        let mut last = append.expected_head;
        for record in &append.records {
            last = last.next();
            self.store(append.conversation_id, last, record)?;
        }
        self.heads.set(append.conversation_id, last);
        Ok(Ok(Appended::Committed { first: append.expected_head.next(), last }))
    }

    /// Why the append is not stored; changes nothing.
    fn check(&mut self, append: &EncodedAppend) -> StoreResult<Option<Appended>> {
        let id = append.conversation_id;
        let mut known = Vec::new();
        for (place, record) in append.records.iter().enumerate() {
            let Some(client_id) = record.client_id else { continue };
            if let Some(at) = self.writer.act(id, record.sender_id, client_id)? {
                known.push((place, at));
            }
        }
        if !known.is_empty() {
            return Ok(Some(Appended::Duplicate { known }));
        }
        let head = match self.heads.find(&id) {
            Some(head) => head,
            None => self.writer.head(id)?,
        };
        if head != append.expected_head {
            self.heads.set(id, head);
            return Ok(Some(Appended::Stale { head }));
        }
        // A target that cannot be read cannot be erased: told before anything of this append is stored.
        for target in append.records.iter().filter_map(|record| record.recalls) {
            self.writer.record(id, target)?;
        }
        Ok(None)
    }

    fn store(&mut self, id: ConversationId, at: Sequence, record: &EncodedRecord) -> StoreResult<()> {
        let act = record.client_id.map(|client_id| (record.sender_id, client_id));
        self.writer.insert(&Row { conversation_id: id, sequence: at, act, bytes: &record.bytes })?;
        match record.recalls {
            Some(target) => self.erase(id, target),
            None => Ok(()),
        }
    }

    /// What is no message, or not there, has no payload to erase: whether a recall makes sense was decided elsewhere.
    fn erase(&mut self, id: ConversationId, target: Sequence) -> StoreResult<()> {
        let Some(found) = self.writer.record(id, target)? else { return Ok(()) };
        let mut erased = NewRecord::from(found);
        if !erase_payload(&mut erased.body) {
            return Ok(());
        }
        let bytes = record::encode(id, target, &erased)?;
        self.writer.replace(&Row { conversation_id: id, sequence: target, act: None, bytes: &bytes })
    }
}

fn refused(id: ConversationId, reason: Reason) -> StoreResult<Appended> {
    tracing::error!(conversation.id = %id, %reason, "an append met damage and was refused");
    Err(StoreError::Damaged(reason))
}

impl<W: LogWriter> GroupCommitter for Sequencer<W> {
    type Request = EncodedAppend;
    type Answer = Appended;

    fn commit(&mut self, group: &[EncodedAppend]) -> StoreResult<Vec<StoreResult<Appended>>> {
        self.writer.begin()?;
        let mut answers = Vec::with_capacity(group.len());
        for append in group {
            answers.push(self.decide(append)?);
        }
        self.writer.commit()?;
        Ok(answers)
    }

    fn roll_back(&mut self) -> StoreResult<()> {
        // Heads moved by what is rolled back are not the heads.
        self.heads.clear();
        self.writer.roll_back()
    }

    fn after_group(&mut self) -> StoreResult<()> {
        self.writer.after_group()
    }

    fn idle(&mut self) -> StoreResult<()> {
        self.writer.idle()
    }

    fn abandon(&mut self) {
        self.writer.abandon();
    }
}

#[cfg(test)]
mod tests;
