//! A node of the simulation: its directory, homes, edges and readers, what waits between them, and what it knows of others.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use hubbub_domain::cluster::{Nodes, View};
use hubbub_domain::conversations::Stored;
use hubbub_protocol::{ConversationId, ErrorBody, NodeId};
use tokio::sync::oneshot;

use super::bus::Line;
use super::reader::Reader;
use super::world::{SHARDS, id};
use crate::directory::Directory;
use crate::message::{ConnectionKey, Control, EdgeInput, HomeInput};
use crate::shard::edge::{EdgeCore, Replay};
use crate::shard::home::{Done, HomeCore, HomeWork};

/// Milliseconds until a node has heard of all others, or has missed them.
const NEWBORN: u64 = 6_000;

/// A node.
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) directory: Arc<Directory>,
    pub(super) homes: Vec<HomeCore>,
    pub(super) edges: Vec<EdgeCore>,
    pub(super) controls: Vec<VecDeque<Control>>,
    pub(super) to_homes: Vec<VecDeque<HomeInput>>,
    /// By home and edge.
    pub(super) to_edges: Vec<Vec<VecDeque<EdgeInput>>>,
    pub(super) works: Vec<Vec<Underway>>,
    pub(super) replays: Vec<Replay>,
    pub(super) readers: BTreeMap<(u8, u32), Reader>,
    /// Sockets that are to be looked up.
    pub(super) rechecks: Vec<ConnectionKey>,
    /// It stands still.
    pub(super) paused: bool,
    /// What it knows of the others, and what its homes were last told of that.
    pub(super) nodes: Nodes,
    pub(super) told: Option<(View, bool)>,
    pub(super) next_beat: u64,
    /// When it asks the store without a reason. A node does so every two minutes, for what nobody knows to be missing: who
    /// joined by a node that died before this one had heard of it. Once is enough here, and hides nothing else.
    pub(super) asks_store: Option<u64>,
    pub(super) line: Line,
    /// Forwards that wait for an answer, by number.
    pub(super) pending: BTreeMap<u64, (ConversationId, NodeId)>,
    pub(super) next_number: u64,
    /// Forwards of others that are worked on.
    pub(super) taken: Vec<Taken>,
}

/// A work: to be done, or done and its end on the way.
pub(super) enum Underway {
    Todo(HomeWork),
    Done(Done),
}

/// How an act ended.
pub(super) type Outcome = Result<Stored, ErrorBody>;

/// Another node's forward.
pub(super) struct Taken {
    pub(super) from: NodeId,
    pub(super) number: u64,
    pub(super) open: Vec<oneshot::Receiver<Outcome>>,
    pub(super) ended: HashMap<usize, Outcome>,
}

impl Taken {
    pub(super) fn new(from: NodeId, number: u64, open: Vec<oneshot::Receiver<Outcome>>) -> Self {
        Self { from, number, open, ended: HashMap::new() }
    }

    /// The results, once all are there.
    pub(super) fn results(&mut self) -> Option<Vec<Outcome>> {
        for (place, answer) in self.open.iter_mut().enumerate() {
            if let Ok(result) = answer.try_recv() {
                self.ended.insert(place, result);
            }
        }
        let all = self.ended.len() == self.open.len();
        all.then(|| (0..self.open.len()).filter_map(|place| self.ended.remove(&place)).collect())
    }
}

/// What outlives a node: its name, what it handed out, and its sockets' other ends.
pub(super) type Remains = (NodeId, Vec<Vec<Underway>>, BTreeMap<(u8, u32), Reader>);

impl Node {
    pub(super) fn remains(self) -> Remains {
        let Self { id, works, readers, .. } = self;
        (id, works, readers)
    }

    /// A node that has just begun; `in_cluster`: there may be others.
    pub(super) fn new(number: u64, in_cluster: bool, now: u64) -> Self {
        let node = NodeId::from_bytes(id(number, 4));
        let directory = Arc::new(Directory::default());
        let mut nodes = Nodes::new(node, true);
        nodes.set_up(false, now);
        let home = |_| HomeCore::new(Arc::clone(&directory), 1, in_cluster.then(|| nodes.view(now)));
        Self {
            id: node,
            homes: (0..SHARDS).map(home).collect(),
            edges: (0..2).map(EdgeCore::new).collect(),
            directory,
            controls: (0..SHARDS).map(|_| VecDeque::new()).collect(),
            to_homes: (0..SHARDS).map(|_| VecDeque::new()).collect(),
            to_edges: (0..SHARDS).map(|_| (0..SHARDS).map(|_| VecDeque::new()).collect()).collect(),
            works: (0..SHARDS).map(|_| Vec::new()).collect(),
            replays: Vec::new(),
            readers: BTreeMap::new(),
            rechecks: Vec::new(),
            paused: false,
            nodes,
            told: None,
            next_beat: now,
            asks_store: Some(now + NEWBORN),
            line: Line::new(in_cluster),
            pending: BTreeMap::new(),
            next_number: 0,
            taken: Vec::new(),
        }
    }
}
