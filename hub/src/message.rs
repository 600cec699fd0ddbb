//! What the parts of a hub say to each other: commands to homes, answers and events to edges, orders to shards.
//!
//! Words only. Home and edge of one shard use the same ones as those of two.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hubbub_domain::cluster::{View, Word};
use hubbub_domain::conversation::Act;
use hubbub_domain::conversations::Stored;
use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::CommandId;
use hubbub_protocol::frame::server::{Gap, ServerFrame};
use hubbub_protocol::{
    ClientMessageId, ConversationId, ErrorBody, NodeId, Record, Sequence, SessionId, Timestamp, UserId,
};
use hubbub_storage::log::erase_payload;
use tokio::sync::oneshot;

use crate::frame::{RecordFrame, SharedFrame};

/// Which socket: its shard, its place there, and a number that tells a place's tenants apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionKey {
    pub(crate) shard: u8,
    pub(crate) slot: u32,
    pub(crate) tenant: u32,
}

/// Counts something that a drain waits for, while it lives: a command that is not yet answered, a socket that parts.
#[derive(Debug)]
pub(crate) struct OpenCount {
    count: Arc<AtomicU64>,
    bytes: u32,
}

impl OpenCount {
    pub(crate) fn new(count: &Arc<AtomicU64>) -> Self {
        Self::of(count, 0)
    }

    /// That of a command whose frame had so many bytes.
    pub(crate) fn of(count: &Arc<AtomicU64>, bytes: u32) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self { count: Arc::clone(count), bytes }
    }

    /// How long the command's frame was.
    pub(crate) const fn bytes(&self) -> u32 {
        self.bytes
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Where an answer goes. Each command has exactly one.
#[derive(Debug)]
pub(crate) enum ReplyTo {
    /// To a socket, as `message.ack`, `ok` or `error`.
    Connection {
        key: ConnectionKey,
        id: Option<CommandId>,
        conversation: ConversationId,
        /// The message's client id, if it is answered with `message.ack`.
        ack: Option<ClientMessageId>,
        /// Whether it is told of success at all.
        quiet: bool,
        open: OpenCount,
    },
    /// To a caller in this process.
    Caller { answer: oneshot::Sender<Result<Stored, ErrorBody>>, open: OpenCount },
}

/// Which node decides an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The one that is home to its conversation.
    Home,
    /// This one, whoever is home.
    Here,
    /// This one, until then: a node forwarded it, and decides it itself after that. What stored nothing then can have been
    /// answered and followed by others, so it must not be done late.
    Until(Timestamp),
}

/// What a home shard is asked.
#[derive(Debug)]
pub(crate) enum HomeInput {
    /// Do this, if it may be done.
    Act { conversation: ConversationId, act: Box<Act>, reply: ReplyTo, way: Way },
    /// Note how far somebody has read.
    Read { conversation: ConversationId, user: UserId, seq: Sequence, reply: ReplyTo },
    /// Let this socket follow the conversation.
    Subscribe(Box<Subscribe>),
    /// One more socket of this shard follows it, beside the one that was counted for its person.
    Follow { conversation: ConversationId, shard: u8 },
    /// One socket of this shard follows it no longer.
    Unsubscribe { conversation: ConversationId, shard: u8 },
    /// Tell the others that somebody is writing. Ephemeral.
    Typing { conversation: ConversationId, user: UserId, active: bool },
    /// Tell the others that somebody came, went or looks away, as the directory says. Ephemeral.
    Presence { conversation: ConversationId },
    /// Another node said something that concerns this conversation.
    Heard { conversation: ConversationId, from: NodeId, word: Box<Word> },
}

impl HomeInput {
    pub(crate) fn conversation(&self) -> ConversationId {
        match self {
            Self::Act { conversation, .. }
            | Self::Read { conversation, .. }
            | Self::Follow { conversation, .. }
            | Self::Unsubscribe { conversation, .. }
            | Self::Typing { conversation, .. }
            | Self::Presence { conversation }
            | Self::Heard { conversation, .. } => *conversation,
            Self::Subscribe(subscribe) => subscribe.conversation,
        }
    }
}

/// A socket's wish to follow a conversation.
#[derive(Debug)]
pub(crate) struct Subscribe {
    pub(crate) conversation: ConversationId,
    pub(crate) user: UserId,
    pub(crate) key: ConnectionKey,
    /// Which of the socket's wishes for this conversation: only the answer to the last one counts.
    pub(crate) wish: u32,
    /// What it holds; `None`: start at the live edge.
    pub(crate) after: Option<Sequence>,
    /// The command that asked and is still to be answered.
    pub(crate) command: Option<Asked>,
}

/// A `subscribe` command that waits for its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: Option<CommandId>,
    pub(crate) open: OpenCount,
}

/// What a home shard says to an edge shard. One FIFO a pair of shards, so that what is said in order arrives in order.
#[derive(Debug)]
pub(crate) enum EdgeInput {
    /// The answer to a command.
    Reply { key: ConnectionKey, frame: Option<Box<ServerFrame>>, open: OpenCount },
    /// Records were committed. The sockets of those who join follow from them on; their home has counted one follower of
    /// this shard for each of these people, and the edge corrects that.
    Deliver { run: Arc<Run>, joins: Vec<UserId> },
    /// These people joined by what another node committed: their sockets that have no part in it ask for it from here on.
    Invite { conversation: ConversationId, users: Vec<UserId>, after: Sequence },
    /// The answer to [`Subscribe`].
    Subscribed(Box<Subscribed>),
    /// A mark or an ephemeral notice for those who follow the conversation, but for the sockets of `except`.
    Notice { conversation: ConversationId, frame: Arc<SharedFrame>, except: Option<UserId>, class: Class },
    /// An ephemeral notice for one socket.
    Whisper { key: ConnectionKey, frame: Arc<SharedFrame> },
}

/// A committed record on its way to the edges.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) frame: RecordFrame,
    /// Whose sockets get this record last.
    pub(crate) leaves: Vec<UserId>,
}

/// Records that were committed together, one right after the other. Somebody joins or leaves only by one that stands alone.
#[derive(Debug)]
pub(crate) struct Run {
    first: Arc<Delivery>,
    more: Vec<Arc<Delivery>>,
    joined: [OnceLock<Bytes>; Format::ALL.len()],
}

impl Run {
    pub(crate) fn new(first: Arc<Delivery>, more: Vec<Arc<Delivery>>) -> Arc<Self> {
        Arc::new(Self { first, more, joined: [OnceLock::new(), OnceLock::new()] })
    }

    pub(crate) fn first(&self) -> &Arc<Delivery> {
        &self.first
    }

    pub(crate) fn last(&self) -> &Arc<Delivery> {
        self.more.last().unwrap_or(&self.first)
    }

    pub(crate) fn deliveries(&self) -> impl Iterator<Item = &Arc<Delivery>> + Clone {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// All its events on a socket of this format, put together when the first asks.
    pub(crate) fn bytes(&self, format: Format) -> Bytes {
        if self.more.is_empty() {
            return self.first.frame.bytes(format);
        }
        let frames = self.deliveries().map(|delivery| &delivery.frame);
        self.joined[format.index()].get_or_init(|| RecordFrame::join(frames, format)).clone()
    }
}

impl Delivery {
    pub(crate) const fn record(&self) -> &Record {
        self.frame.record()
    }

    pub(crate) const fn conversation(&self) -> ConversationId {
        self.record().conversation_id
    }

    pub(crate) const fn sequence(&self) -> Sequence {
        self.record().sequence
    }

    /// The same, without the payload that a recall erased.
    pub(crate) fn erased(&self) -> Self {
        let mut record = self.record().clone();
        erase_payload(&mut record.body);
        Self { frame: RecordFrame::of(record), leaves: self.leaves.clone() }
    }
}

/// How a wish to follow was answered.
#[derive(Debug)]
pub(crate) struct Subscribed {
    pub(crate) conversation: ConversationId,
    pub(crate) key: ConnectionKey,
    pub(crate) wish: u32,
    pub(crate) command: Option<Asked>,
    pub(crate) answer: Answer,
}

/// The ways to answer it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It may not, or there is no such conversation.
    NotMember { after: Option<Sequence> },
    /// The store could not say.
    Failed(ErrorBody),
    /// More is missing than the ring holds: read the log above `after` up to `head`, then ask again from there.
    Behind { gap: Option<Gap>, after: Sequence, head: Sequence },
    /// These are all above `after`, up to the live edge `head`. It is counted as a follower from here on.
    Caught { gap: Option<Gap>, after: Sequence, recent: Vec<Arc<Delivery>>, head: Sequence },
}

/// How much a frame matters when a socket is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Kept marks: queued like messages.
    State,
    /// Dropped first.
    Ephemeral,
}

/// Orders from the hub to a shard.
#[derive(Debug)]
pub(crate) enum Control {
    /// Close the sockets of this session within the second (MEMBERS-ONLY).
    EndSession(SessionId),
    /// Close each socket at a moment of its own in this window; until then it works as ever.
    HandOver(Duration),
    /// Tell every socket when to come back, and take no more commands.
    Drain,
    /// Close every socket with `restart`.
    CloseAll,
    /// The cluster has changed, or the bus between its nodes came or went.
    Cluster { view: View, up: bool },
    /// Something may have been missed: compare the heads of what is followed here, and ask who is where.
    CompareHeads,
    /// A node is gone, and its people with it.
    NodeLost(NodeId),
    /// Ask the store whether the sessions of the sockets here stand, and what their people joined meanwhile.
    Recheck,
}
