//! The world of the simulation: nodes, queues between them, a store, readers, and the draw of what goes on next.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hubbub_domain::cluster::Word;
use hubbub_domain::conversation::{AddMembers, Command};
use hubbub_domain::conversations::Conversations;
use hubbub_protocol::{ConversationId, NodeId, Timestamp, UserId};
use hubbub_storage::bus::{Topic, local};
use hubbub_storage::clock::ManualClock;
use hubbub_storage::store::Store;

use super::bus::Link;
use super::node::{Node, Underway};
use super::said::{Asked, Ended, Said};
use crate::cluster::Cluster;
use crate::message::Control;
use crate::shard::home::{Done, HomeCore, HomeWork};
use crate::shard::work::Services;

pub(super) const SHARDS: usize = 2;
const PEOPLE: usize = 5;
const CONVERSATIONS: usize = 3;
pub(super) const MOMENT: Timestamp = Timestamp::from_ms(1_800_000_000_000);
/// Things that wait; with more, nothing new begins: a world that only grows never sees an end of anything.
const CROWDED: usize = 60;
/// Draws until the last act is under way, and then until the end.
const PATIENCE: usize = 200;

/// What can go wrong. Each world has some of it, so that no fault hides another's consequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Appends fail, before or after they took effect.
    Appends,
    /// Those that failed take effect much later.
    Late,
    /// The bus loses words.
    Losses,
    /// The bus stops carrying, to one node or to all.
    Downs,
    /// Nodes die.
    Crashes,
    /// Nodes stand still.
    Pauses,
    /// Nodes do not wait for the answer to a forward.
    Impatience,
}

/// The world.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) random: u64,
    pub(super) faults: Vec<Fault>,
    /// Whether anything goes wrong now.
    pub(super) failures: bool,
    pub(super) in_cluster: bool,
    pub(super) services: Services,
    pub(super) nodes: Vec<Node>,
    pub(super) born: u64,
    /// Sockets that there are at most: where there are few, a node has nobody who follows what others join.
    max_sockets: usize,
    pub(super) links: Vec<Link>,
    /// Milliseconds.
    pub(super) time: u64,
    /// Appends whose askers were told that nobody knows, and which take effect later.
    pub(super) late: Vec<HomeWork>,
    /// What a process without a hub has stored and is about to tell.
    pub(super) untold: Vec<(Topic, Word)>,
    pub(super) people: Vec<UserId>,
    pub(super) conversations: Vec<ConversationId>,
    /// Every act that was ever asked, to be repeated.
    pub(super) acts: Vec<Said>,
    pub(super) asked: Vec<Asked>,
    pub(super) ended: Vec<Ended>,
    pub(super) open: Arc<AtomicU64>,
    pub(super) gone_heard: u64,
    pub(super) trace: DefaultHasher,
}

/// Something that waits.
#[derive(Debug, Clone, Copy, Hash)]
enum Waits {
    Home(usize, usize),
    Control(usize, usize),
    Work(usize, usize, usize),
    Edge(usize, usize, usize),
    Replay(usize, usize),
    Recheck(usize, usize),
    Event(usize),
    Link(usize),
    Late(usize),
    Untold,
}

pub(super) fn id(number: u64, kind: u8) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    bytes
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let store: Store = hubbub_storage::memory::open();
        let conversations = Conversations::new(store.clone(), Arc::new(ManualClock::at(MOMENT)));
        let ids = |count: usize, kind| (1..=count as u64).map(move |number| id(number, kind));
        let mut world = Self {
            seed,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            faults: Vec::new(),
            failures: true,
            in_cluster: true,
            services: Services { store, conversations, cluster: Arc::new(Cluster::new(local::alone().bus)) },
            nodes: Vec::new(),
            born: 0,
            max_sockets: 0,
            links: Vec::new(),
            time: 0,
            late: Vec::new(),
            untold: Vec::new(),
            people: ids(PEOPLE, 1).map(UserId::from_bytes).collect(),
            conversations: ids(CONVERSATIONS, 2).map(ConversationId::from_bytes).collect(),
            acts: Vec::new(),
            asked: Vec::new(),
            ended: Vec::new(),
            open: Arc::default(),
            gone_heard: 0,
            trace: DefaultHasher::new(),
        };
        world.faults = world.draw_faults();
        world.max_sockets = [3, 6, 30][world.draw(3)];
        // One world in six has no other nodes, ever.
        let nodes = match world.draw(6) {
            0 => 0,
            1 => 1,
            2 | 3 => 2,
            _ => 3,
        };
        world.in_cluster = nodes > 0;
        for _ in 0..nodes.max(1) {
            let node = world.a_node();
            world.nodes.push(node);
        }
        world.some_conversations_begin();
        world
    }

    fn draw_faults(&mut self) -> Vec<Fault> {
        let all = [
            Fault::Appends,
            Fault::Late,
            Fault::Losses,
            Fault::Downs,
            Fault::Crashes,
            Fault::Pauses,
            Fault::Impatience,
        ];
        // Every fifth world is calm: there, everybody hears everything without looking around.
        let calm = self.draw(5) == 0;
        all.into_iter().filter(|_| self.draw(2) == 0 && !calm).collect()
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        // A store that only one process uses is done with what it did not answer before it answers anything else.
        self.failures && self.faults.contains(&fault) && (self.in_cluster || fault != Fault::Late)
    }

    pub(super) fn a_node(&mut self) -> Node {
        self.born += 1;
        Node::new(self.born, self.in_cluster, self.time)
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

    pub(super) fn some_node(&mut self) -> usize {
        self.draw(self.nodes.len())
    }

    /// One thing happens.
    pub(super) fn step(&mut self) {
        self.time += self.draw(30) as u64;
        for place in 0..self.nodes.len() {
            if self.in_cluster && !self.nodes[place].paused && self.nodes[place].next_beat <= self.time {
                self.beat(place);
            }
        }
        let crowded = self.waiting().len() > CROWDED;
        match if crowded { usize::MAX } else { self.draw(80) } {
            0..=2 if self.sockets() < self.max_sockets => self.somebody_comes(),
            24 | 25 => self.somebody_goes(),
            3 | 4 => self.somebody_resumes(),
            5..=12 => self.somebody_acts(),
            13 | 14 => self.somebody_repeats(),
            15 => self.somebody_looks_away(),
            16 | 26 => self.somebody_asks_rest(),
            17 | 18 => {
                let (node, shard) = (self.some_node(), self.draw(SHARDS));
                self.home(node, shard, HomeCore::sweep);
            }
            19 => {
                let (node, shard) = (self.some_node(), self.draw(SHARDS));
                self.home(node, shard, |home, out| home.look_around(MOMENT, out));
            }
            20..=23 => self.something_breaks(),
            _ => drop(self.go_on()),
        }
        self.collect();
    }

    fn sockets(&self) -> usize {
        self.nodes.iter().map(|node| node.readers.len()).sum()
    }

    fn something_breaks(&mut self) {
        let place = self.some_node_in_trouble();
        match self.draw(24) {
            0 | 1 if self.has(Fault::Downs) => self.disconnect(place),
            2 if self.has(Fault::Downs) => (0..self.nodes.len()).for_each(|place| self.disconnect(place)),
            3..=6 => self.reconnect(place),
            7..=9 if self.has(Fault::Crashes) => self.crash(place),
            10 | 11 if self.has(Fault::Pauses) => self.nodes[place].paused = true,
            12..=14 => self.nodes[place].paused = false,
            15..=18 if self.has(Fault::Impatience) => drop(self.give_up(place)),
            19..=23 => self.watch_noted(place),
            _ => {}
        }
    }

    /// Trouble comes when it is least wanted: half of it to a node by which somebody is just joining.
    fn some_node_in_trouble(&mut self) -> usize {
        let joining = self.where_somebody_joins();
        joining.filter(|_| self.draw(2) == 0).unwrap_or_else(|| self.some_node())
    }

    fn where_somebody_joins(&self) -> Option<usize> {
        let joins = |work: &Underway| match work {
            Underway::Todo(HomeWork::Append { roster_changes, .. }) => *roster_changes,
            Underway::Todo(_) => false,
            Underway::Done(done) => matches!(done, Done::Appended { .. }),
        };
        self.nodes.iter().position(|node| node.works.iter().flatten().any(joins))
    }

    /// The last that happens: somebody joins by a node which dies or is cut off over it, and nothing more is said that
    /// could make others look.
    pub(super) fn last_trouble(&mut self) {
        let conversation = self.some_conversation();
        let strangers: Vec<UserId> = self
            .nodes
            .iter()
            .flat_map(|node| node.readers.values())
            .filter(|reader| !reader.held.contains_key(&conversation))
            .map(|reader| reader.user)
            .collect();
        if strangers.is_empty() {
            return;
        }
        let stranger = strangers[self.draw(strangers.len())];
        let command = Command::AddMembers(AddMembers { user_ids: vec![stranger] });
        self.submit(conversation, self.people[0], None, command);
        for _ in 0..PATIENCE {
            if let Some(place) = self.where_somebody_joins() {
                match self.draw(2) {
                    0 if self.has(Fault::Crashes) => self.crash(place),
                    1 if self.has(Fault::Downs) => self.disconnect(place),
                    _ => {}
                }
                break;
            }
            self.go_on();
            self.collect();
        }
        for _ in 0..self.draw(PATIENCE) {
            self.go_on();
            self.collect();
        }
    }

    /// What waits and could go on now.
    fn waiting(&self) -> Vec<Waits> {
        let mut all = Vec::new();
        for (place, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.paused) {
            for shard in 0..SHARDS {
                all.extend((!node.controls[shard].is_empty()).then_some(Waits::Control(place, shard)));
                all.extend((!node.to_homes[shard].is_empty()).then_some(Waits::Home(place, shard)));
                all.extend((0..node.works[shard].len()).map(|work| Waits::Work(place, shard, work)));
                for edge in 0..SHARDS {
                    let waits = !node.to_edges[shard][edge].is_empty();
                    all.extend(waits.then_some(Waits::Edge(place, shard, edge)));
                }
            }
            all.extend((0..node.replays.len()).map(|replay| Waits::Replay(place, replay)));
            all.extend((0..node.rechecks.len()).map(|recheck| Waits::Recheck(place, recheck)));
            all.extend((!node.line.events.is_empty()).then_some(Waits::Event(place)));
        }
        // Nothing newer is heard before it is known that something was missed.
        let hears = |id: NodeId| {
            let node = self.nodes.iter().find(|node| node.id == id);
            node.is_none_or(|node| !node.paused && node.line.events.is_empty())
        };
        let links = self.links.iter().enumerate().filter(|(_, link)| !link.is_empty() && hears(link.to));
        all.extend(links.map(|(link, _)| Waits::Link(link)));
        all.extend((0..self.late.len()).map(Waits::Late));
        all.extend((!self.untold.is_empty()).then_some(Waits::Untold));
        all
    }

    /// Something that waits goes on; false if nothing waits.
    pub(super) fn go_on(&mut self) -> bool {
        let waiting = self.waiting();
        if waiting.is_empty() {
            return false;
        }
        let next = waiting[self.draw(waiting.len())];
        next.hash(&mut self.trace);
        match next {
            Waits::Home(node, shard) => {
                // A turn takes one or more, and goes on with all of them together.
                let count = 1 + self.draw(4);
                let waiting = &mut self.nodes[node].to_homes[shard];
                let inputs: Vec<_> = waiting.drain(..count.min(waiting.len())).collect();
                self.home(node, shard, |home, out| {
                    for input in inputs {
                        home.take(input, out);
                    }
                    home.go_on(MOMENT, out);
                });
            }
            Waits::Control(node, shard) => self.control(node, shard),
            Waits::Work(node, shard, work) => self.work(node, shard, work),
            Waits::Edge(node, home, shard) => {
                let input = self.nodes[node].to_edges[home][shard].pop_front().expect("it waits");
                self.tell_edge(node, shard, input);
            }
            Waits::Replay(node, replay) => self.replay(node, replay),
            Waits::Recheck(node, recheck) => self.recheck(node, recheck),
            Waits::Event(node) => {
                let event = self.nodes[node].line.events.pop_front().expect("it waits");
                self.take(node, &event);
            }
            Waits::Link(link) => self.arrive(link),
            Waits::Late(late) => {
                let work = self.late.swap_remove(late);
                drop(self.start(work));
            }
            Waits::Untold => {
                let (topic, word) = self.untold.remove(0);
                self.say(NodeId::from_bytes(id(0, 5)), topic, &word);
            }
        }
        true
    }

    fn control(&mut self, node: usize, shard: usize) {
        let order = self.nodes[node].controls[shard].pop_front().expect("it waits");
        match order {
            Control::Cluster { view, up } => self.nodes[node].homes[shard].cluster_changed(view, up),
            Control::CompareHeads => self.nodes[node].homes[shard].compare_heads(),
            Control::NodeLost(lost) => self.home(node, shard, |home, out| home.node_lost(lost, out)),
            Control::Recheck => {
                let node = &mut self.nodes[node];
                let here = node.readers.iter().filter(|((edge, _), _)| usize::from(*edge) == shard);
                node.rechecks.extend(here.map(|(_, reader)| reader.key));
            }
            Control::EndSession(_) | Control::HandOver(_) | Control::Drain | Control::CloseAll => {}
        }
    }

    pub(super) fn trace(&self) -> u64 {
        self.trace.finish()
    }
}
