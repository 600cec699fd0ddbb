//! The world of the simulation: shards, queues between them, a store, readers, and the draw of what goes on next.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::FutureExt;
use hubbub_domain::conversations::Conversations;
use hubbub_protocol::{ConversationId, Timestamp, UserId};
use hubbub_storage::bus::local;
use hubbub_storage::clock::ManualClock;
use hubbub_storage::error::{Reason, StoreError};
use hubbub_storage::store::Store;

use super::reader::Reader;
use super::said::{Asked, Ended, Said};
use crate::cluster::Cluster;
use crate::directory::Directory;
use crate::frame::SharedFrame;
use crate::message::{Class, Delivery, EdgeInput, HomeInput, OpenCount, ReplyTo};
use crate::shard::edge::{EdgeCore, EdgeSink, Replay};
use crate::shard::home::{AppendFailure, Done, HomeCore, HomeOutput, HomeWork};
use crate::shard::work::Services;
use crate::shared::home_of;

pub(super) const SHARDS: usize = 2;
const PEOPLE: usize = 5;
const CONVERSATIONS: usize = 3;
const MOMENT: Timestamp = Timestamp::from_ms(1_800_000_000_000);

/// The world.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) random: u64,
    pub(super) services: Services,
    pub(super) directory: Arc<Directory>,
    pub(super) homes: Vec<HomeCore>,
    pub(super) edges: Vec<EdgeCore>,
    pub(super) to_homes: Vec<VecDeque<HomeInput>>,
    /// By home and edge.
    pub(super) to_edges: Vec<Vec<VecDeque<EdgeInput>>>,
    pub(super) works: Vec<Vec<HomeWork>>,
    pub(super) replays: Vec<Replay>,
    pub(super) people: Vec<UserId>,
    pub(super) conversations: Vec<ConversationId>,
    pub(super) readers: HashMap<(u8, u32), Reader>,
    /// Every act that was ever asked, to be repeated.
    pub(super) acts: Vec<Said>,
    pub(super) asked: Vec<Asked>,
    pub(super) ended: Vec<Ended>,
    pub(super) open: Arc<AtomicU64>,
    pub(super) failures: bool,
    pub(super) gone_heard: u64,
    pub(super) trace: DefaultHasher,
}

/// Collects what an edge says.
#[derive(Default)]
pub(super) struct Heard {
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

pub(super) fn id(number: u64, kind: u8) -> [u8; 16] {
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
            services: Services { store, conversations, cluster: Arc::new(Cluster::new(local::alone().bus)) },
            homes: (0..SHARDS).map(|_| HomeCore::new(Arc::clone(&directory), 1, None)).collect(),
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
            acts: Vec::new(),
            asked: Vec::new(),
            ended: Vec::new(),
            open: Arc::default(),
            failures: true,
            gone_heard: 0,
            trace: DefaultHasher::new(),
        }
    }

    /// A number below `below` (xorshift; Marsaglia 2003).
    pub(super) fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 20).unwrap_or(0) % below
    }

    pub(super) fn somebody(&mut self) -> UserId {
        let place = self.draw(PEOPLE);
        self.people[place]
    }

    pub(super) fn some_conversation(&mut self) -> ConversationId {
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
            8 => self.somebody_repeats(),
            7 => {
                let home = self.draw(SHARDS);
                self.homes[home].sweep(&mut Vec::new());
            }
            _ => drop(self.go_on()),
        }
        self.collect();
    }

    /// Something that waits goes on; false if nothing waits.
    pub(super) fn go_on(&mut self) -> bool {
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
                HomeOutput::Reply { .. } | HomeOutput::Say { .. } | HomeOutput::Unwatch(_) => {}
            }
        }
    }

    pub(super) fn edge(&mut self, shard: usize, input: impl FnOnce(&mut EdgeCore, &mut Heard)) {
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

    pub(super) fn trace(&self) -> u64 {
        self.trace.finish()
    }
}
