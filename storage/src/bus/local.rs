//! The bus inside one process: a lone node, or the many of a test.
//!
//! A server that is not told of a Redis runs with [`alone`]: there is nobody to talk to, and every call is answered at
//! once. The tests of whatever stands on the bus join many nodes by an `Exchange` (feature `conformance`), which loses,
//! delays and reorders as the contract allows, so that nothing comes to rest on it (REDIS-FREE TRUTH).

#[cfg(feature = "conformance")]
mod exchange;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use hubbub_protocol::NodeId;
use tokio::sync::mpsc;

#[cfg(feature = "conformance")]
pub use self::exchange::{Exchange, Faults, INBOX_EVENTS};
use super::{BusEvent, ClusterBus, OpenBus, Topic};
use crate::error::{Reason, StoreError, StoreResult};

/// The bus of the only node there is: up for ever, with nothing to hear.
#[must_use]
pub fn alone() -> OpenBus {
    // One event is the least that a channel can hold; none ever comes.
    let (silence, events) = mpsc::channel(1);
    OpenBus { bus: Arc::new(Alone { node: NodeId::generate(), _silence: silence }), events }
}

/// The bus of a node among others that has no relay to them: down for ever. Nodes that share a store and no bus learn of
/// each other's commits by looking (REDIS-FREE TRUTH), late and at a cost, and nothing is lost.
#[must_use]
pub fn deaf() -> OpenBus {
    let (silence, events) = mpsc::channel(1);
    OpenBus { bus: Arc::new(Deaf { node: NodeId::generate(), _silence: silence }), events }
}

struct Deaf {
    node: NodeId,
    /// As with [`Alone`].
    _silence: mpsc::Sender<BusEvent>,
}

impl ClusterBus for Deaf {
    fn node(&self) -> NodeId {
        self.node
    }

    fn publish(&self, _topic: Topic, _body: Bytes) {}

    fn watch(&self, _topic: Topic) -> BoxFuture<'static, StoreResult<()>> {
        let reason = Reason::new("there is no bus between nodes");
        future::ready(Err(StoreError::Unavailable(reason))).boxed()
    }

    fn unwatch(&self, _topic: Topic) {}

    fn is_up(&self) -> bool {
        false
    }

    fn is_alone(&self) -> bool {
        false
    }

    fn count(&self, _key: &[u8], _window: Duration) -> BoxFuture<'static, Option<u64>> {
        future::ready(None).boxed()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        future::ready(()).boxed()
    }
}

struct Alone {
    node: NodeId,
    /// Kept, so that a reader of the events waits rather than ends.
    _silence: mpsc::Sender<BusEvent>,
}

impl ClusterBus for Alone {
    fn node(&self) -> NodeId {
        self.node
    }

    fn publish(&self, _topic: Topic, _body: Bytes) {}

    fn watch(&self, _topic: Topic) -> BoxFuture<'static, StoreResult<()>> {
        future::ready(Ok(())).boxed()
    }

    fn unwatch(&self, _topic: Topic) {}

    fn is_up(&self) -> bool {
        true
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn count(&self, _key: &[u8], _window: Duration) -> BoxFuture<'static, Option<u64>> {
        future::ready(None).boxed()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        future::ready(()).boxed()
    }
}
