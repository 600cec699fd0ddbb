//! The end of the simulation: everything comes to rest, and all that was said and heard is compared with the log.

use std::collections::HashSet;

use futures_util::FutureExt;
use hubbub_domain::conversation::{Command, ConversationState, RemoveMember, evolve};
use hubbub_protocol::frame::client::PresenceStatus;
use hubbub_protocol::{ClientMessageId, ConversationId, ErrorCode, Record, RecordBody, Sequence, UserId};
use hubbub_storage::log::Range;

use super::reader::Reader;
use super::said::{Ended, Said};
use super::world::{Fault, MOMENT, SHARDS, World, id};

/// Seconds until all nodes know of each other again, nobody is suspected, and every home has looked around.
const REST_SECONDS: usize = 12;
/// Seconds until whoever died is missed.
const MISSED_SECONDS: usize = 6;
/// How often trouble comes at the end.
const TROUBLES: usize = 3;

impl World {
    /// Lets everything come to rest, compares all with the log, and counts the events that were heard.
    pub(super) fn settle_and_check(&mut self) -> u64 {
        (0..TROUBLES).for_each(|_| self.last_trouble());
        self.failures = false;
        self.rest();
        let seed = self.seed;
        assert!(self.asked.is_empty(), "HONEST: seed {seed}: an act was never answered");
        let states: Vec<_> = self.conversations.clone().into_iter().map(|id| (id, self.check(id))).collect();
        for node in 0..self.nodes.len() {
            for reader in self.nodes[node].readers.values() {
                self.check_presence(node, reader, &states);
            }
        }
        let heard = |node: &super::node::Node| node.readers.values().map(|reader| reader.heard).sum::<u64>();
        self.gone_heard + self.nodes.iter().map(heard).sum::<u64>()
    }

    fn rest(&mut self) {
        for node in 0..self.nodes.len() {
            self.nodes[node].paused = false;
            self.reconnect(node);
            self.watch_noted(node);
        }
        self.run_out();
        if self.faults.is_empty() {
            for conversation in self.conversations.clone() {
                self.check(conversation);
            }
        }
        if !self.in_cluster {
            self.make_homes_look();
            return;
        }
        let quiet = [Fault::Appends, Fault::Late, Fault::Losses, Fault::Downs, Fault::Pauses];
        if self.faults.iter().all(|fault| !quiet.contains(fault)) {
            self.check_ghosts();
        }
        for _ in 0..REST_SECONDS {
            self.time += 1_000;
            for node in 0..self.nodes.len() {
                self.beat(node);
                self.run_out();
                for shard in 0..SHARDS {
                    self.home(node, shard, |home, out| home.look_around(MOMENT, out));
                }
            }
            self.run_out();
        }
    }

    /// An unknown outcome leaves its records to be told by the next load.
    fn make_homes_look(&mut self) {
        for conversation in self.conversations.clone() {
            let author = self.people[0];
            let command = Command::RemoveMember(RemoveMember { user_id: UserId::from_bytes([9; 16]) });
            self.submit(conversation, author, Some(ClientMessageId::from_bytes(id(u64::MAX, 3))), command);
        }
        self.run_out();
    }

    /// When all that died are missed, and before anybody looks around, nobody is told to be here who is nowhere.
    fn check_ghosts(&mut self) {
        for _ in 0..MISSED_SECONDS {
            self.time += 1_000;
            (0..self.nodes.len()).for_each(|node| self.beat(node));
            self.run_out();
        }
        for reader in self.nodes.iter().flat_map(|node| node.readers.values()) {
            for (user, told) in reader.told.iter().filter(|(user, _)| !reader.parted.contains(user)) {
                let gone = self.presence_of(*user) == PresenceStatus::Offline;
                let (seed, key) = (self.seed, reader.key);
                assert!(
                    !gone || *told == PresenceStatus::Offline,
                    "presence: seed {seed}: {key:?} sees a ghost: {user}"
                );
            }
        }
    }

    fn run_out(&mut self) {
        loop {
            while self.go_on() {
                self.collect();
            }
            self.collect();
            let gave_up = (0..self.nodes.len()).any(|node| self.give_up(node));
            if !gave_up && !self.go_on() {
                return;
            }
        }
    }

    fn log(&self, conversation: ConversationId) -> Vec<Record> {
        let mut log = Vec::new();
        loop {
            let after = Range::After(log.last().map_or(Sequence::ZERO, |record: &Record| record.sequence));
            let page = self.services.store.log.read(conversation, after, 500).now_or_never();
            let page = page.expect("the memory store never waits").expect("a page");
            if page.is_empty() {
                return log;
            }
            log.extend(page);
        }
    }

    fn check(&self, conversation: ConversationId) -> ConversationState {
        let seed = self.seed;
        let log = self.log(conversation);
        let mut state = ConversationState::default();
        let mut acts = HashSet::new();
        let mut members: Vec<HashSet<UserId>> = vec![HashSet::new()];
        for (number, record) in (1..).zip(&log) {
            assert_eq!(record.sequence, Sequence::new(number), "GAPLESS: seed {seed}");
            let author = record.author.sender_id;
            let opens = matches!(record.body, RecordBody::Opened(_));
            assert!(opens || state.is_member(author), "MEMBERS-ONLY: seed {seed}: {author} wrote {number}");
            let first = record.client_message_id.is_none_or(|id| acts.insert((author, id)));
            assert!(first, "ONCE: seed {seed}: {author} has {:?} twice", record.client_message_id);
            evolve(&mut state, record.sequence, &record.author, &record.body);
            members.push(state.members().map(|(user, _)| user).collect());
        }
        for said in self.acts.iter().filter(|said| said.conversation == conversation && said.can_be_told()) {
            let places: Vec<_> = log.iter().filter(|record| said.is(record)).map(|record| record.sequence).collect();
            assert!(places.len() <= 1, "ONCE: seed {seed}: {places:?} are all {:?} {:?}", said.id, said.command);
        }
        for ended in self.ended.iter().filter(|ended| ended.said.conversation == conversation) {
            self.check_answer(ended, &log);
            self.check_refusal(ended, &members);
        }
        for node in 0..self.nodes.len() {
            self.check_readers(node, conversation, &state);
        }
        state
    }

    fn check_answer(&self, Ended { said, result, .. }: &Ended, log: &[Record]) {
        let seed = self.seed;
        let places: Vec<_> = log.iter().filter(|record| said.is(record)).map(|record| record.sequence).collect();
        match result {
            Ok(_) if !said.can_be_told() => {}
            // All was as it wanted it; a later repeat may have found it otherwise, and was stored then.
            Ok(stored)
                if stored.duplicate && !said.is_message() && places.iter().all(|place| *place > stored.first) => {}
            Ok(stored) => assert_eq!(places, vec![stored.first], "DURABLE, ONCE: seed {seed}"),
            Err(error) if error.code == ErrorCode::UnknownOutcome => {}
            Err(error) => {
                let same = |other: &&Said| said.id.is_some() && (other.id, other.author) == (said.id, said.author);
                let tries = self.acts.iter().filter(same).count();
                let context =
                    format!("HONEST: seed {seed}: {error} to what was said at {}, stored at {places:?}", said.head);
                assert!(places.is_empty() || tries > 1, "{context}");
                // Another try may be stored after this one was refused for good; one that was stored before it was
                // even said must not be refused for good.
                let stored_before = places.iter().any(|place| *place <= said.head);
                assert!(!stored_before || error.retryable, "{context}");
            }
        }
    }

    /// Whoever was a member all the while, from saying it to the answer, is not told otherwise.
    fn check_refusal(&self, Ended { said, result, head }: &Ended, members: &[HashSet<UserId>]) {
        let place = |sequence: &Sequence| usize::try_from(sequence.get()).expect("a short log");
        if let Err(error) = result
            && said.is_message()
            && error.code == ErrorCode::NotFound
        {
            let was_out =
                members[place(&said.head)..=place(head)].iter().any(|members| !members.contains(&said.author));
            let (seed, author) = (self.seed, said.author);
            assert!(was_out, "HONEST: seed {seed}: {author} was a member from {} to {head}: {error}", said.head);
        }
    }

    fn check_readers(&self, node: usize, conversation: ConversationId, state: &ConversationState) {
        let seed = self.seed;
        for reader in self.nodes[node].readers.values() {
            let held = reader.held.get(&conversation);
            let (user, key) = (reader.user, reader.key);
            let who = format!("seed {seed}: {user} at {key:?} of node {node} in {conversation}");
            if state.is_member(user) {
                let cursor = held.and_then(|held| held.cursor);
                assert_eq!(cursor, Some(state.head()), "RESUMABLE: {who} is not at the head");
                assert!(!held.is_some_and(|held| held.waits), "RESUMABLE: {who} heard no live");
            } else {
                let follows = self.nodes[node].edges[usize::from(key.shard)].rooms_of(key).contains(&conversation);
                assert!(!follows, "MEMBERS-ONLY: {who} still follows");
            }
        }
    }

    /// Whoever shares a conversation with the reader is as it was told last.
    fn check_presence(&self, node: usize, reader: &Reader, states: &[(ConversationId, ConversationState)]) {
        for user in self.people.iter().filter(|user| **user != reader.user) {
            let shared = |state: &ConversationState| state.is_member(reader.user) && state.is_member(*user);
            if reader.parted.contains(user) || !states.iter().any(|(_, state)| shared(state)) {
                continue;
            }
            let told = reader.told.get(user).copied().unwrap_or(PresenceStatus::Offline);
            let (seed, key, me) = (self.seed, reader.key, reader.user);
            let truth = self.presence_of(*user);
            assert_eq!(told, truth, "presence: seed {seed}: {me} at {key:?} of node {node} was told of {user}");
        }
    }

    fn presence_of(&self, user: UserId) -> PresenceStatus {
        let all: Vec<_> = self.nodes.iter().filter_map(|node| node.directory.status(user)).collect();
        if all.contains(&PresenceStatus::Online) {
            PresenceStatus::Online
        } else if all.is_empty() {
            PresenceStatus::Offline
        } else {
            PresenceStatus::Away
        }
    }
}
