//! What an exchange knows: who sits at it, what is underway, and what goes wrong next.
//!
//! Plain data behind the exchange's lock; the time is passed in or read once a call.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hubbub_protocol::NodeId;
use tokio::sync::mpsc;

use crate::bus::ear::Ear;
use crate::bus::{BusEvent, MAX_SAID_BYTES, Topic};

/// Late things underway, at the most; over it they are lost.
const MAX_LATE: usize = 65_536;

/// Counters kept, at the most; over it nothing is known.
const MAX_COUNTERS: usize = 65_536;

/// How often it is tried to say what a full node is owed.
const SETTLE_EVERY: Duration = Duration::from_millis(5);

/// How often what is said goes wrong, drawn anew for each node that would hear it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Lost without a word, in a thousand.
    pub lost: u16,
    /// Late, in a thousand.
    pub late: u16,
    /// How late at the most.
    pub late_by: Duration,
}

/// Everything about an exchange.
pub(super) struct State {
    draw: u64,
    pub(super) faults: Faults,
    is_down: bool,
    /// In the order of their ids, which is the order they joined in: the same seed, the same faults.
    seats: BTreeMap<NodeId, Seat>,
    /// By when it is due, then by when it was said.
    late: BTreeMap<(Instant, u64), Said>,
    /// When the last thing underway on each lane arrives: nothing overtakes it there.
    lanes: HashMap<Lane, Instant>,
    order: u64,
    counters: HashMap<(Vec<u8>, Duration), Counter>,
    /// Nobody is left who could need its courier.
    pub(super) ended: bool,
}

struct Seat {
    ear: Ear,
    watched: HashSet<Topic>,
    cut: bool,
}

/// Keeps order: who hears, who spoke, where.
type Lane = (NodeId, NodeId, Topic);

struct Said {
    lane: Lane,
    body: Bytes,
}

struct Counter {
    count: u64,
    ends: Instant,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            draw: seed,
            faults: Faults::default(),
            is_down: false,
            seats: BTreeMap::new(),
            late: BTreeMap::new(),
            lanes: HashMap::new(),
            order: 0,
            counters: HashMap::new(),
            ended: false,
        }
    }

    pub(super) fn join(&mut self, node: NodeId, events: mpsc::Sender<BusEvent>) {
        let watched = HashSet::from([Topic::Cluster, Topic::Node(node)]);
        self.seats.insert(node, Seat { ear: Ear::new(events), watched, cut: false });
        self.tell_how_it_is();
    }

    pub(super) fn leave(&mut self, node: NodeId) {
        self.seats.remove(&node);
    }

    pub(super) fn carries(&self, node: NodeId) -> bool {
        self.seats.get(&node).is_some_and(|seat| seat.ear.is_up())
    }

    pub(super) fn set_cut(&mut self, node: NodeId, cut: bool) {
        if let Some(seat) = self.seats.get_mut(&node) {
            seat.cut = cut;
        }
        self.tell_how_it_is();
    }

    /// Going down, it forgets what was underway, and its counters.
    pub(super) fn set_down(&mut self, down: bool) {
        self.is_down = down;
        if down {
            self.late.clear();
            self.lanes.clear();
            self.counters.clear();
        }
        self.tell_how_it_is();
    }

    fn tell_how_it_is(&mut self) {
        for seat in self.seats.values_mut() {
            if self.is_down || seat.cut {
                seat.ear.down();
            } else {
                seat.ear.up();
            }
        }
    }

    /// Notes that it is watched; whether it is so already, or only once the node's bus is up.
    pub(super) fn watch(&mut self, node: NodeId, topic: Topic) -> bool {
        let Some(seat) = self.seats.get_mut(&node) else { return false };
        seat.watched.insert(topic);
        if !seat.ear.is_up() {
            seat.ear.missed();
        }
        seat.ear.is_up()
    }

    pub(super) fn unwatch(&mut self, node: NodeId, topic: Topic) {
        if topic != Topic::Cluster
            && topic != Topic::Node(node)
            && let Some(seat) = self.seats.get_mut(&node)
        {
            seat.watched.remove(&topic);
        }
    }

    /// Whether the courier is needed for it.
    pub(super) fn say(&mut self, origin: NodeId, topic: Topic, body: &Bytes) -> bool {
        if !self.carries(origin) || body.len() > MAX_SAID_BYTES {
            return false;
        }
        let now = Instant::now();
        let hearers: Vec<NodeId> =
            self.seats.iter().filter(|(_, seat)| seat.watched.contains(&topic)).map(|(node, _)| *node).collect();
        let mut needs_courier = false;
        for hearer in hearers {
            let Some(delay) = self.fate() else { continue };
            let said = Said { lane: (hearer, origin, topic), body: body.clone() };
            needs_courier |= !self.send(now, delay, said);
        }
        needs_courier
    }

    /// How late it is heard; none: never.
    fn fate(&mut self) -> Option<Duration> {
        let Faults { lost, late, late_by } = self.faults;
        let drawn = self.draw_next() % 1000;
        if drawn < u64::from(lost) {
            return None;
        }
        if drawn >= u64::from(lost) + u64::from(late) {
            return Some(Duration::ZERO);
        }
        let most = u64::try_from(late_by.as_micros()).unwrap_or(u64::MAX).max(1);
        Some(Duration::from_micros(self.draw_next() % most + 1))
    }

    /// Whether that is all: nothing is left for later.
    fn send(&mut self, now: Instant, delay: Duration, said: Said) -> bool {
        let before = self.lanes.get(&said.lane).copied();
        if delay.is_zero() && before.is_none() {
            return self.hand_over(said);
        }
        if self.late.len() < MAX_LATE {
            let behind = before.map_or(now, |before| before + Duration::from_micros(1));
            let due = behind.max(now + delay);
            self.lanes.insert(said.lane, due);
            self.order += 1;
            self.late.insert((due, self.order), said);
        }
        false
    }

    /// Whether the hearer, if there is one, had room for it.
    fn hand_over(&mut self, said: Said) -> bool {
        let (hearer, origin, topic) = said.lane;
        match self.seats.get_mut(&hearer) {
            Some(seat) if seat.ear.is_up() && seat.watched.contains(&topic) => seat.ear.hear(topic, origin, said.body),
            _ => true,
        }
    }

    /// Hands over what is due, and says what is owed; answers how long there is nothing to do.
    pub(super) fn bring(&mut self, now: Instant) -> Option<Duration> {
        while let Some(next) = self.late.first_entry()
            && next.key().0 <= now
        {
            let ((due, _), said) = next.remove_entry();
            if self.lanes.get(&said.lane) == Some(&due) {
                self.lanes.remove(&said.lane);
            }
            self.hand_over(said);
        }
        let mut owes = false;
        for seat in self.seats.values_mut() {
            owes |= !seat.ear.settle();
        }
        let next_due = self.late.first_key_value().map(|((due, _), _)| due.saturating_duration_since(now));
        next_due.into_iter().chain(owes.then_some(SETTLE_EVERY)).min()
    }

    pub(super) fn count(&mut self, node: NodeId, key: &[u8], window: Duration) -> Option<u64> {
        if !self.carries(node) {
            return None;
        }
        let now = Instant::now();
        if self.counters.len() >= MAX_COUNTERS {
            self.counters.retain(|_, counter| counter.ends > now);
        }
        let place = (key.to_vec(), window);
        if self.counters.len() >= MAX_COUNTERS && !self.counters.contains_key(&place) {
            return None;
        }
        let counter = self.counters.entry(place).or_insert(Counter { count: 0, ends: now + window });
        if counter.ends <= now {
            *counter = Counter { count: 0, ends: now + window };
        }
        counter.count += 1;
        Some(counter.count)
    }

    /// The next number of the seed's sequence (`SplitMix64`).
    fn draw_next(&mut self) -> u64 {
        self.draw = self.draw.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.draw;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
