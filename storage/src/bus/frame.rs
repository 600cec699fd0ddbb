//! What goes over a relay that need not be trusted: frames that only a node of this cluster can make.
//!
//! Owned by [`super::redis`]; pure, with the time of day passed in. A frame is a version, a kind, its origin, a counter and
//! a mark (HMAC-SHA256, 128 bits of it) over all of that, the topic and the body. So a relay that lies, or a stranger who
//! may write to it, can lose and delay, and nothing else (REDIS-FREE TRUTH): what it makes up, changes, moves to another
//! topic, repeats or reorders within one origin's topic is refused.
//!
//! The counter is the sender's time of day in microseconds, made strictly increasing. Whoever opens frames keeps the last
//! counter of each origin on each topic for a minute, and refuses what is older; so the table is bounded, and what has
//! left it is refused by its age (BOUNDED). Nothing is encrypted: who must not read along must not reach the relay.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use hubbub_protocol::NodeId;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Topic;

/// What a frame is longer than its body by.
pub(super) const HEADER_BYTES: usize = 1 + 1 + 16 + 8 + MARK_BYTES;

/// Older frames are refused: nobody repeats them, and no table has to remember them.
pub(super) const MAX_AGE: Duration = Duration::from_mins(1);

const MARK_BYTES: usize = 16;
const MARK_AT: usize = HEADER_BYTES - MARK_BYTES;
const VERSION: u8 = 1;

/// Each secret is drawn from the cluster's under its own label. A new form of frames gets a new label.
const FRAME_LABEL: &[u8] = b"hubbub bus frame key v1";
const COUNTER_LABEL: &[u8] = b"hubbub bus counter key v1";

/// HMAC's key block for SHA-256: a shorter key is filled up with zeros.
const BLOCK_BYTES: usize = 64;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A node says something to nodes.
    Said = 0,
    /// A node asks whether it hears itself; no node is told.
    Probe = 1,
}

/// The secrets that nodes of one cluster share, for one prefix. They leave memory with it.
pub(super) struct Keys {
    frame: Hmac<Sha256>,
    counter: Hmac<Sha256>,
}

impl Keys {
    /// Clusters of other prefixes have other keys, though somebody gave them the same secret.
    pub(super) fn new(secret: &[u8; 32], prefix: &str) -> Self {
        let draw = |label: &[u8]| {
            let drawn = keyed(secret).chain_update(label).chain_update(prefix.as_bytes()).finalize();
            keyed(&Zeroizing::new(drawn.into_bytes().into()))
        };
        Self { frame: draw(FRAME_LABEL), counter: draw(COUNTER_LABEL) }
    }

    /// What a counter is called in the relay, so that whom it is for cannot be read there.
    pub(super) fn counter_name(&self, key: &[u8], window: Duration) -> u128 {
        let mac = self.counter.clone().chain_update(window.as_nanos().to_be_bytes()).chain_update(key);
        let mut name = [0; 16];
        name.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        u128::from_be_bytes(name)
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    block[..key.len()].copy_from_slice(key);
    Hmac::new((&*block).into())
}

/// The mark's input: no part can be read as another, as all but the last are of one length.
fn marked(key: &Hmac<Sha256>, topic: Topic, header: &[u8], body: &[u8]) -> Hmac<Sha256> {
    let (tag, id) = match topic {
        Topic::Cluster => (0, [0; 16]),
        Topic::Node(node) => (1, *node.as_bytes()),
        Topic::Conversation(conversation_id) => (2, *conversation_id.as_bytes()),
    };
    key.clone().chain_update([tag]).chain_update(id).chain_update(header).chain_update(body)
}

/// Makes one node's frames.
pub(super) struct Sealer {
    key: Hmac<Sha256>,
    origin: NodeId,
    last: u64,
}

impl Sealer {
    pub(super) fn new(keys: &Keys, origin: NodeId) -> Self {
        Self { key: keys.frame.clone(), origin, last: 0 }
    }

    /// The frame, at this time of day in microseconds. Frames have to be sent in the order they were made.
    pub(super) fn seal(&mut self, now: u64, topic: Topic, kind: Kind, body: &[u8]) -> Vec<u8> {
        // A clock that steps back holds nothing up.
        self.last = now.max(self.last + 1);
        let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
        frame.extend([VERSION, kind as u8]);
        frame.extend(self.origin.as_bytes());
        frame.extend(self.last.to_be_bytes());
        let mark = marked(&self.key, topic, &frame, body).finalize().into_bytes();
        frame.extend(&mark[..MARK_BYTES]);
        frame.extend(body);
        frame
    }
}

/// What a frame held.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) kind: Kind,
    pub(super) origin: NodeId,
    pub(super) body: Bytes,
}

/// Why a frame is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Too short, or of a version or kind that is not known.
    Form,
    /// The mark is not one that this cluster's nodes make on this topic.
    Mark,
    /// Heard already, or overtaken by what its origin said later on this topic.
    Repeated,
    /// Made longer ago than [`MAX_AGE`], by this node's clock.
    Old(Duration),
    /// Too many origins have been heard within [`MAX_AGE`].
    Crowded,
}

/// How much is remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// Nodes heard within [`MAX_AGE`], at the most.
    pub(super) origins: usize,
    /// Topics of all of them together; over it they are folded into one counter for each origin.
    pub(super) topics: usize,
}

/// Opens frames of all nodes.
pub(super) struct Opener {
    key: Hmac<Sha256>,
    memory: Memory,
    origins: HashMap<NodeId, Origin>,
    /// Topics remembered, of all origins.
    topics: usize,
}

#[derive(Default)]
struct Origin {
    /// The last counter on each topic.
    topics: HashMap<Topic, u64>,
    /// The last counter on topics that are not remembered.
    floor: u64,
    highest: u64,
}

impl Opener {
    pub(super) fn new(keys: &Keys, memory: Memory) -> Self {
        Self { key: keys.frame.clone(), memory, origins: HashMap::new(), topics: 0 }
    }

    /// What this frame holds, at this time of day in microseconds.
    pub(super) fn open(&mut self, now: u64, topic: Topic, frame: &Bytes) -> Result<Opened, Refused> {
        let (header, body) = frame.split_at_checked(HEADER_BYTES).ok_or(Refused::Form)?;
        let (header, mark) = header.split_at(MARK_AT);
        let (kind, origin, counter) = read_header(header).ok_or(Refused::Form)?;
        marked(&self.key, topic, header, body).verify_truncated_left(mark).map_err(|_| Refused::Mark)?;
        let oldest = oldest(now);
        if counter < oldest {
            return Err(Refused::Old(Duration::from_micros(now - counter)));
        }
        self.remember(origin, topic, counter, oldest)?;
        Ok(Opened { kind, origin, body: frame.slice(HEADER_BYTES..) })
    }

    fn remember(&mut self, node: NodeId, topic: Topic, counter: u64, oldest: u64) -> Result<(), Refused> {
        if !self.origins.contains_key(&node) && self.origins.len() >= self.memory.origins {
            self.forget_silent(oldest);
            if self.origins.len() >= self.memory.origins {
                return Err(Refused::Crowded);
            }
        }
        if self.topics >= self.memory.topics {
            self.fold();
        }
        let origin = self.origins.entry(node).or_default();
        let floor = origin.floor;
        let last = origin.topics.get(&topic).copied();
        if counter <= last.unwrap_or(floor) {
            return Err(Refused::Repeated);
        }
        origin.topics.insert(topic, counter);
        origin.highest = origin.highest.max(counter);
        self.topics += usize::from(last.is_none());
        Ok(())
    }

    /// Forgets origins of which all is refused by its age by now.
    fn forget_silent(&mut self, oldest: u64) {
        self.origins.retain(|_, origin| origin.highest >= oldest);
        self.topics = self.origins.values().map(|origin| origin.topics.len()).sum();
    }

    /// One counter for all topics of an origin. What an origin says next is above it anyway.
    fn fold(&mut self) {
        for origin in self.origins.values_mut() {
            origin.topics = HashMap::new();
            origin.floor = origin.highest;
        }
        self.topics = 0;
    }
}

fn read_header(header: &[u8]) -> Option<(Kind, NodeId, u64)> {
    let (&[version, kind], rest) = header.split_first_chunk()?;
    let (origin, counter) = rest.split_first_chunk()?;
    let kind = match kind {
        0 => Kind::Said,
        1 => Kind::Probe,
        _ => return None,
    };
    let counter = u64::from_be_bytes(counter.try_into().ok()?);
    (version == VERSION).then_some((kind, NodeId::from_bytes(*origin), counter))
}

fn oldest(now: u64) -> u64 {
    now.saturating_sub(u64::try_from(MAX_AGE.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
