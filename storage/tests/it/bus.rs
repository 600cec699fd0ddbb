//! The bus: its contract on the exchange inside a process and on a real Redis, and what Redis does that no exchange does.

mod contract;
mod exchange;
#[cfg(feature = "redis")]
mod faults;
#[cfg(feature = "redis")]
mod foreign;
#[cfg(feature = "redis")]
mod many;

use std::time::Duration;

use bytes::Bytes;
use hubbub_protocol::{ConversationId, NodeId};
use hubbub_storage::bus::local::Exchange;
#[cfg(feature = "redis")]
use hubbub_storage::bus::redis::{self, RedisConfig};
#[cfg(feature = "redis")]
use hubbub_storage::bus::testing::RedisServer;
use hubbub_storage::bus::{BusEvent, OpenBus, Topic};
use tokio::time::{Instant, timeout};

/// Longer than anything takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough for what must not come to have come.
const QUIET: Duration = Duration::from_millis(300);

/// What joins the nodes of a test.
enum Mesh {
    Local(Exchange),
    #[cfg(feature = "redis")]
    Redis(RedisServer),
}

impl Mesh {
    async fn join(&self) -> Node {
        match self {
            Self::Local(exchange) => Node::of(exchange.join()),
            #[cfg(feature = "redis")]
            Self::Redis(server) => Node::of(redis::open(config(server)).await.unwrap()),
        }
    }

    /// A node that is up and knows it.
    async fn join_up(&self) -> Node {
        let mut node = self.join().await;
        assert_eq!(node.next().await, BusEvent::Up);
        node
    }

    fn down(&mut self) {
        match self {
            Self::Local(exchange) => exchange.down(),
            #[cfg(feature = "redis")]
            Self::Redis(server) => server.kill().unwrap(),
        }
    }

    fn up(&mut self) {
        match self {
            Self::Local(exchange) => exchange.up(),
            #[cfg(feature = "redis")]
            Self::Redis(server) => server.restart().unwrap(),
        }
    }
}

#[cfg(feature = "redis")]
fn config(server: &RedisServer) -> RedisConfig {
    RedisConfig::new(server.url(), [7; 32].into())
}

/// One node's end, with words for what tests ask of it.
struct Node {
    open: OpenBus,
}

impl Node {
    fn of(open: OpenBus) -> Self {
        Self { open }
    }

    fn id(&self) -> NodeId {
        self.open.bus.node()
    }

    fn say(&self, topic: Topic, word: impl Into<Bytes>) {
        self.open.bus.publish(topic, word.into());
    }

    async fn watch(&self, topic: Topic) {
        self.open.bus.watch(topic).await.unwrap();
    }

    async fn next(&mut self) -> BusEvent {
        timeout(PATIENCE, self.open.events.recv()).await.expect("an event in time").expect("the bus is open")
    }

    /// Passes over all else until this comes; answers how long that took.
    async fn until(&mut self, event: &BusEvent) -> Duration {
        let began = Instant::now();
        while self.next().await != *event {}
        began.elapsed()
    }

    /// The next word heard, passing over all else.
    async fn word(&mut self) -> (Topic, NodeId, Bytes) {
        loop {
            if let BusEvent::Heard { topic, origin, body } = self.next().await {
                return (topic, origin, body);
            }
        }
    }

    /// What comes within a short while.
    async fn all(&mut self) -> Vec<BusEvent> {
        let mut events = Vec::new();
        while let Ok(Some(event)) = timeout(QUIET, self.open.events.recv()).await {
            events.push(event);
        }
        events
    }
}

fn conversation() -> Topic {
    Topic::Conversation(ConversationId::generate())
}

fn heard(topic: Topic, origin: &Node, word: &'static [u8]) -> BusEvent {
    BusEvent::Heard { topic, origin: origin.id(), body: Bytes::from_static(word) }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}
