//! One append of one conversation, from the decision to its end: decided, handed out, committed or decided anew.

use std::sync::Arc;

use hubbub_domain::cluster::Word;
use hubbub_domain::conversation::{Context, Records, audience, decide, evolve};
use hubbub_domain::conversations::Stored;
use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, Record, RecordBody, Sequence, Timestamp, UserId};
use hubbub_storage::bus::Topic;
use hubbub_storage::log::{Append, Appended, NewRecord};

use super::batch::{Batch, Decided};
use super::conversation::{Asked, Target, Work, honest};
use super::{AppendFailure, HomeCore, HomeOutput, HomeWork};
use crate::frame::RecordFrame;
use crate::message::{Delivery, EdgeInput, Run, Way};
use crate::metrics;

/// How often an act is decided anew before its sender is asked to try later.
const MAX_TRIES: u8 = 16;
/// A state is saved when so many records came since: a load then reads at most about as many.
const SNAPSHOT_EVERY: u64 = 1_000;
/// Payload bytes that are told together. More gains nothing, and a slow reader has to finish what is begun.
const MAX_RUN_BYTES: usize = 32 * 1024;

impl HomeCore {
    /// Decides what waits, as far as it may go into one append, and hands it out.
    pub(super) fn start_batch(&mut self, id: ConversationId, now: Timestamp, out: &mut Vec<HomeOutput>) {
        let in_cluster = self.abroad.is_some();
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let Some(state) = &mut conversation.state else { return };
        let mut batch = Batch::new(state.head(), &conversation.queue);
        while let Some(asked) = batch.next(&mut conversation.queue) {
            if matches!(asked.way, Way::Until(end) if now > end) {
                // Whoever forwarded it decides it, or has decided it, by itself.
                let late = ErrorBody::new(ErrorCode::Draining, "it came too late to be decided here");
                out.push(HomeOutput::Reply { to: asked.reply, result: Err(late) });
                continue;
            }
            let decided = decide(state, &asked.act, &Context { now, target: asked.target.record() });
            if in_cluster && asked.look == conversation.looks && decided.as_ref().map_or(true, Records::is_empty) {
                // What it rests on may be old: another node may have changed it before this act was sent.
                conversation.behind = true;
                conversation.queue.push_front(Work::Act(asked));
                break;
            }
            match decided {
                Ok(records) => {
                    for record in &records {
                        evolve(state, state.head().next(), &record.author, &record.body);
                    }
                    batch.add(asked, records);
                }
                Err(refusal) if batch.records.is_empty() => asked.refuse(id, refusal, out),
                Err(refusal) => batch.add_refused(asked, refusal),
            }
        }
        if batch.records.is_empty() {
            let head = batch.expected_head;
            batch.acts.into_iter().for_each(|decided| already_so(id, decided.asked, head, now, out));
            return;
        }
        let append = Append { conversation_id: id, expected_head: batch.expected_head, records: batch.records.clone() };
        let roster_changes = batch.records.iter().any(|record| {
            let audience = audience(&record.body);
            !audience.joins.is_empty() || !audience.leaves.is_empty()
        });
        conversation.in_flight = Some(batch);
        out.push(HomeOutput::Work(HomeWork::Append { append, roster_changes }));
    }

    /// Takes the store's answer to the append in flight.
    pub(super) fn appended(
        &mut self,
        id: ConversationId,
        result: Result<Appended, AppendFailure>,
        out: &mut Vec<HomeOutput>,
    ) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let Some(batch) = conversation.in_flight.take() else { return };
        match result {
            Ok(Appended::Committed { first, last }) => self.committed(id, batch, first, last, out),
            Ok(Appended::Stale { .. }) => self.again(id, batch, &[], out),
            Ok(Appended::Duplicate { known }) => self.again(id, batch, &known, out),
            Err(failure) => {
                conversation.state = None;
                // It may be stored after all, and then those who follow are to hear of it; and those who join by it, who
                // need not be here.
                let joins = batch.records.iter().any(|record| !audience(&record.body).joins.is_empty());
                if joins && matches!(failure, AppendFailure::Store(_)) {
                    conversation.untold = Some(batch.expected_head);
                    conversation.touched = true;
                }
                conversation.behind = conversation.is_followed() || joins;
                for Decided { asked, .. } in batch.acts {
                    match &failure {
                        AppendFailure::Refused(refusal) => asked.refuse(id, refusal.clone(), out),
                        AppendFailure::Store(error) => {
                            let result = Err(honest(asked.unsure, hubbub_domain::refusal::refusal(error)));
                            out.push(HomeOutput::Reply { to: asked.reply, result });
                        }
                    }
                }
            }
        }
    }

    fn committed(
        &mut self,
        id: ConversationId,
        batch: Batch,
        first: Sequence,
        last: Sequence,
        out: &mut Vec<HomeOutput>,
    ) {
        let conversation = self.conversations.get(&id);
        let told = conversation.and_then(|conversation| conversation.committed).unwrap_or_default();
        let head = conversation.and_then(|conversation| conversation.state.as_ref());
        let head = head.map_or(Sequence::ZERO, hubbub_domain::conversation::ConversationState::head);
        if first != batch.expected_head.next() || head != last {
            // The store broke GAPLESS, or this home did: nothing is published on a guess, the log is asked again.
            tracing::error!(conversation.id = %id, %first, %last, %head, "GAPLESS: a commit is not where it was decided");
            metrics::invariant_violation("GAPLESS");
            self.again(id, batch, &[], out);
            return;
        }
        let created_at = batch.records.first().map_or_else(Timestamp::default, |record| record.created_at);
        let stored = |(place, record): (u64, NewRecord)| {
            let NewRecord { author, created_at, client_message_id, body } = record;
            let sequence = batch.expected_head.plus(place);
            Record { conversation_id: id, sequence, author, created_at, client_message_id, body }
        };
        let records = (1..).zip(batch.records).map(stored);
        // What was heard of it from another node, which read it before this answer came, is told already (ONCE).
        let is_new = |record: &Record| record.sequence > told;
        if self.abroad.is_some() {
            let records: Vec<Record> = records.collect();
            self.tell(id, &records, out);
            self.publish(id, records.into_iter().filter(is_new), out);
        } else {
            self.publish(id, records.filter(is_new), out);
        }
        if let Some(conversation) = self.conversations.get_mut(&id).filter(|_| told > last) {
            // And more after it, which this state does not have.
            (conversation.state, conversation.behind) = (None, true);
        }
        for decided in batch.acts {
            let first = batch.expected_head.plus(decided.first_record as u64).next();
            let result = Ok(Stored {
                first,
                last: batch.expected_head.plus((decided.first_record + decided.records) as u64),
                created_at,
                duplicate: false,
            });
            if let Some(refusal) = decided.refusal {
                decided.asked.refuse(id, refusal, out);
            } else if decided.records == 0 {
                already_so(id, decided.asked, last, created_at, out);
            } else {
                out.push(HomeOutput::Reply { to: decided.asked.reply, result });
            }
        }
        self.snapshot(id, out);
    }

    /// Tells the edges of records that are in the log. Called in the order of the log, each record once. Those that stand
    /// in a row are told together, so that whoever gets them gets them in one piece.
    pub(super) fn publish(
        &mut self,
        id: ConversationId,
        records: impl Iterator<Item = Record>,
        out: &mut Vec<HomeOutput>,
    ) {
        let (mut row, mut bytes) = (Vec::new(), 0);
        for record in records {
            let Some(conversation) = self.conversations.get_mut(&id) else { return };
            conversation.committed = Some(record.sequence);
            let audience = audience(&record.body);
            if let RecordBody::Recalled(recalled) = &record.body {
                self.ring.erase(id, recalled.target);
            }
            let stands_alone = !audience.joins.is_empty() || !audience.leaves.is_empty();
            if stands_alone {
                conversation.whereabouts.roster_changed(audience.joins.iter().copied());
            }
            if !stands_alone && !conversation.is_followed() && self.now > conversation.kept_until {
                // Nobody is told of it, and whoever comes later reads the log.
                self.ring.pass_over(id);
                continue;
            }
            let payload = record.body.payload_bytes();
            let delivery = Arc::new(Delivery { frame: RecordFrame::of(record), leaves: audience.leaves });
            self.ring.push(Arc::clone(&delivery), payload);
            if stands_alone || bytes + payload > MAX_RUN_BYTES {
                self.say_row(id, std::mem::take(&mut row), Vec::new(), out);
                bytes = 0;
            }
            if stands_alone {
                self.say_row(id, vec![delivery], audience.joins, out);
            } else {
                row.push(delivery);
                bytes += payload;
            }
        }
        self.say_row(id, row, Vec::new(), out);
    }

    fn say_row(&mut self, id: ConversationId, row: Vec<Arc<Delivery>>, joins: Vec<UserId>, out: &mut Vec<HomeOutput>) {
        let mut row = row.into_iter();
        let (Some(first), Some(conversation)) = (row.next(), self.conversations.get_mut(&id)) else { return };
        let joins: Vec<_> = joins.into_iter().map(|user| (user, self.directory.shards_of(user))).collect();
        for shard in joins.iter().flat_map(|(_, shards)| shards) {
            conversation.follow(*shard);
        }
        let mut shards: Vec<u8> = conversation.edges().collect();
        // A leaver's socket that reads the log is no follower yet, and must hear of it all the same (MEMBERS-ONLY).
        shards.extend(first.leaves.iter().flat_map(|user| self.directory.shards_of(*user)));
        if shards.is_empty() {
            return;
        }
        shards.sort_unstable();
        shards.dedup();
        let run = Run::new(first, row.collect());
        for shard in shards {
            let here = joins.iter().filter(|(_, shards)| shards.contains(&shard)).map(|(user, _)| *user);
            let input = EdgeInput::Deliver { run: Arc::clone(&run), joins: here.collect() };
            out.push(HomeOutput::ToEdge { shard, input });
        }
    }

    /// Tells other nodes of records that are in the log.
    pub(super) fn tell(&self, id: ConversationId, records: &[Record], out: &mut Vec<HomeOutput>) {
        if self.abroad.is_none() {
            return;
        }
        if let Some(word) = Word::committed(records) {
            self.say(Topic::Conversation(id), || word, out);
        }
        let joins = |record: &Record| audience(&record.body).joins;
        let user_ids: Vec<_> = records.iter().flat_map(joins).collect();
        if let Some(first) = records.iter().find(|record| !joins(record).is_empty()) {
            let first = first.sequence;
            self.say(Topic::Cluster, || Word::Joined { conversation_id: id, first, user_ids }, out);
        }
    }

    /// Nothing of the batch was stored: answers what was known already, and lets the rest be decided anew.
    fn again(&mut self, id: ConversationId, batch: Batch, known: &[(usize, Sequence)], out: &mut Vec<HomeOutput>) {
        metrics::duplicates(known.len());
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.state = None;
        for decided in batch.acts.into_iter().rev() {
            let Decided { asked, first_record, records, refusal: _ } = decided;
            let stored = known.iter().find(|(place, _)| (first_record..first_record + records).contains(place));
            if let Some((_, first)) = stored {
                let Asked { act, reply, .. } = asked;
                out.push(HomeOutput::Work(HomeWork::Repeat { conversation: id, act, first: *first, reply }));
            } else if asked.tries >= MAX_TRIES {
                let message = "this conversation changes too fast: try again later";
                asked.refuse(id, ErrorBody::new(ErrorCode::Overloaded, message), out);
            } else {
                // Its target may have changed too: it is read again.
                let (target, tries, look) = (Target::Unread, asked.tries + 1, conversation.looks);
                conversation.queue.push_front(Work::Act(Asked { target, tries, look, ..asked }));
            }
        }
    }

    fn snapshot(&mut self, id: ConversationId, out: &mut Vec<HomeOutput>) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let Some(state) = &conversation.state else { return };
        if state.head().get() - conversation.snapshot_at.get() >= SNAPSHOT_EVERY {
            conversation.snapshot_at = state.head();
            let state = Box::new(state.clone());
            out.push(HomeOutput::Work(HomeWork::Snapshot { conversation: id, state }));
        }
    }
}

/// Answers an act that has nothing to store: all is as it wants it, perhaps by an earlier try.
fn already_so(id: ConversationId, asked: Asked, head: Sequence, now: Timestamp, out: &mut Vec<HomeOutput>) {
    asked.end(id, Ok(Stored { first: head, last: head, created_at: now, duplicate: true }), out);
}
