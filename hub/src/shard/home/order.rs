//! What a home wants done, and how each work of it ends. Words only: [`crate::shard::task`] does them.

use hubbub_domain::cluster::Word;
use hubbub_domain::conversation::{Act, ConversationState};
use hubbub_domain::conversations::{MarkOutcome, Stored};
use hubbub_protocol::{ConversationId, ErrorBody, NodeId, Record, Sequence, UserId};
use hubbub_storage::bus::Topic;
use hubbub_storage::error::StoreError;
use hubbub_storage::log::{Append, Appended};

use crate::message::{EdgeInput, ReplyTo};

/// What a home wants done.
#[derive(Debug)]
pub(crate) enum HomeOutput {
    /// Do some work, and hand its end in.
    Work(HomeWork),
    /// Say something to an edge.
    ToEdge { shard: u8, input: EdgeInput },
    /// Answer a command.
    Reply { to: ReplyTo, result: Result<Stored, ErrorBody> },
    /// Say something to other nodes.
    Say { topic: Topic, word: Box<Word> },
    /// Hear of a conversation's commits on other nodes no longer.
    Unwatch(ConversationId),
}

/// Work that takes waiting. Each ends in one [`Done`].
#[derive(Debug)]
pub(crate) enum HomeWork {
    /// Load the state; and the records above `since`, if given, as they were committed without this home's knowing.
    Load { conversation: ConversationId, since: Option<Sequence> },
    /// Read the record that the act at the front of the queue refers to.
    ReadTarget { conversation: ConversationId, target: Sequence },
    /// Append to the log; `roster_changes`: lists of conversations change with it.
    Append { append: Append, roster_changes: bool },
    /// Was this act stored by an earlier try? Answer it with that, else with `otherwise`.
    Settle { conversation: ConversationId, act: Box<Act>, otherwise: Box<Result<Stored, ErrorBody>>, reply: ReplyTo },
    /// Answer an act that is stored already.
    Repeat { conversation: ConversationId, act: Box<Act>, first: Sequence, reply: ReplyTo },
    /// Move a read mark.
    Mark { conversation: ConversationId, user: UserId, seq: Sequence, reply: ReplyTo },
    /// Save the state, so that the next load is short.
    Snapshot { conversation: ConversationId, state: Box<ConversationState> },
    /// Hear of a conversation's commits on other nodes from now on.
    Watch { conversation: ConversationId },
    /// Read what is above `after`.
    CatchUp { conversation: ConversationId, after: Sequence },
    /// Ask the node that is home to a conversation to do these acts.
    Forward { conversation: ConversationId, home: NodeId, acts: Vec<Act> },
}

/// Work that is done.
#[derive(Debug)]
pub(crate) enum Done {
    Loaded {
        conversation: ConversationId,
        result: Result<Loaded, StoreError>,
    },
    TargetRead {
        conversation: ConversationId,
        result: Result<Option<Record>, StoreError>,
    },
    Appended {
        conversation: ConversationId,
        result: Result<Appended, AppendFailure>,
    },
    Marked {
        conversation: ConversationId,
        user: UserId,
        reply: ReplyTo,
        result: Result<MarkOutcome, ErrorBody>,
    },
    Watched {
        conversation: ConversationId,
    },
    CaughtUp {
        conversation: ConversationId,
        result: Result<Vec<Record>, StoreError>,
    },
    /// One result for each act; `None`: no answer.
    Forwarded {
        conversation: ConversationId,
        results: Option<Vec<Result<Stored, ErrorBody>>>,
    },
    /// Settle and Repeat end with the command's answer; Snapshot with nothing.
    Answered {
        reply: ReplyTo,
        result: Result<Stored, ErrorBody>,
    },
    Nothing,
}

/// A state as it was loaded.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// `None`: more records are missing than were read.
    pub(crate) state: Option<Box<ConversationState>>,
    /// The records above `since`, without a hole, up to the state's head if that is here.
    pub(crate) missed: Vec<Record>,
}

/// Why an append gave no answer of the store's.
#[derive(Debug)]
pub(crate) enum AppendFailure {
    /// It was not tried: the people who join have no room for another conversation, or the like.
    Refused(ErrorBody),
    /// The store failed.
    Store(StoreError),
}
