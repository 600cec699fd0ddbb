//! What a shard's task does around the cores, without waiting: works, replays, rechecks, and who hears what.

use futures_util::FutureExt;
use hubbub_domain::cluster::Word;
use hubbub_protocol::Sequence;
use hubbub_protocol::frame::server::{Event, ServerFrame};
use hubbub_storage::bus::Topic;
use hubbub_storage::error::{Reason, StoreError};

use super::node::Underway;
use super::world::{Fault, MOMENT, SHARDS, World};
use crate::frame::SharedFrame;
use crate::message::{Class, Delivery, EdgeInput, HomeInput, OpenCount, ReplyTo, Run, Subscribe};
use crate::shard::edge::{EdgeCore, EdgeSink, Replay};
use crate::shard::home::{AppendFailure, Done, HomeCore, HomeOutput, HomeWork};
use crate::shared::home_of;

/// Collects what an edge says.
#[derive(Default)]
pub(super) struct Heard {
    frames: Vec<(u32, ServerFrame)>,
    homes: Vec<HomeInput>,
    replays: Vec<Replay>,
    has_room: bool,
}

impl EdgeSink for Heard {
    fn event(&mut self, slot: u32, delivery: &Delivery) {
        self.frames.push((slot, delivery.frame.frame()));
    }

    fn events(&mut self, slot: u32, run: &Run) {
        run.deliveries().for_each(|delivery| self.event(slot, delivery));
    }

    fn shared(&mut self, slot: u32, frame: &SharedFrame, _: Class) {
        self.frames.push((slot, frame.frame().clone()));
    }

    fn frame(&mut self, slot: u32, frame: ServerFrame) {
        self.frames.push((slot, frame));
    }

    fn reply(&mut self, _: u32, _: Option<ServerFrame>, _: OpenCount) {}

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

impl World {
    pub(super) fn home(&mut self, node: usize, shard: usize, input: impl FnOnce(&mut HomeCore, &mut Vec<HomeOutput>)) {
        let mut out = Vec::new();
        input(&mut self.nodes[node].homes[shard], &mut out);
        let id = self.nodes[node].id;
        for output in out {
            match output {
                HomeOutput::Work(work) => self.nodes[node].works[shard].push(Underway::Todo(work)),
                HomeOutput::ToEdge { shard: edge, input } => {
                    self.nodes[node].to_edges[shard][usize::from(edge)].push_back(input);
                }
                HomeOutput::Reply { to: ReplyTo::Caller { answer, .. }, result } => drop(answer.send(result)),
                HomeOutput::Reply { .. } => {}
                HomeOutput::Say { topic, word } => self.say(id, topic, &word),
                HomeOutput::Unwatch(conversation) => {
                    self.nodes[node].line.unwatch(conversation);
                }
            }
        }
    }

    pub(super) fn edge(&mut self, node: usize, shard: usize, input: impl FnOnce(&mut EdgeCore, &mut Heard)) {
        let mut heard = Heard { has_room: self.draw(3) > 0, ..Heard::default() };
        input(&mut self.nodes[node].edges[shard], &mut heard);
        for (slot, frame) in heard.frames {
            let place = (u8::try_from(shard).expect("few shards"), slot);
            if let Some(reader) = self.nodes[node].readers.get_mut(&place) {
                reader.hears(self.seed, &frame);
            }
        }
        for input in heard.homes {
            self.ask_home(node, input);
        }
        self.nodes[node].replays.extend(heard.replays);
    }

    pub(super) fn ask_home(&mut self, node: usize, input: HomeInput) {
        self.nodes[node].to_homes[home_of(input.conversation(), SHARDS)].push_back(input);
    }

    /// An edge takes what a home says.
    pub(super) fn tell_edge(&mut self, node: usize, shard: usize, input: EdgeInput) {
        let delivery = matches!(input, EdgeInput::Deliver { .. });
        let seed = self.seed;
        self.edge(node, shard, |edge, sink| {
            edge.input(input, sink);
            let healed = sink.homes.iter().any(|input| matches!(input, HomeInput::Subscribe(_)));
            assert!(!(delivery && healed), "IN-ORDER: seed {seed}: a home told of a record before the one below it");
        });
    }

    /// Does a work, or hands in the end of one.
    pub(super) fn work(&mut self, node: usize, shard: usize, place: usize) {
        match self.nodes[node].works[shard].swap_remove(place) {
            Underway::Done(done) => self.home(node, shard, |home, out| home.done(done, MOMENT, out)),
            Underway::Todo(work) => {
                if let Some(done) = self.carry_out(node, work) {
                    if self.draw(2) == 0 {
                        self.nodes[node].works[shard].push(Underway::Done(done));
                    } else {
                        self.home(node, shard, |home, out| home.done(done, MOMENT, out));
                    }
                }
            }
        }
    }

    fn carry_out(&mut self, place: usize, work: HomeWork) -> Option<Done> {
        match work {
            HomeWork::Append { .. } => Some(self.append(work)),
            HomeWork::Watch { conversation } => {
                let answers = self.draw(8) > 0 || !self.has(Fault::Downs);
                self.nodes[place].line.watch(conversation, answers);
                Some(Done::Watched { conversation })
            }
            HomeWork::Forward { conversation, home, acts } => {
                let node = &mut self.nodes[place];
                let (id, number) = (node.id, node.next_number);
                node.next_number += 1;
                node.pending.insert(number, (conversation, home));
                self.say(
                    id,
                    Topic::Node(home),
                    &Word::Forward { number, clock: 0, conversation_id: conversation, acts },
                );
                None
            }
            other => Some(self.start(other)),
        }
    }

    pub(super) fn start(&self, work: HomeWork) -> Done {
        self.services.start(work).now_or_never().expect("the memory store never waits")
    }

    /// An append may fail before or after it took effect, and take effect after its failure was told.
    fn append(&mut self, work: HomeWork) -> Done {
        let fate = if self.has(Fault::Appends) { self.draw(14) } else { 13 };
        let HomeWork::Append { append, roster_changes } = work else { panic!("no append: {work:?}") };
        let conversation = append.conversation_id;
        let failed = |error| Done::Appended { conversation, result: Err(AppendFailure::Store(error)) };
        let reason = || Reason::new("on purpose");
        match fate {
            0 => failed(StoreError::Unavailable(reason())),
            1 => failed(StoreError::Unknown(reason())),
            2 => {
                drop(self.start(HomeWork::Append { append, roster_changes }));
                failed(StoreError::Unknown(reason()))
            }
            // Those that somebody joins by have the longest way to everybody who is to hear of them.
            3..=5 if self.has(Fault::Late) && (fate == 3 || roster_changes) => {
                self.late.push(HomeWork::Append { append, roster_changes });
                failed(StoreError::Unknown(reason()))
            }
            _ => self.start(HomeWork::Append { append, roster_changes }),
        }
    }

    /// Gives a reader some of the log, as the shard's task does.
    pub(super) fn replay(&mut self, node: usize, place: usize) {
        let mut replay = self.nodes[node].replays.swap_remove(place);
        let shard = usize::from(replay.key.shard);
        if !self.nodes[node].edges[shard].wants(&replay) {
            return;
        }
        let page = self.services.read_above(replay.conversation, replay.after, replay.head, 3);
        let page = page.now_or_never().expect("the memory store never waits").expect("GAPLESS: a page");
        for record in &page {
            let frame = Event::of(record).into();
            if let Some(reader) = self.nodes[node].readers.get_mut(&(replay.key.shard, replay.key.slot)) {
                reader.hears(self.seed, &frame);
            }
        }
        replay.after = page.last().expect("at least one").sequence;
        if replay.after < replay.head {
            self.nodes[node].replays.push(replay);
        } else {
            self.edge(node, shard, |edge, sink| edge.replayed(&replay, sink));
        }
    }

    /// What did this socket's person join that it does not follow?
    pub(super) fn recheck(&mut self, node: usize, place: usize) {
        let key = self.nodes[node].rechecks.swap_remove(place);
        let shard = usize::from(key.shard);
        let here = self.nodes[node].readers.get(&(key.shard, key.slot)).filter(|reader| reader.key == key);
        let Some(user) = here.map(|reader| reader.user) else { return };
        let joined = self.services.conversations.candidates_since(user, MOMENT).now_or_never();
        for conversation in joined.expect("the memory store never waits").expect("candidates") {
            if self.nodes[node].edges[shard].rooms_of(key).contains(&conversation) {
                continue;
            }
            let after = Some(Sequence::ZERO);
            if let Some(reader) = self.nodes[node].readers.get_mut(&(key.shard, key.slot)) {
                reader.asks(conversation, after);
            }
            let subscribe = Subscribe { conversation, user, key, wish: 0, after, command: None };
            self.edge(node, shard, |edge, sink| edge.ask(subscribe, sink));
        }
    }
}
