//! What a home shard keeps of one conversation.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hubbub_domain::conversation::{Act, ConversationState};
use hubbub_protocol::{ConversationId, ErrorBody, Record, Sequence, UserId};

use super::HomeOutput;
use super::batch::Batch;
use crate::frame::SharedFrame;
use crate::message::{Answer, Class, EdgeInput, ReplyTo, Subscribe, Subscribed};

/// One conversation at home.
#[derive(Default)]
pub(crate) struct Conversation {
    /// The fold over the log, with the append in flight folded in; `None` until loaded.
    pub(crate) state: Option<ConversationState>,
    /// Up to where the edges were told; `None` until first loaded.
    pub(crate) committed: Option<Sequence>,
    pub(crate) snapshot_at: Sequence,
    pub(crate) loading: bool,
    /// The target of the act at the front is being read.
    pub(crate) reading: bool,
    pub(crate) in_flight: Option<Batch>,
    pub(crate) queue: VecDeque<Work>,
    /// How many sockets follow it, by edge shard.
    followers: Vec<(u8, u32)>,
    /// Read marks that were moved while it was here.
    pub(crate) marks: HashMap<UserId, Sequence>,
    pub(crate) touched: bool,
}

/// What waits for its turn.
#[derive(Debug)]
pub(crate) enum Work {
    Act { act: Box<Act>, target: Target, reply: ReplyTo, tries: u8 },
    Subscribe(Box<Subscribe>),
    Read { user: UserId, seq: Sequence, reply: ReplyTo },
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

impl Work {
    /// Ends it with a refusal: nothing of it was stored by this try.
    pub(crate) fn refuse(self, id: ConversationId, refusal: &ErrorBody, out: &mut Vec<HomeOutput>) {
        match self {
            Self::Act { reply, .. } | Self::Read { reply, .. } => {
                out.push(HomeOutput::Reply { to: reply, result: Err(refusal.clone()) });
            }
            Self::Subscribe(subscribe) => {
                let Subscribe { key, wish, command, .. } = *subscribe;
                let answer = Answer::Failed(refusal.clone());
                let input = Subscribed { conversation: id, key, wish, command, answer };
                out.push(HomeOutput::ToEdge { shard: key.shard, input: EdgeInput::Subscribed(Box::new(input)) });
            }
        }
    }
}

impl Conversation {
    /// Whether this person's ephemeral notices reach the others.
    pub(crate) fn lets_hear(&self, user: UserId, max_members: usize) -> bool {
        self.state.as_ref().is_some_and(|state| state.member_count() <= max_members && state.is_member(user))
    }

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
    pub(crate) const fn is_waiting(&self) -> bool {
        self.in_flight.is_some() || self.loading || self.reading
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
