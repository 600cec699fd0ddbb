//! What a home shard keeps of one conversation.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hubbub_domain::conversation::{Act, ConversationState};
use hubbub_domain::conversations::Stored;
use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, Record, Sequence, Timestamp, UserId};

use super::batch::Batch;
use super::presence::Whereabouts;
use super::{HomeOutput, HomeWork};
use crate::frame::SharedFrame;
use crate::message::{Answer, Class, EdgeInput, ReplyTo, Subscribe, Subscribed, Way};

/// One conversation at home.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Conversation {
    /// The fold over the log, with the append in flight folded in; `None` until loaded.
    pub(crate) state: Option<ConversationState>,
    /// Up to where the edges were told; `None` until first loaded.
    pub(crate) committed: Option<Sequence>,
    pub(crate) snapshot_at: Sequence,
    /// What the store is being asked for.
    pub(crate) asking: Asking,
    pub(crate) in_flight: Option<Batch>,
    /// The head that an append was decided against by which somebody joins, and of which nobody knows whether it was, or
    /// will be, stored. Watched for a while.
    pub(crate) untold: Option<Sequence>,
    /// Acts that the node which is home to it was asked to do.
    pub(crate) forwarded: Option<Vec<Asked>>,
    /// Whether other nodes' commits are heard of.
    pub(crate) watch: Watch,
    /// Which of its home's watches this is.
    pub(crate) watch_number: u64,
    /// Other nodes may have committed more: to be caught up with before anything else.
    pub(crate) behind: bool,
    /// How often the log was asked for what is new: what was asked after an act came has seen what its sender saw.
    pub(crate) looks: u32,
    /// How its members are.
    pub(crate) whereabouts: Whereabouts,
    /// Whether the other nodes were asked for them since it is watched.
    pub(crate) asked_who: bool,
    pub(crate) queue: VecDeque<Work>,
    /// Until then what comes is kept for whoever resumes, whether or not anybody follows now.
    pub(crate) kept_until: Timestamp,
    /// How many sockets follow it, by edge shard.
    followers: Vec<(u8, u32)>,
    /// Read marks that were moved while it was here.
    pub(crate) marks: HashMap<UserId, Sequence>,
    pub(crate) touched: bool,
    /// It is on its home's list of those to go on with.
    pub(crate) is_due: bool,
}

/// What waits for its turn.
#[derive(Debug)]
pub(crate) enum Work {
    Act(Asked),
    Subscribe { wish: Box<Subscribe>, look: u32 },
    Read { user: UserId, seq: Sequence, reply: ReplyTo, look: u32 },
}

/// An act that somebody asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) act: Box<Act>,
    pub(crate) target: Target,
    pub(crate) reply: ReplyTo,
    /// How often it was decided in vain.
    pub(crate) tries: u8,
    pub(crate) way: Way,
    /// Another node was asked to do it and has not answered: it may still.
    pub(crate) unsure: bool,
    /// How often the log had been looked at when it came, or came back.
    pub(crate) look: u32,
}

/// What the store is being asked for, before anything else can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Asking {
    #[default]
    Nothing,
    /// The state.
    State,
    /// The target of the act at the front of the queue.
    Target,
    /// The records above the committed ones.
    Above,
    /// Again, at the next tick: it could not tell.
    Later,
}

/// Whether a conversation's topic is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Watch {
    #[default]
    Off,
    Asked,
    On,
}

/// The record that an act refers to.
#[derive(Debug)]
pub(crate) enum Target {
    /// It refers to none, or that was not read yet.
    Unread,
    /// As it was read when nothing was in flight; `None`: there is no such record.
    Read(Option<Box<Record>>),
}

impl Target {
    pub(crate) fn record(&self) -> Option<&Record> {
        if let Self::Read(record) = self { record.as_deref() } else { None }
    }
}

/// The refusal of an act, unless another node may still do it: then nobody knows (HONEST).
pub(crate) fn honest(unsure: bool, refusal: ErrorBody) -> ErrorBody {
    if !unsure {
        return refusal;
    }
    let message = "it was handed to a server that does not answer and may still do it: repeat it to learn which";
    ErrorBody::new(ErrorCode::UnknownOutcome, message)
}

impl Asked {
    pub(crate) const fn new(act: Box<Act>, reply: ReplyTo, way: Way, look: u32) -> Self {
        Self { act, target: Target::Unread, reply, tries: 0, way, unsure: false, look }
    }

    /// Ends it with a refusal, unless an earlier try of it was stored (HONEST).
    pub(super) fn refuse(self, id: ConversationId, refusal: ErrorBody, out: &mut Vec<HomeOutput>) {
        let refusal = honest(self.unsure, refusal);
        self.end(id, Err(refusal), out);
    }

    /// Ends it with this, unless an earlier try of it was stored: then with that (ONCE).
    pub(super) fn end(self, id: ConversationId, otherwise: Result<Stored, ErrorBody>, out: &mut Vec<HomeOutput>) {
        let Self { act, reply, .. } = self;
        out.push(if act.client_message_id.is_some() {
            HomeOutput::Work(HomeWork::Settle { conversation: id, act, otherwise: Box::new(otherwise), reply })
        } else {
            HomeOutput::Reply { to: reply, result: otherwise }
        });
    }
}

impl Work {
    /// Ends it with a refusal: nothing of it was stored by this try.
    pub(crate) fn refuse(self, id: ConversationId, refusal: &ErrorBody, out: &mut Vec<HomeOutput>) {
        match self {
            Self::Act(Asked { reply, unsure, .. }) => {
                out.push(HomeOutput::Reply { to: reply, result: Err(honest(unsure, refusal.clone())) });
            }
            Self::Read { reply, .. } => {
                out.push(HomeOutput::Reply { to: reply, result: Err(refusal.clone()) });
            }
            Self::Subscribe { wish: subscribe, .. } => {
                let Subscribe { key, wish, command, .. } = *subscribe;
                let answer = Answer::Failed(refusal.clone());
                let input = Subscribed { conversation: id, key, wish, command, answer };
                out.push(HomeOutput::ToEdge { shard: key.shard, input: EdgeInput::Subscribed(Box::new(input)) });
            }
        }
    }
}

impl Conversation {
    pub(crate) fn follow(&mut self, shard: u8) {
        match self.followers.iter_mut().find(|(known, _)| *known == shard) {
            Some((_, count)) => *count += 1,
            None => self.followers.push((shard, 1)),
        }
    }

    pub(crate) fn unfollow(&mut self, shard: u8) {
        if let Some((_, count)) = self.followers.iter_mut().find(|(known, _)| *known == shard) {
            *count -= 1;
        }
        self.followers.retain(|(_, count)| *count > 0);
    }

    /// The shards with sockets that follow it.
    pub(crate) fn edges(&self) -> impl Iterator<Item = u8> {
        self.followers.iter().map(|(shard, _)| *shard)
    }

    /// Work of it is under way, and nothing else may be looked at before its end.
    pub(crate) fn is_waiting(&self) -> bool {
        // What is no act need not wait for another node's answer.
        let waits_for_answer =
            self.forwarded.is_some() && !matches!(self.queue.front(), Some(Work::Subscribe { .. } | Work::Read { .. }));
        self.is_busy() || waits_for_answer || self.watch == Watch::Asked
    }

    /// The state is not the committed one, or is about to change.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.is_some() || self.asking != Asking::Nothing
    }

    /// Whether somebody on this node follows it.
    pub(crate) const fn is_followed(&self) -> bool {
        !self.followers.is_empty()
    }

    /// Nobody follows it and nothing waits: it can be forgotten and loaded again.
    pub(crate) fn is_idle(&self) -> bool {
        self.followers.is_empty() && self.queue.is_empty() && !self.is_waiting()
    }

    /// Tells all who follow it, but for the sockets of `except`.
    pub(crate) fn notify(
        &self,
        id: ConversationId,
        frame: &Arc<SharedFrame>,
        except: Option<UserId>,
        class: Class,
        out: &mut Vec<HomeOutput>,
    ) {
        for shard in self.edges() {
            let input = EdgeInput::Notice { conversation: id, frame: Arc::clone(frame), except, class };
            out.push(HomeOutput::ToEdge { shard, input });
        }
    }
}
