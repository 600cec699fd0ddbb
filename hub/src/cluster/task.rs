//! Hears what other nodes say, and says that this one is here. One task a hub; ends with the hub.
//!
//! What concerns a conversation goes to its home shard, in the order in which it was heard. A home that has no room for it
//! holds nobody up: it compares heads when it has (BOUNDED).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hubbub_domain::cluster::{HELLO_EVERY_MS, View, Word};
use hubbub_domain::conversation::Act;
use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, NodeId, Timestamp, UserId};
use hubbub_storage::bus::{BusEvent, Topic};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;

use crate::message::{Control, HomeInput, OpenCount, ReplyTo, Way};
use crate::metrics;
use crate::shared::{Shared, home_of};

/// Forwards of other nodes that are worked on. Full: they are not taken, and their senders decide by themselves.
const MAX_TAKEN: usize = 4_096;
/// The hello from which on this node takes conversations home: by then each of the others has said one.
const HOMES_FROM: u64 = 3;
/// How often others are told at the most that they may have missed something, in hellos, unless it is known.
const UNHEARD_EVERY: u64 = 5;
/// How often the sockets' sessions are looked up, in hellos. While the bus is down: who would be told of their end?
const RECHECK_EVERY_DEAF: u64 = 1;
/// And while it carries: for what a process did that was gone, or cut off, before it could say so.
const RECHECK_EVERY: u64 = 120;

/// What the task holds.
pub(crate) struct ClusterTask {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    taken: Arc<Semaphore>,
    told: Option<(View, bool)>,
    /// What this node did, it may not have been able to say.
    unheard: bool,
    /// Homes that had no room for what was heard.
    overrun: Vec<bool>,
    /// One of them was to hear who joined.
    recheck: bool,
    beats: u64,
    said_unheard: u64,
    last_beat: u64,
}

impl ClusterTask {
    pub(crate) fn new(shared: Arc<Shared>, tasks: TaskTracker) -> Self {
        let (taken, overrun) = (Arc::new(Semaphore::new(MAX_TAKEN)), vec![false; shared.homes.len()]);
        Self {
            shared,
            tasks,
            taken,
            told: None,
            unheard: false,
            overrun,
            recheck: false,
            beats: 0,
            said_unheard: 0,
            last_beat: 0,
        }
    }

    /// Runs until the hub stops.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<BusEvent>) {
        let mut hellos = tokio::time::interval(Duration::from_millis(HELLO_EVERY_MS));
        hellos.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.shared.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = hellos.tick() => self.beat().await,
                event = events.recv() => match event {
                    Some(event) => self.take(event).await,
                    None => break,
                },
            }
        }
        self.shared.cluster.say(Topic::Cluster, &Word::Bye);
    }

    async fn beat(&mut self) {
        let cluster = Arc::clone(&self.shared.cluster);
        self.beats += 1;
        if self.beats == HOMES_FROM {
            cluster.arrive();
        }
        cluster.hello();
        let now = cluster.now();
        if now.saturating_sub(self.last_beat) > 2 * HELLO_EVERY_MS {
            // This process stood still: what waits to be heard comes first.
            cluster.nodes().woke(now);
        }
        self.last_beat = now;
        let gone = cluster.nodes().tick(cluster.now());
        for node in gone {
            tracing::warn!(node.id = %node, "a node is gone: nothing was heard of it");
            self.lost(node).await;
        }
        self.unheard |= !cluster.bus().is_up();
        let every = if cluster.bus().is_up() { RECHECK_EVERY } else { RECHECK_EVERY_DEAF };
        if std::mem::take(&mut self.recheck) || self.beats.is_multiple_of(every) {
            self.tell_shards(|| Control::Recheck).await;
        }
        for shard in 0..self.overrun.len() {
            if std::mem::take(&mut self.overrun[shard]) {
                let control = &self.shared.homes[shard].control;
                // A shard that has ended has no followers.
                let _ended = control.send(Control::CompareHeads).await;
            }
        }
        self.tell_view().await;
    }

    async fn take(&mut self, event: BusEvent) {
        let cluster = Arc::clone(&self.shared.cluster);
        match event {
            BusEvent::Heard { origin, .. } if origin == cluster.bus().node() => {}
            BusEvent::Heard { topic, origin, body } => match Word::from_bytes(&body) {
                Some(word) => self.heard(topic, origin, word).await,
                None => metrics::not_understood(),
            },
            BusEvent::Up => {
                tracing::info!("the bus between nodes carries");
                cluster.nodes().set_up(true, cluster.now());
                self.tell_view().await;
                if self.unheard {
                    self.say_unheard();
                }
            }
            BusEvent::Down => {
                tracing::warn!(
                    "the bus between nodes is down: each node goes on by itself, and others hear of it later"
                );
                cluster.nodes().set_up(false, cluster.now());
                self.unheard = true;
                self.tell_view().await;
            }
            BusEvent::Missed => {
                metrics::missed();
                // What is missed here may be what was said here, and then nobody else knows of it.
                if self.unheard || self.beats > self.said_unheard + UNHEARD_EVERY {
                    self.say_unheard();
                }
                self.ask_the_store().await;
            }
        }
    }

    async fn heard(&mut self, topic: Topic, from: NodeId, word: Word) {
        let cluster = Arc::clone(&self.shared.cluster);
        match (topic, word) {
            (Topic::Conversation(conversation), word) => self.hand_to_home(conversation, from, word),
            (Topic::Cluster, Word::Hello { homes, clock }) => {
                let is_new = cluster.nodes().hello(from, homes, clock, cluster.now());
                if is_new {
                    tracing::info!(node.id = %from, "a node is here");
                    // It may have been taken for dead, and its people with it.
                    self.tell_shards(|| Control::CompareHeads).await;
                }
                self.tell_view().await;
            }
            (Topic::Cluster, Word::Bye) => {
                let was_known = cluster.nodes().bye(from);
                if was_known {
                    tracing::info!(node.id = %from, "a node has gone");
                    self.lost(from).await;
                }
            }
            (Topic::Cluster, Word::Unheard) => self.ask_the_store().await,
            (Topic::Cluster, Word::SessionEnded { session_id }) => {
                self.tell_shards(|| Control::EndSession(session_id)).await;
            }
            (Topic::Cluster, Word::Joined { conversation_id, first, user_ids }) => {
                let is_here = |user: &UserId| !self.shared.directory.shards_of(*user).is_empty();
                if user_ids.iter().any(is_here) {
                    let word = Word::Joined { conversation_id, first, user_ids };
                    self.hand_to_home(conversation_id, from, word);
                }
            }
            (Topic::Node(_), Word::Forward { number, clock, conversation_id, acts }) => {
                match cluster.takes_until(from, clock, self.shared.clock.now()) {
                    Some(until) => self.take_forward(from, number, until, (conversation_id, acts)),
                    None => self.decline(from, number, &acts),
                }
            }
            (Topic::Node(_), Word::Answers { number, results }) => cluster.answered(number, results),
            _ => metrics::not_understood(),
        }
    }

    fn hand_to_home(&mut self, conversation: ConversationId, from: NodeId, word: Word) {
        let shard = home_of(conversation, self.shared.homes.len());
        // The people of those who joined are found by the next look at the store.
        let is_joined = matches!(word, Word::Joined { .. });
        let input = HomeInput::Heard { conversation, from, word: Box::new(word) };
        if let Err(TrySendError::Full(_)) = self.shared.homes[shard].commands.try_send(input) {
            self.overrun[shard] = true;
            self.recheck |= is_joined;
        }
    }

    /// Does another node's acts, as if they had been asked for here, and answers.
    fn take_forward(&self, from: NodeId, number: u64, until: Timestamp, acts: (ConversationId, Vec<Act>)) {
        let Ok(permit) = Arc::clone(&self.taken).try_acquire_owned() else {
            self.decline(from, number, &acts.1);
            return;
        };
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            let results = decide_here(&shared, until, acts).await;
            shared.cluster.say(Topic::Node(from), &Word::Answers { number, results });
            drop(permit);
        });
    }

    /// Leaves acts to whoever forwarded them, and says so, so that nobody waits.
    fn decline(&self, from: NodeId, number: u64, acts: &[Act]) {
        metrics::declined();
        let results = super::declined(acts, "it came too late, or too much is under way: decide it there");
        self.shared.cluster.say(Topic::Node(from), &Word::Answers { number, results });
    }

    async fn lost(&mut self, node: NodeId) {
        self.tell_view().await;
        self.tell_shards(|| Control::NodeLost(node)).await;
        // What it committed last, it may not have said; nor who joined by it.
        self.ask_the_store().await;
    }

    /// Tells the others that they may have missed what this node did: nobody else knows.
    fn say_unheard(&mut self) {
        (self.unheard, self.said_unheard) = (false, self.beats);
        self.shared.cluster.say(Topic::Cluster, &Word::Unheard);
    }

    /// Something was committed of which this node was not told.
    async fn ask_the_store(&self) {
        self.tell_shards(|| Control::CompareHeads).await;
        self.tell_shards(|| Control::Recheck).await;
    }

    async fn tell_view(&mut self) {
        let cluster = &self.shared.cluster;
        let Some(view) = cluster.view() else { return };
        let now = (view, cluster.bus().is_up());
        if self.told.as_ref() != Some(&now) {
            metrics::homes(now.0.homes());
            self.tell_shards(|| Control::Cluster { view: now.0.clone(), up: now.1 }).await;
            self.told = Some(now);
        }
    }

    async fn tell_shards(&self, order: impl Fn() -> Control) {
        for home in &self.shared.homes {
            // A shard that has ended needs no orders.
            let _ended = home.control.send(order()).await;
        }
    }
}

async fn decide_here(
    shared: &Shared,
    until: Timestamp,
    (conversation, acts): (ConversationId, Vec<Act>),
) -> super::Results {
    let home = &shared.homes[home_of(conversation, shared.homes.len())];
    let mut answers = Vec::with_capacity(acts.len());
    for act in acts {
        let (answer, answered) = oneshot::channel();
        let reply = ReplyTo::Caller { answer, open: OpenCount::new(&shared.open_commands) };
        let input = HomeInput::Act { conversation, act: Box::new(act), reply, way: Way::Until(until) };
        // A shard that has ended drops it, and with it the answer.
        let _ended = home.commands.send(input).await;
        answers.push(answered);
    }
    let unknown =
        |_| ErrorBody::new(ErrorCode::UnknownOutcome, "the server stopped before it could answer: repeat the same");
    join_all(answers).await.into_iter().map(|answered| answered.map_err(unknown).and_then(|result| result)).collect()
}
