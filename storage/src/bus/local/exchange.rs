//! An exchange between the nodes of one test, as bad as the contract of the bus allows.
//!
//! By a seed it loses some of what is said, and delays some, so that things said by two nodes, or on two topics, change
//! places. What one node says on one topic is never heard in the other order, nor twice. Nodes can be cut off, and the
//! whole can go down: that is told (`Down`, then `Up` and `Missed`); what was merely lost is not, as no relay knows of it.
//!
//! A thread of its own brings what is late, so that nodes may run on any runtimes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use hubbub_protocol::NodeId;
use tokio::sync::mpsc;

use crate::bus::ear::Ear;
use crate::bus::{ClusterBus, MAX_SAID_BYTES, OpenBus, Topic};
use crate::error::{Reason, StoreError, StoreResult};

/// Events that a node has not taken yet, at the most; over it they are dropped, and it is told `Missed`.
pub const INBOX_EVENTS: usize = 8192;

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

/// Joins the nodes of one test. Clones are the same exchange.
#[derive(Clone)]
pub struct Exchange {
    life: Arc<Life>,
}

impl Exchange {
    /// An exchange without faults, and with nobody in it. The seed decides what goes wrong once faults are set.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            draw: seed,
            faults: Faults::default(),
            is_down: false,
            seats: BTreeMap::new(),
            late: BTreeMap::new(),
            lanes: HashMap::new(),
            order: 0,
            counters: HashMap::new(),
            ended: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let courier = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.bring_what_is_late()
        });
        Self { life: Arc::new(Life { shared, courier: Some(courier) }) }
    }

    /// A new node. It leaves when the last clone of its bus is dropped, as if its process had died.
    #[must_use]
    pub fn join(&self) -> OpenBus {
        let node = NodeId::generate();
        let (sender, events) = mpsc::channel(INBOX_EVENTS);
        let mut state = self.life.shared.lock();
        let mut seat =
            Seat { ear: Ear::new(sender), watched: HashSet::from([Topic::Cluster, Topic::Node(node)]), cut: false };
        if !state.is_down {
            seat.ear.up();
        }
        state.seats.insert(node, seat);
        drop(state);
        OpenBus { bus: Arc::new(End { node, life: Arc::clone(&self.life) }), events }
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.life.shared.lock().faults = faults;
    }

    /// Cuts a node off: it hears nothing, is not heard, and is told `Down`.
    pub fn partition(&self, node: NodeId) {
        self.set_cut(node, true);
    }

    /// Lets a node that was cut off back in.
    pub fn heal(&self, node: NodeId) {
        self.set_cut(node, false);
    }

    /// Carries nothing from now on, for anybody; what was underway is lost, counters are forgotten.
    pub fn down(&self) {
        let mut state = self.life.shared.lock();
        state.is_down = true;
        state.late.clear();
        state.lanes.clear();
        state.counters.clear();
        state.tell_how_it_is();
    }

    /// Carries again.
    pub fn up(&self) {
        let mut state = self.life.shared.lock();
        state.is_down = false;
        state.tell_how_it_is();
    }

    fn set_cut(&self, node: NodeId, cut: bool) {
        let mut state = self.life.shared.lock();
        if let Some(seat) = state.seats.get_mut(&node) {
            seat.cut = cut;
        }
        state.tell_how_it_is();
    }
}

/// The exchange's thread ends with the last who could need it.
struct Life {
    shared: Arc<Shared>,
    courier: Option<thread::JoinHandle<()>>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
        if let Some(Err(panic)) = self.courier.take().map(thread::JoinHandle::join) {
            tracing::error!(?panic, "the exchange's courier ended early");
        }
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    draw: u64,
    faults: Faults,
    is_down: bool,
    /// In the order of their ids, which is the order they joined in: the same seed, the same faults.
    seats: BTreeMap<NodeId, Seat>,
    /// By when it is due, then by when it was said.
    late: BTreeMap<(Instant, u64), Said>,
    /// When the last thing underway on each lane arrives: nothing overtakes it there.
    lanes: HashMap<Lane, Instant>,
    order: u64,
    counters: HashMap<(Vec<u8>, Duration), Counter>,
    ended: bool,
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bring_what_is_late(&self) {
        let mut state = self.lock();
        while !state.ended {
            let wait = state.bring(Instant::now());
            state = match wait {
                Some(wait) => self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl State {
    fn carries(&self, node: NodeId) -> bool {
        self.seats.get(&node).is_some_and(|seat| seat.ear.is_up())
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

    /// Whether the courier is needed for it.
    fn say(&mut self, origin: NodeId, topic: Topic, body: &Bytes) -> bool {
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
    fn bring(&mut self, now: Instant) -> Option<Duration> {
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

    fn count(&mut self, key: &[u8], window: Duration) -> Option<u64> {
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

/// A node's end.
struct End {
    node: NodeId,
    life: Arc<Life>,
}

impl End {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.life.shared.lock()
    }

    fn leave(&self) {
        self.lock().seats.remove(&self.node);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.leave();
    }
}

impl ClusterBus for End {
    fn node(&self) -> NodeId {
        self.node
    }

    fn publish(&self, topic: Topic, body: Bytes) {
        let needs_courier = self.lock().say(self.node, topic, &body);
        if needs_courier {
            self.life.shared.changed.notify_all();
        }
    }

    fn watch(&self, topic: Topic) -> BoxFuture<'static, StoreResult<()>> {
        let mut state = self.lock();
        let carries = state.carries(self.node);
        if let Some(seat) = state.seats.get_mut(&self.node) {
            seat.watched.insert(topic);
            if !carries {
                seat.ear.missed();
            }
        }
        drop(state);
        let answer = if carries { Ok(()) } else { Err(StoreError::Unavailable(Reason::new("the bus is down"))) };
        future::ready(answer).boxed()
    }

    fn unwatch(&self, topic: Topic) {
        if topic != Topic::Cluster
            && topic != Topic::Node(self.node)
            && let Some(seat) = self.lock().seats.get_mut(&self.node)
        {
            seat.watched.remove(&topic);
        }
    }

    fn is_up(&self) -> bool {
        self.lock().carries(self.node)
    }

    fn is_alone(&self) -> bool {
        false
    }

    fn count(&self, key: &[u8], window: Duration) -> BoxFuture<'static, Option<u64>> {
        let mut state = self.lock();
        let counted = if state.carries(self.node) { state.count(key, window) } else { None };
        future::ready(counted).boxed()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.leave();
        future::ready(()).boxed()
    }
}
