//! The world of the simulation: shards, queues between them, a store, readers, and the draw of what goes on next.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::FutureExt;
use hubbub_domain::conversation::{
    Act, AddMembers, Command, ConversationState, Open, React, Recall, RemoveMember, Send as SendMessage, evolve,
};
use hubbub_domain::conversations::{Conversations, Stored};
use hubbub_protocol::member::{ConversationKind, SenderType};
use hubbub_protocol::record::{Author, ReactionChange};
use hubbub_protocol::{
    ClientMessageId, ConversationId, ErrorBody, ErrorCode, Payload, Record, RecordBody, Sequence, Timestamp, UserId,
};
use hubbub_storage::clock::ManualClock;
use hubbub_storage::error::{Reason, StoreError};
use hubbub_storage::log::Range;
use hubbub_storage::store::Store;
use tokio::sync::oneshot;

use super::reader::Reader;
use crate::directory::Directory;
use crate::frame::SharedFrame;
use crate::message::{Class, Delivery, EdgeInput, HomeInput, OpenCount, ReplyTo, Subscribe};
use crate::shard::edge::{EdgeCore, EdgeSink, Replay};
use crate::shard::home::{AppendFailure, Done, HomeCore, HomeOutput, HomeWork};
use crate::shard::work::Services;
use crate::shared::home_of;

const SHARDS: usize = 2;
const PEOPLE: usize = 5;
const CONVERSATIONS: usize = 3;
const MOMENT: Timestamp = Timestamp::from_ms(1_800_000_000_000);

/// One act that was asked, and how it was answered.
struct Asked {
    conversation: ConversationId,
    id: ClientMessageId,
    author: UserId,
    answer: oneshot::Receiver<Result<Stored, ErrorBody>>,
}

/// How an act ended, as its author knows.
struct Ended {
    conversation: ConversationId,
    id: ClientMessageId,
    author: UserId,
    result: Result<Stored, ErrorBody>,
}

pub(super) struct World {
    seed: u64,
    random: u64,
    services: Services,
    directory: Arc<Directory>,
    homes: Vec<HomeCore>,
    edges: Vec<EdgeCore>,
    to_homes: Vec<VecDeque<HomeInput>>,
    /// By home and edge.
    to_edges: Vec<Vec<VecDeque<EdgeInput>>>,
    works: Vec<Vec<HomeWork>>,
    replays: Vec<Replay>,
    people: Vec<UserId>,
    conversations: Vec<ConversationId>,
    readers: HashMap<(u8, u32), Reader>,
    asked: Vec<Asked>,
    ended: Vec<Ended>,
    open: Arc<AtomicU64>,
    failures: bool,
    gone_heard: u64,
    trace: DefaultHasher,
}

/// Collects what an edge says.
#[derive(Default)]
struct Heard {
    frames: Vec<(u32, hubbub_protocol::frame::server::ServerFrame)>,
    homes: Vec<HomeInput>,
    replays: Vec<Replay>,
    has_room: bool,
}

impl EdgeSink for Heard {
    fn event(&mut self, slot: u32, delivery: &Delivery) {
        self.frames.push((slot, delivery.frame.frame().clone()));
    }

    fn shared(&mut self, _: u32, _: &SharedFrame, _: Class) {}

    fn frame(&mut self, slot: u32, frame: hubbub_protocol::frame::server::ServerFrame) {
        self.frames.push((slot, frame));
    }

    fn reply(&mut self, _: u32, _: Option<hubbub_protocol::frame::server::ServerFrame>, _: OpenCount) {}

    fn has_room(&self, _: u32) -> bool {
        self.has_room
    }

    fn replay(&mut self, replay: Replay) {
        self.replays.push(replay);
    }

    fn home(&mut self, input: HomeInput) {
        self.homes.push(input);
    }

    fn answered(&mut self, _: u32) {}
}

fn id(number: u64, kind: u8) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    bytes
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let store: Store = hubbub_storage::memory::open();
        let clock = Arc::new(ManualClock::at(MOMENT));
        let conversations = Conversations::new(store.clone(), clock);
        let directory = Arc::new(Directory::default());
        Self {
            seed,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            services: Services { store, conversations },
            homes: (0..SHARDS).map(|_| HomeCore::new(Arc::clone(&directory), 1)).collect(),
            edges: (0..2).map(EdgeCore::new).collect(),
            directory,
            to_homes: (0..SHARDS).map(|_| VecDeque::new()).collect(),
            to_edges: (0..SHARDS).map(|_| (0..SHARDS).map(|_| VecDeque::new()).collect()).collect(),
            works: (0..SHARDS).map(|_| Vec::new()).collect(),
            replays: Vec::new(),
            people: (0..PEOPLE as u64).map(|number| UserId::from_bytes(id(number + 1, 1))).collect(),
            conversations: (0..CONVERSATIONS as u64)
                .map(|number| ConversationId::from_bytes(id(number + 1, 2)))
                .collect(),
            readers: HashMap::new(),
            asked: Vec::new(),
            ended: Vec::new(),
            open: Arc::default(),
            failures: true,
            gone_heard: 0,
            trace: DefaultHasher::new(),
        }
    }

    /// A number below `below` (xorshift; Marsaglia 2003).
    fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 20).unwrap_or(0) % below
    }

    fn somebody(&mut self) -> UserId {
        let place = self.draw(PEOPLE);
        self.people[place]
    }

    fn some_conversation(&mut self) -> ConversationId {
        let place = self.draw(CONVERSATIONS);
        self.conversations[place]
    }

    /// One thing happens.
    pub(super) fn step(&mut self) {
        match self.draw(20) {
            0 => self.somebody_comes(),
            1 => self.somebody_goes(),
            2 => self.somebody_resumes(),
            3..=6 => self.somebody_acts(),
            7 => {
                let home = self.draw(SHARDS);
                self.homes[home].sweep();
            }
            _ => drop(self.go_on()),
        }
        self.collect();
    }

    /// Something that waits goes on; false if nothing waits.
    fn go_on(&mut self) -> bool {
        let mut ready = Vec::new();
        for shard in 0..SHARDS {
            ready.extend((!self.to_homes[shard].is_empty()).then_some((0, shard, 0)));
            ready.extend((0..self.works[shard].len()).map(|work| (1, shard, work)));
            for edge in 0..SHARDS {
                ready.extend((!self.to_edges[shard][edge].is_empty()).then_some((2, shard, edge)));
            }
        }
        ready.extend((0..self.replays.len()).map(|replay| (3, replay, 0)));
        if ready.is_empty() {
            return false;
        }
        let (kind, first, second) = ready[self.draw(ready.len())];
        (kind, first, second).hash(&mut self.trace);
        match kind {
            0 => {
                let input = self.to_homes[first].pop_front().expect("it waits");
                self.home(first, |home, out| home.input(input, MOMENT, out));
            }
            1 => {
                let work = self.works[first].swap_remove(second);
                let done = self.work(work);
                self.home(first, |home, out| home.done(done, MOMENT, out));
            }
            2 => {
                let input = self.to_edges[first][second].pop_front().expect("it waits");
                self.edge(second, |edge, sink| edge.input(input, sink));
            }
            _ => self.replay(first),
        }
        true
    }

    fn home(&mut self, shard: usize, input: impl FnOnce(&mut HomeCore, &mut Vec<HomeOutput>)) {
        let mut out = Vec::new();
        input(&mut self.homes[shard], &mut out);
        for output in out {
            match output {
                HomeOutput::Work(work) => self.works[shard].push(work),
                HomeOutput::ToEdge { shard: edge, input } => self.to_edges[shard][usize::from(edge)].push_back(input),
                HomeOutput::Reply { to: ReplyTo::Caller { answer, .. }, result } => drop(answer.send(result)),
                HomeOutput::Reply { .. } => {}
            }
        }
    }

    fn edge(&mut self, shard: usize, input: impl FnOnce(&mut EdgeCore, &mut Heard)) {
        let mut heard = Heard { has_room: self.draw(3) > 0, ..Heard::default() };
        input(&mut self.edges[shard], &mut heard);
        for (slot, frame) in heard.frames {
            let place = (u8::try_from(shard).expect("few shards"), slot);
            if let Some(reader) = self.readers.get_mut(&place) {
                reader.hears(self.seed, &frame);
            }
        }
        for input in heard.homes {
            self.to_homes[home_of(input.conversation(), SHARDS)].push_back(input);
        }
        self.replays.extend(heard.replays);
    }

    /// Does a work; an append may fail before or after it took effect.
    fn work(&mut self, work: HomeWork) -> Done {
        let fate = if self.failures { self.draw(12) } else { 11 };
        let conversation = match &work {
            HomeWork::Append { append, .. } => Some(append.conversation_id),
            _ => None,
        };
        let failed = |error| Done::Appended {
            conversation: conversation.expect("an append"),
            result: Err(AppendFailure::Store(error)),
        };
        let reason = || Reason::new("on purpose");
        match (fate, conversation) {
            (0, Some(_)) => return failed(StoreError::Unavailable(reason())),
            (1, Some(_)) => return failed(StoreError::Unknown(reason())),
            _ => {}
        }
        let done = self.services.start(work).now_or_never().expect("the memory store never waits");
        if fate == 2 && conversation.is_some() { failed(StoreError::Unknown(reason())) } else { done }
    }

    /// Gives a reader some of the log, as the shard's task does.
    fn replay(&mut self, place: usize) {
        let mut replay = self.replays.swap_remove(place);
        let shard = usize::from(replay.key.shard);
        if !self.edges[shard].wants(&replay) {
            return;
        }
        let page = self.services.read_above(replay.conversation, replay.after, replay.head, 3);
        let page = page.now_or_never().expect("the memory store never waits").expect("GAPLESS: a page");
        for record in &page {
            let frame = hubbub_protocol::frame::server::Event::of(record).into();
            if let Some(reader) = self.readers.get_mut(&(replay.key.shard, replay.key.slot)) {
                reader.hears(self.seed, &frame);
            }
        }
        replay.after = page.last().expect("at least one").sequence;
        if replay.after < replay.head {
            self.replays.push(replay);
        } else {
            self.edge(shard, |edge, sink| edge.replayed(&replay, sink));
        }
    }

    fn somebody_comes(&mut self) {
        let (user, shard) = (self.somebody(), self.draw(SHARDS));
        self.directory.arrive(user, u8::try_from(shard).expect("few shards"), usize::MAX);
        let key = self.edges[shard].connect(user);
        // Between being known and being ready, anything may happen.
        for _ in 0..self.draw(6) {
            self.go_on();
        }
        let candidates = self.services.conversations.candidates(user).now_or_never();
        let candidates = candidates.expect("the memory store never waits").expect("candidates");
        for _ in 0..self.draw(6) {
            self.go_on();
        }
        let mut reader = Reader::new(user, key);
        let early = self.edges[shard].ready(key);
        let mut wanted: HashMap<_, _> = candidates.into_iter().map(|conversation| (conversation, None)).collect();
        for (conversation, held) in early {
            wanted.entry(conversation).or_insert(Some(held)).get_or_insert(held);
        }
        for conversation in self.conversations.clone() {
            if let Some(after) = wanted.get(&conversation).copied() {
                let after = if self.draw(2) == 0 { after.or(Some(Sequence::new(self.draw(9) as u64))) } else { after };
                reader.asks(conversation, after);
                let subscribe = Subscribe { conversation, user, key, wish: 0, after, command: None, announce: false };
                self.edge(shard, |edge, sink| edge.ask(subscribe, sink));
            }
        }
        self.readers.insert((key.shard, key.slot), reader);
    }

    fn some_reader(&mut self) -> Option<(u8, u32)> {
        let mut places: Vec<_> = self.readers.keys().copied().collect();
        places.sort_unstable();
        if places.is_empty() { None } else { Some(places[self.draw(places.len())]) }
    }

    fn somebody_goes(&mut self) {
        let Some(place) = self.some_reader() else { return };
        let reader = self.readers.remove(&place).expect("it is there");
        self.gone_heard += reader.heard;
        self.directory.leave(reader.user, place.0);
        self.edge(usize::from(place.0), |edge, sink| drop(edge.disconnect(reader.key, sink)));
    }

    fn somebody_resumes(&mut self) {
        let Some(place) = self.some_reader() else { return };
        let conversation = self.some_conversation();
        let back = self.draw(5) as u64;
        let shard = usize::from(place.0);
        let reader = self.readers.get_mut(&place).expect("it is there");
        let (key, user) = (reader.key, reader.user);
        let held = reader.held.get(&conversation).and_then(|held| held.cursor).unwrap_or_default();
        let after = Some(Sequence::new(held.get().saturating_sub(back)));
        reader.asks(conversation, after);
        let subscribe = Subscribe { conversation, user, key, wish: 0, after, command: None, announce: false };
        self.edge(shard, |edge, sink| edge.ask(subscribe, sink));
    }

    fn somebody_acts(&mut self) {
        let conversation = self.some_conversation();
        let author = self.somebody();
        let other = self.somebody();
        let command = match self.draw(12) {
            0 => Command::Open(Open { kind: ConversationKind::Group, name: String::new(), others: vec![other] }),
            1 => Command::AddMembers(AddMembers { user_ids: vec![other] }),
            2 => Command::RemoveMember(RemoveMember { user_id: other }),
            3 => Command::Recall(Recall { target: Sequence::new(1 + self.draw(12) as u64) }),
            4 => Command::React(React {
                target: Sequence::new(1 + self.draw(12) as u64),
                emoji: "+1".to_owned(),
                change: ReactionChange::Added,
            }),
            _ => Command::Send(SendMessage {
                content_type: "text".to_owned(),
                payload: Payload::from(vec![1, 2, 3]),
                reply_to: None,
                epoch: None,
            }),
        };
        let number = self.draw(usize::MAX) as u64;
        let client_message_id = ClientMessageId::from_bytes(id(number, 3));
        self.submit(conversation, author, client_message_id, &command);
    }

    fn submit(&mut self, conversation: ConversationId, author: UserId, id: ClientMessageId, command: &Command) {
        let sender = Author { sender_id: author, sender_type: SenderType::Human, device_id: None };
        // Some ask twice at once, as an impatient client does.
        for _ in 0..=usize::from(self.draw(8) == 0) {
            let (answer, answered) = oneshot::channel();
            let act = Act { author: sender, client_message_id: Some(id), command: command.clone() };
            let reply = ReplyTo::Caller { answer, open: OpenCount::new(&self.open) };
            let input = HomeInput::Act { conversation, act: Box::new(act), reply };
            self.to_homes[home_of(conversation, SHARDS)].push_back(input);
            self.asked.push(Asked { conversation, id, author, answer: answered });
        }
    }

    fn collect(&mut self) {
        let (ended, seed) = (&mut self.ended, self.seed);
        self.asked.retain_mut(|asked| match asked.answer.try_recv() {
            Ok(result) => {
                let (conversation, id, author) = (asked.conversation, asked.id, asked.author);
                ended.push(Ended { conversation, id, author, result });
                false
            }
            Err(oneshot::error::TryRecvError::Empty) => true,
            Err(oneshot::error::TryRecvError::Closed) => panic!("HONEST: seed {seed}: an act was never answered"),
        });
    }

    pub(super) fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// Lets everything come to rest, compares all with the log, and counts the events that were heard.
    pub(super) fn settle_and_check(&mut self) -> u64 {
        self.failures = false;
        // An unknown outcome leaves its records to be told by the next load: make every home look.
        for conversation in self.conversations.clone() {
            let author = self.people[0];
            let command = Command::RemoveMember(RemoveMember { user_id: UserId::from_bytes([9; 16]) });
            self.submit(conversation, author, ClientMessageId::from_bytes(id(u64::MAX, 3)), &command);
        }
        while self.go_on() {
            self.collect();
        }
        self.collect();
        let seed = self.seed;
        assert!(self.asked.is_empty(), "HONEST: seed {seed}: an act was never answered");
        for conversation in self.conversations.clone() {
            self.check(conversation);
        }
        self.gone_heard + self.readers.values().map(|reader| reader.heard).sum::<u64>()
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

    fn check(&self, conversation: ConversationId) {
        let seed = self.seed;
        let log = self.log(conversation);
        let mut state = ConversationState::default();
        for (number, record) in (1..).zip(&log) {
            assert_eq!(record.sequence, Sequence::new(number), "GAPLESS: seed {seed}");
            let author = record.author.sender_id;
            let opens = matches!(record.body, RecordBody::Opened(_));
            assert!(opens || state.is_member(author), "MEMBERS-ONLY: seed {seed}: {author} wrote {number}");
            evolve(&mut state, record.sequence, &record.author, &record.body);
        }
        for ended in self.ended.iter().filter(|ended| ended.conversation == conversation) {
            let named = |record: &&Record| {
                record.client_message_id == Some(ended.id) && record.author.sender_id == ended.author
            };
            let places: Vec<_> = log.iter().filter(named).map(|record| record.sequence).collect();
            assert!(places.len() <= 1, "ONCE: seed {seed}: {places:?}");
            match &ended.result {
                Ok(stored) if stored.duplicate && places.is_empty() => {}
                Ok(stored) => assert_eq!(places, vec![stored.first], "DURABLE, ONCE: seed {seed}"),
                Err(error) if error.code == ErrorCode::UnknownOutcome => {}
                // A twin of the same act may have got in; then this answer is about a try that was not stored.
                Err(error) => {
                    let twins = self.ended.iter().filter(|other| other.id == ended.id).count();
                    assert!(places.is_empty() || twins > 1, "HONEST: seed {seed}: {error} but stored at {places:?}");
                }
            }
        }
        self.check_readers(conversation, &state);
    }

    fn check_readers(&self, conversation: ConversationId, state: &ConversationState) {
        let seed = self.seed;
        for reader in self.readers.values() {
            let held = reader.held.get(&conversation);
            let (user, key) = (reader.user, reader.key);
            if state.is_member(user) {
                let cursor = held.and_then(|held| held.cursor);
                assert_eq!(cursor, Some(state.head()), "RESUMABLE: seed {seed}: {user} at {key:?} is not at the head");
                assert!(
                    !held.is_some_and(|held| held.waits),
                    "RESUMABLE: seed {seed}: {user} at {key:?} heard no live"
                );
            } else {
                let follows = self.edges[usize::from(key.shard)].rooms_of(key).contains(&conversation);
                assert!(!follows, "MEMBERS-ONLY: seed {seed}: {user} at {key:?} still follows");
            }
        }
    }
}
