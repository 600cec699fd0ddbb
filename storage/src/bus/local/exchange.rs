//! An exchange between the nodes of one test, as bad as the contract of the bus allows.
//!
//! By a seed it loses some of what is said, and delays some, so that things said by two nodes, or on two topics, change
//! places. What one node says on one topic is never heard in the other order, nor twice. Nodes can be cut off, and the
//! whole can go down: that is told (`Down`, then `Up` and `Missed`); what was merely lost is not, as no relay knows of it.
//!
//! A thread of its own brings what is late, so that nodes may run on any runtimes.

mod state;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use hubbub_protocol::NodeId;
use tokio::sync::mpsc;

pub use self::state::Faults;
use self::state::State;
use crate::bus::{ClusterBus, OpenBus, Topic};
use crate::error::{Reason, StoreError, StoreResult};

/// Events that a node has not taken yet, at the most; over it they are dropped, and it is told `Missed`.
pub const INBOX_EVENTS: usize = 8192;

/// Joins the nodes of one test. Clones are the same exchange.
#[derive(Clone)]
pub struct Exchange {
    life: Arc<Life>,
}

impl Exchange {
    /// An exchange without faults, and with nobody in it. The seed decides what goes wrong once faults are set.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let shared = Arc::new(Shared { state: Mutex::new(State::new(seed)), changed: Condvar::new() });
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
        self.life.shared.lock().join(node, sender);
        OpenBus { bus: Arc::new(End { node, life: Arc::clone(&self.life) }), events }
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.life.shared.lock().faults = faults;
    }

    /// Cuts a node off: it hears nothing, is not heard, and is told `Down`.
    pub fn partition(&self, node: NodeId) {
        self.life.shared.lock().set_cut(node, true);
    }

    /// Lets a node that was cut off back in.
    pub fn heal(&self, node: NodeId) {
        self.life.shared.lock().set_cut(node, false);
    }

    /// Carries nothing from now on, for anybody; what was underway is lost, counters are forgotten.
    pub fn down(&self) {
        self.life.shared.lock().set_down(true);
    }

    /// Carries again.
    pub fn up(&self) {
        self.life.shared.lock().set_down(false);
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
        self.lock().leave(self.node);
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
        let is_watched = self.lock().watch(self.node, topic);
        let answer = is_watched.then_some(()).ok_or_else(|| StoreError::Unavailable(Reason::new("the bus is down")));
        future::ready(answer).boxed()
    }

    fn unwatch(&self, topic: Topic) {
        self.lock().unwatch(self.node, topic);
    }

    fn is_up(&self) -> bool {
        self.lock().carries(self.node)
    }

    fn is_alone(&self) -> bool {
        false
    }

    fn count(&self, key: &[u8], window: Duration) -> BoxFuture<'static, Option<u64>> {
        future::ready(self.lock().count(self.node, key, window)).boxed()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.leave();
        future::ready(()).boxed()
    }
}
