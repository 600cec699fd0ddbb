//! A home among the homes of other nodes: what they committed is taken in, what another is home to is handed to it.
//!
//! All of it is speed. An append names the head it was decided against, so two homes of one conversation get in each
//! other's way and never lose, double or reorder anything.
//!
//! * A conversation that somebody here follows is *watched*: commits of other nodes are heard of, and applied in the order
//!   of the log. A hole, a doubt, or a look every so often is settled by reading the log (REDIS-FREE TRUTH).
//! * Acts of a conversation that another node is home to are forwarded, one bundle at a time, so that one node writes and
//!   many acts share an append. Each carries a client id: if no answer comes, they are decided here, and whatever the other
//!   does with them after all is stored once (ONCE).
//! * A refusal that rests on a state which may be old is no refusal: the log is looked at first (HONEST).

use std::collections::{BTreeMap, VecDeque};

use hubbub_domain::cluster::word::told_records;
use hubbub_domain::cluster::{Told, View, Word};
use hubbub_domain::conversation::{Act, evolve};
use hubbub_domain::conversations::Stored;
use hubbub_protocol::frame::server::MessageRead;
use hubbub_protocol::{
    ClientMessageId, ConversationId, ErrorBody, ErrorCode, NodeId, Record, Sequence, Timestamp, UserId,
};
use hubbub_storage::bus::Topic;
use hubbub_storage::error::StoreError;
use hubbub_storage::log::MAX_READ_RECORDS;

use super::batch::payload_bytes;
use super::conversation::{Asked, Asking, Conversation, Target, Watch, Work};
use super::{HomeCore, HomeOutput, HomeWork};
use crate::frame::SharedFrame;
use crate::message::{Class, EdgeInput, Way};

/// Acts forwarded together.
const MAX_FORWARDED_ACTS: usize = 128;
/// Payload bytes forwarded together: half of what the bus carries at once.
const MAX_FORWARDED_BYTES: usize = 256 * 1024;
/// How often heads are compared while the bus carries, in seconds: for what was lost without anybody's knowing.
const COMPARE_EVERY: usize = 20;
/// And while it does not: this is then how other nodes' commits are learnt.
const COMPARE_EVERY_DEAF: usize = 1;
/// Conversations compared in one second, at most: a home's works have room for them.
const MAX_COMPARED: usize = 1_024;

/// What a home knows of the cluster.
pub(crate) struct Abroad {
    view: View,
    up: bool,
    /// The conversations that are watched, the one that was looked at longest ago first, each with the number of its watch.
    watched: VecDeque<(ConversationId, u64)>,
    watches: u64,
    /// How many of them are to be looked at as soon as may be.
    hurry: usize,
}

impl Abroad {
    pub(crate) const fn new(view: View) -> Self {
        Self { view, up: false, watched: VecDeque::new(), watches: 0, hurry: 0 }
    }
}

impl HomeCore {
    /// Says something to other nodes, if there are any.
    pub(super) fn say(&self, topic: Topic, word: impl FnOnce() -> Word, out: &mut Vec<HomeOutput>) {
        if self.abroad.is_some() {
            out.push(HomeOutput::Say { topic, word: Box::new(word()) });
        }
    }

    /// Whether this node is known to be alive.
    pub(super) fn knows(&self, node: NodeId) -> bool {
        self.abroad.as_ref().is_some_and(|abroad| abroad.view.knows(node))
    }

    /// The cluster, or the bus, is another than before.
    pub(crate) fn cluster_changed(&mut self, view: View, up: bool) {
        if let Some(abroad) = &mut self.abroad {
            (abroad.view, abroad.up) = (view, up);
        }
    }

    /// Something may have been missed.
    pub(crate) fn compare_heads(&mut self) {
        if let Some(abroad) = &mut self.abroad {
            abroad.hurry = abroad.watched.len();
        }
        for conversation in self.conversations.values_mut() {
            conversation.asked_who = false;
        }
    }

    /// One second went by: looks at some of what is watched, and stops watching what nobody follows.
    pub(crate) fn look_around(&mut self, now: Timestamp, out: &mut Vec<HomeOutput>) {
        self.ask_again(now, out);
        let Some(abroad) = &mut self.abroad else { return };
        let every = if abroad.up { COMPARE_EVERY } else { COMPARE_EVERY_DEAF };
        let due = abroad.watched.len().div_ceil(every).max(abroad.hurry).min(MAX_COMPARED);
        abroad.hurry -= due.min(abroad.hurry);
        let looked_at: Vec<_> = abroad.watched.drain(..due).collect();
        for (id, number) in looked_at {
            if self.goes_on_watching(id, number, out) {
                if let Some(abroad) = &mut self.abroad {
                    abroad.watched.push_back((id, number));
                }
                self.ask_who_is_where(id, out);
                self.pump(id, now, out);
            }
        }
    }

    fn goes_on_watching(&mut self, id: ConversationId, number: u64, out: &mut Vec<HomeOutput>) -> bool {
        let this_watch = |found: &&mut Conversation| found.watch != Watch::Off && found.watch_number == number;
        let Some(conversation) = self.conversations.get_mut(&id).filter(this_watch) else { return false };
        if conversation.is_idle() && !std::mem::take(&mut conversation.touched) {
            conversation.watch = Watch::Off;
            conversation.whereabouts.farewell(id, out);
            (conversation.asked_who, conversation.untold) = (false, None);
            out.push(HomeOutput::Unwatch(id));
            return false;
        }
        conversation.behind = true;
        conversation.whereabouts.look();
        true
    }

    /// Whether a refusal may rest on the state: the log was looked at after the question came.
    pub(super) fn may_refuse(&self, id: ConversationId, look: u32) -> bool {
        self.abroad.is_none() || self.conversations.get(&id).is_none_or(|conversation| conversation.looks != look)
    }

    /// What has to be done for the cluster's sake before this conversation's queue is looked at; true if that takes
    /// waiting.
    pub(super) fn abroad_first(&mut self, id: ConversationId, out: &mut Vec<HomeOutput>) -> bool {
        let Some(abroad) = &mut self.abroad else { return false };
        let Some(conversation) = self.conversations.get_mut(&id) else { return false };
        let wants_watch = matches!(conversation.queue.front(), Some(Work::Subscribe { .. }))
            || conversation.is_followed()
            || conversation.untold.is_some();
        if conversation.watch == Watch::Off && wants_watch {
            abroad.watches += 1;
            (conversation.watch, conversation.watch_number) = (Watch::Asked, abroad.watches);
            abroad.watched.push_back((id, abroad.watches));
            out.push(HomeOutput::Work(HomeWork::Watch { conversation: id }));
            return true;
        }
        if conversation.behind && conversation.state.is_some() {
            self.catch_up(id, out);
            return true;
        }
        let forwards = matches!(conversation.queue.front(), Some(Work::Act(asked)) if asked.way == Way::Home);
        if let Some(home) = abroad.view.other_home(id).filter(|_| forwards) {
            self.forward(id, home, out);
            return true;
        }
        false
    }

    /// The relay has confirmed that the topic is watched, or is down; in both cases the log tells what came before.
    pub(super) fn watched(&mut self, id: ConversationId) {
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.watch = Watch::On;
            conversation.behind = true;
        }
    }

    fn catch_up(&mut self, id: ConversationId, out: &mut Vec<HomeOutput>) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.behind = false;
        conversation.asking = Asking::Above;
        conversation.looks = conversation.looks.wrapping_add(1);
        let after = conversation.committed.unwrap_or_default();
        out.push(HomeOutput::Work(HomeWork::CatchUp { conversation: id, after }));
    }

    /// The records above the committed ones are here.
    pub(super) fn caught_up(
        &mut self,
        id: ConversationId,
        result: Result<Vec<Record>, StoreError>,
        out: &mut Vec<HomeOutput>,
    ) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.asking = Asking::Nothing;
        match result {
            Ok(records) => {
                if let Some(Work::Act(asked)) = conversation.queue.front_mut() {
                    // It may be another by now.
                    asked.target = Target::Unread;
                }
                // A whole page: there may be more.
                conversation.behind |= records.len() >= MAX_READ_RECORDS;
                // This home's own, after all? Then nobody else knows who joined by it.
                let own =
                    conversation.untold.take_if(|head| records.iter().any(|record| record.sequence == head.next()));
                if own.is_some() {
                    self.tell(id, &records, out);
                }
                self.take_in(id, records, out);
            }
            Err(error) => self.could_not_look(id, &error, out),
        }
    }

    /// The store did not tell the state, or what is above it. If it is only busy, what waits for that goes on waiting, else
    /// it is refused. For those who follow, it is asked again at the next tick.
    pub(super) fn could_not_look(&mut self, id: ConversationId, error: &StoreError, out: &mut Vec<HomeOutput>) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        // Nothing was seen, so nothing may be refused on account of it.
        conversation.looks = conversation.looks.wrapping_sub(1);
        if *error != StoreError::Overloaded {
            tracing::warn!(conversation.id = %id, %error, "a conversation could not be read");
            let refusal = hubbub_domain::refusal::never_stored(error);
            for work in std::mem::take(&mut conversation.queue) {
                work.refuse(id, &refusal, out);
            }
        }
        let can_mend = !matches!(error, StoreError::Damaged(_) | StoreError::Stopped(_));
        if can_mend && !conversation.is_idle() {
            (conversation.behind, conversation.asking) = (true, Asking::Later);
            self.again.push(id);
        }
    }

    /// One second went by: the store is asked again what it could not tell.
    pub(super) fn ask_again(&mut self, now: Timestamp, out: &mut Vec<HomeOutput>) {
        for id in std::mem::take(&mut self.again) {
            if let Some(conversation) = self.conversations.get_mut(&id) {
                conversation.asking = Asking::Nothing;
                self.pump(id, now, out);
            }
        }
    }

    /// Takes in records that are in the log, as far as they are the next ones; false if there is a hole before them.
    fn take_in(&mut self, id: ConversationId, records: Vec<Record>, out: &mut Vec<HomeOutput>) -> bool {
        for record in records {
            let Some(conversation) = self.conversations.get_mut(&id) else { return true };
            let Some(state) = &mut conversation.state else { return false };
            if record.sequence <= state.head() {
                continue;
            }
            if record.sequence != state.head().next() {
                return false;
            }
            evolve(state, record.sequence, &record.author, &record.body);
            self.publish(id, std::iter::once(record), out);
        }
        true
    }

    /// Tells the edges of records that are in the log, as far as they are the next ones, and leaves the state to the load
    /// that follows; false if there is a hole before them.
    fn pass_on(&mut self, id: ConversationId, records: &[Record], out: &mut Vec<HomeOutput>) -> bool {
        for record in records {
            let committed = self.conversations.get(&id).and_then(|conversation| conversation.committed);
            match committed {
                Some(committed) if record.sequence <= committed => {}
                Some(committed) if record.sequence == committed.next() => {
                    self.publish(id, std::iter::once(record.clone()), out);
                }
                _ => return false,
            }
        }
        true
    }

    /// Another node said something.
    pub(super) fn heard(&mut self, id: ConversationId, from: NodeId, word: Word, out: &mut Vec<HomeOutput>) {
        match word {
            Word::Committed { first, last, records } => self.heard_committed(id, first, last, records, out),
            Word::Joined { first, user_ids, .. } => self.heard_joined(id, first, &user_ids, out),
            Word::Marked { user_id, seq } => self.heard_marked(id, user_id, seq, out),
            Word::Typing { user_id, active } => drop(self.told_typing(id, user_id, active, out)),
            Word::Presence { user_id, status } => self.presence_elsewhere(id, from, user_id, status),
            Word::WhoIsHere => self.who_is_here(id),
            Word::Here { people } => self.here(id, from, people),
            Word::Hello { .. }
            | Word::Bye
            | Word::Unheard
            | Word::SessionEnded { .. }
            | Word::Forward { .. }
            | Word::Answers { .. } => {}
        }
    }

    fn heard_committed(
        &mut self,
        id: ConversationId,
        first: Sequence,
        last: Sequence,
        told: Vec<Told>,
        out: &mut Vec<HomeOutput>,
    ) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if conversation.committed.is_some_and(|committed| last <= committed) {
            return;
        }
        let records = told_records(id, first, last, told);
        if conversation.in_flight.is_some() {
            // This home's append comes to nothing, as its place is taken; or it is what was heard, by a node that read it
            // before its answer came here. Those who follow need not wait for its end.
            let passed_on = records.is_some_and(|records| self.pass_on(id, &records, out));
            if let Some(conversation) = self.conversations.get_mut(&id) {
                conversation.behind |= !passed_on;
            }
            return;
        }
        if conversation.is_busy() || conversation.state.is_none() {
            conversation.behind = true;
            return;
        }
        let taken = records.is_some_and(|records| self.take_in(id, records, out));
        if let Some(conversation) = self.conversations.get_mut(&id).filter(|_| !taken) {
            conversation.behind = true;
        }
    }

    /// People were added by a record at or above `first`. What this home knows of it says nothing about what their sockets
    /// were told: the record may have been there when it was loaded. So those are told to ask.
    fn heard_joined(&self, id: ConversationId, first: Sequence, users: &[UserId], out: &mut Vec<HomeOutput>) {
        let places =
            users.iter().flat_map(|user| self.directory.shards_of(*user).into_iter().map(|shard| (shard, *user)));
        let mut by_shard: BTreeMap<u8, Vec<UserId>> = BTreeMap::new();
        places.for_each(|(shard, user)| by_shard.entry(shard).or_default().push(user));
        for (shard, users) in by_shard {
            let input = EdgeInput::Invite { conversation: id, users, after: first.previous() };
            out.push(HomeOutput::ToEdge { shard, input });
        }
    }

    fn heard_marked(&mut self, id: ConversationId, user: UserId, seq: Sequence, out: &mut Vec<HomeOutput>) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let known = conversation.marks.get(&user).copied().unwrap_or_default();
        let is_member = conversation.state.as_ref().is_some_and(|state| state.is_member(user));
        if is_member && seq > known {
            conversation.marks.insert(user, seq);
            let frame = SharedFrame::new(MessageRead { conversation_id: id, user_id: user, seq });
            conversation.notify(id, &frame, None, Class::State, out);
        }
    }

    /// Hands the acts at the front of the queue to the node that is home to the conversation.
    fn forward(&mut self, id: ConversationId, home: NodeId, out: &mut Vec<HomeOutput>) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let (mut forwarded, mut acts, mut bytes): (Vec<Asked>, Vec<Act>, usize) = (Vec::new(), Vec::new(), 0);
        while let Some(Work::Act(Asked { act, way: Way::Home, .. })) = conversation.queue.front_mut() {
            bytes += payload_bytes(act);
            if acts.len() == MAX_FORWARDED_ACTS || (bytes > MAX_FORWARDED_BYTES && !acts.is_empty()) {
                break;
            }
            // What has no id of its client's gets one, so that two who carry it out store it once.
            act.client_message_id.get_or_insert_with(ClientMessageId::generate);
            acts.push((**act).clone());
            if let Some(Work::Act(asked)) = conversation.queue.pop_front() {
                forwarded.push(asked);
            }
        }
        conversation.forwarded = Some(forwarded);
        out.push(HomeOutput::Work(HomeWork::Forward { conversation: id, home, acts }));
    }

    /// The home has answered what was forwarded, or has not.
    pub(super) fn answered(
        &mut self,
        id: ConversationId,
        results: Option<Vec<Result<Stored, ErrorBody>>>,
        out: &mut Vec<HomeOutput>,
    ) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let forwarded = conversation.forwarded.take().unwrap_or_default();
        let mut results = results.filter(|results| results.len() == forwarded.len()).unwrap_or_default().into_iter();
        let look = conversation.looks;
        let mut left = Vec::new();
        for asked in forwarded {
            match results.next() {
                Some(Err(error)) if error.code != ErrorCode::Draining => {
                    out.push(HomeOutput::Reply { to: asked.reply, result: Err(error) });
                }
                Some(Ok(stored)) => out.push(HomeOutput::Reply { to: asked.reply, result: Ok(stored) }),
                // It stops, or does not answer: they are decided here. In the second case it may do them all the same.
                none => {
                    let unsure = asked.unsure || none.is_none();
                    left.push(Work::Act(Asked { way: Way::Here, unsure, look, ..asked }));
                }
            }
        }
        left.into_iter().rev().for_each(|work| conversation.queue.push_front(work));
    }
}
