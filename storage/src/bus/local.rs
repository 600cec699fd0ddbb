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
use crate::error::StoreResult;

/// The bus of the only node there is: up for ever, with nothing to hear.
#[must_use]
pub fn alone() -> OpenBus {
    // One event is the least that a channel can hold; none ever comes.
    let (silence, events) = mpsc::channel(1);
    OpenBus { bus: Arc::new(Alone { node: NodeId::generate(), _silence: silence }), events }
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
