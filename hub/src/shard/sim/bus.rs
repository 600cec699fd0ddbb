//! The bus of the simulation and what a node makes of it: the model of [`crate::cluster::task`] over a bus that loses,
//! delays and stops.
//!
//! What one node says on one topic arrives in order or not at all; whoever missed something is told so before anything
//! newer, as [`hubbub_storage::bus`] promises.

use std::collections::{BTreeSet, VecDeque};

use hubbub_domain::cluster::{HELLO_EVERY_MS, Word};
use hubbub_domain::conversation::Act;
use hubbub_protocol::{ConversationId, NodeId, UserId};
use hubbub_storage::bus::{BusEvent, Topic};
use tokio::sync::oneshot;

use super::node::{Taken, Underway};
use super::world::{Fault, SHARDS, World};
use crate::message::{Control, HomeInput, OpenCount, ReplyTo, Way};
use crate::shard::home::Done;
use crate::shared::home_of;

/// What one process says to another.
pub(super) struct Link {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    said: VecDeque<(Topic, Word)>,
}

impl Link {
    pub(super) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }
}

/// A node's line to the bus.
pub(super) struct Line {
    /// Whether the bus carries to and from it; the node learns that by the events.
    pub(super) connected: bool,
    pub(super) events: VecDeque<BusEvent>,
    /// Whether the node knows that it carries, and what it could not say.
    pub(super) up: bool,
    pub(super) unheard: bool,
    pub(super) watched: BTreeSet<ConversationId>,
    /// Watches that the relay did not answer, and takes up later.
    pub(super) noted: BTreeSet<ConversationId>,
}

impl Line {
    pub(super) fn new(in_cluster: bool) -> Self {
        Self {
            connected: true,
            events: in_cluster.then_some(BusEvent::Up).into_iter().collect(),
            up: false,
            unheard: false,
            watched: BTreeSet::new(),
            noted: BTreeSet::new(),
        }
    }

    pub(super) fn watch(&mut self, conversation: ConversationId, answers: bool) {
        let topics = if answers { &mut self.watched } else { &mut self.noted };
        topics.insert(conversation);
    }

    pub(super) fn unwatch(&mut self, conversation: ConversationId) {
        self.watched.remove(&conversation);
        self.noted.remove(&conversation);
    }
}

impl World {
    pub(super) fn place_of(&self, node: NodeId) -> Option<usize> {
        self.nodes.iter().position(|known| known.id == node)
    }

    /// Says something to all that listen.
    pub(super) fn say(&mut self, from: NodeId, topic: Topic, word: &Word) {
        if self.place_of(from).is_some_and(|place| !self.nodes[place].line.connected) {
            return;
        }
        for place in 0..self.nodes.len() {
            let node = &self.nodes[place];
            let listens = match topic {
                Topic::Cluster => true,
                Topic::Node(id) => node.id == id,
                Topic::Conversation(id) => node.line.watched.contains(&id),
            };
            if node.id == from || !listens || !node.line.connected {
                continue;
            }
            if self.has(Fault::Losses) && self.draw(12) == 0 {
                // A hello that is lost is not missed: the next says the same.
                if !matches!(word, Word::Hello { .. }) {
                    self.nodes[place].line.events.push_back(BusEvent::Missed);
                }
                continue;
            }
            let to = self.nodes[place].id;
            let said = (topic, word.clone());
            match self.links.iter_mut().find(|link| (link.from, link.to) == (from, to)) {
                Some(link) => link.said.push_back(said),
                None => self.links.push(Link { from, to, said: VecDeque::from([said]) }),
            }
        }
    }

    /// Something that was said arrives: in order on each topic, in any order on different ones.
    pub(super) fn arrive(&mut self, link: usize) {
        let drawn = self.draw(self.links[link].said.len().min(4));
        let Link { from, to, said } = &mut self.links[link];
        let topic = said[drawn].0;
        let first = said.iter().position(|(known, _)| *known == topic).expect("it is there");
        let (_, word) = said.remove(first).expect("it is there");
        let (from, to) = (*from, *to);
        if let Some(place) = self.place_of(to) {
            self.hear(place, from, topic, word);
        }
    }

    /// The bus stops carrying to and from a node.
    pub(super) fn disconnect(&mut self, place: usize) {
        if std::mem::replace(&mut self.nodes[place].line.connected, false) {
            let id = self.nodes[place].id;
            self.links.retain(|link| link.to != id);
            self.nodes[place].line.events.push_back(BusEvent::Down);
        }
    }

    pub(super) fn reconnect(&mut self, place: usize) {
        if !std::mem::replace(&mut self.nodes[place].line.connected, true) {
            self.nodes[place].line.events.extend([BusEvent::Up, BusEvent::Missed]);
        }
    }

    /// The relay takes up the watches that it did not answer.
    pub(super) fn watch_noted(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if !node.line.noted.is_empty() {
            node.line.watched.append(&mut node.line.noted);
            node.line.events.push_back(BusEvent::Missed);
        }
    }

    pub(super) fn beat(&mut self, place: usize) {
        let now = self.time;
        let node = &mut self.nodes[place];
        let id = node.id;
        node.next_beat = now + HELLO_EVERY_MS;
        let gone = node.nodes.tick(now);
        self.say(id, Topic::Cluster, &Word::Hello { homes: true, clock: 0 });
        for gone in gone {
            self.lost(place, gone);
        }
        if self.nodes[place].asks_store.take_if(|due| *due <= now).is_some() {
            self.ask_the_store(place);
        }
        self.tell_view(place);
    }

    /// A node takes what its bus tells it.
    pub(super) fn take(&mut self, place: usize, event: &BusEvent) {
        let now = self.time;
        match event {
            BusEvent::Up | BusEvent::Down => {
                let up = *event == BusEvent::Up;
                self.nodes[place].line.up = up;
                self.nodes[place].nodes.set_up(up, now);
                self.tell_view(place);
                let unheard = std::mem::replace(&mut self.nodes[place].line.unheard, !up);
                if up && unheard {
                    let id = self.nodes[place].id;
                    self.say(id, Topic::Cluster, &Word::Unheard);
                }
            }
            BusEvent::Missed => self.ask_the_store(place),
            BusEvent::Heard { .. } => {}
        }
    }

    fn hear(&mut self, place: usize, from: NodeId, topic: Topic, word: Word) {
        match (topic, word) {
            (Topic::Conversation(conversation), word) => self.tell_home(place, conversation, from, word),
            (Topic::Cluster, Word::Hello { homes, .. }) => {
                let now = self.time;
                if self.nodes[place].nodes.hello(from, homes, now, now) {
                    self.tell_shards(place, || Control::CompareHeads);
                }
                self.tell_view(place);
            }
            (Topic::Cluster, Word::Bye) => {
                if self.nodes[place].nodes.bye(from) {
                    self.lost(place, from);
                }
            }
            (Topic::Cluster, Word::Unheard) => self.ask_the_store(place),
            (Topic::Cluster, Word::Joined { conversation_id, first, user_ids }) => {
                let directory = &self.nodes[place].directory;
                let is_here = |user: &UserId| !directory.shards_of(*user).is_empty();
                if user_ids.iter().any(is_here) {
                    self.tell_home(place, conversation_id, from, Word::Joined { conversation_id, first, user_ids });
                }
            }
            (Topic::Node(_), Word::Forward { number, conversation_id, acts, .. }) => {
                self.take_forward(place, from, number, conversation_id, acts);
            }
            (Topic::Node(_), Word::Answers { number, results }) => {
                if let Some((conversation, _)) = self.nodes[place].pending.remove(&number) {
                    let done = Done::Forwarded { conversation, results: Some(results) };
                    self.nodes[place].works[home_of(conversation, SHARDS)].push(Underway::Done(done));
                }
            }
            other => panic!("seed {}: nobody understands {other:?}", self.seed),
        }
    }

    fn tell_home(&mut self, place: usize, conversation: ConversationId, from: NodeId, word: Word) {
        let input = HomeInput::Heard { conversation, from, word: Box::new(word) };
        self.nodes[place].to_homes[home_of(conversation, SHARDS)].push_back(input);
    }

    fn take_forward(&mut self, place: usize, from: NodeId, number: u64, conversation: ConversationId, acts: Vec<Act>) {
        let mut open = Vec::new();
        for act in acts {
            assert!(act.client_message_id.is_some(), "ONCE: seed {}: a forwarded act has no id", self.seed);
            let (answer, answered) = oneshot::channel();
            let reply = ReplyTo::Caller { answer, open: OpenCount::new(&self.open) };
            let input = HomeInput::Act { conversation, act: Box::new(act), reply, way: Way::Here };
            self.nodes[place].to_homes[home_of(conversation, SHARDS)].push_back(input);
            open.push(answered);
        }
        self.nodes[place].taken.push(Taken::new(from, number, open));
    }

    /// Forwards of others whose acts have all ended are answered.
    pub(super) fn answer_taken(&mut self) {
        for place in 0..self.nodes.len() {
            let (id, mut ended) = (self.nodes[place].id, Vec::new());
            self.nodes[place].taken.retain_mut(|taken| match taken.results() {
                Some(results) => {
                    ended.push((taken.from, Word::Answers { number: taken.number, results }));
                    false
                }
                None => true,
            });
            for (to, answers) in ended {
                self.say(id, Topic::Node(to), &answers);
            }
        }
    }

    /// A node gives up waiting for the answer to a forward.
    pub(super) fn give_up(&mut self, place: usize) -> bool {
        let now = self.time;
        let node = &mut self.nodes[place];
        let Some((_, (conversation, home))) = node.pending.pop_first() else { return false };
        node.nodes.suspect(home, now);
        let done = Done::Forwarded { conversation, results: None };
        node.works[home_of(conversation, SHARDS)].push(Underway::Done(done));
        true
    }

    fn lost(&mut self, place: usize, node: NodeId) {
        self.tell_view(place);
        self.tell_shards(place, || Control::NodeLost(node));
        self.ask_the_store(place);
    }

    fn ask_the_store(&mut self, place: usize) {
        self.tell_shards(place, || Control::CompareHeads);
        self.tell_shards(place, || Control::Recheck);
    }

    fn tell_view(&mut self, place: usize) {
        let now = self.time;
        let node = &mut self.nodes[place];
        let known = (node.nodes.view(now), node.line.up);
        if node.told.as_ref() != Some(&known) {
            node.told = Some(known.clone());
            self.tell_shards(place, || Control::Cluster { view: known.0.clone(), up: known.1 });
        }
    }

    fn tell_shards(&mut self, place: usize, order: impl Fn() -> Control) {
        for control in &mut self.nodes[place].controls {
            control.push_back(order());
        }
    }
}
