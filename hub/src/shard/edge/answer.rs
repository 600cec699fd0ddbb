//! What becomes of a home's answer to a wish: the seat is live, reads the log first, or is given up.
//!
//! Keeps RESUMABLE (a seat is live only with everything up to the edge, and says so) and HONEST (the command that asked
//! hears one answer, whoever has the seat by then).

use hubbub_protocol::frame::server::{CommandError, CommandOk, Gap, GapReason, Live};
use hubbub_protocol::{ConversationId, ErrorBody, Sequence};

use super::{EdgeCore, EdgeSink, Replay, Seat, Stage};
use crate::message::{Answer, Asked, ConnectionKey, HomeInput, Subscribe, Subscribed};
use crate::metrics;

impl EdgeCore {
    /// Takes a home's answer to a wish.
    pub(super) fn subscribed(&mut self, subscribed: Subscribed, sink: &mut impl EdgeSink) {
        let Subscribed { conversation, key, wish, command, answer } = subscribed;
        if self.holds(key) {
            sink.answered(key.slot);
        }
        let Some(seat) = self.resuming(key, conversation, wish) else {
            // It went away, or asked anew: this answer seats nobody.
            if matches!(answer, Answer::Caught { .. }) {
                sink.home(HomeInput::Unsubscribe { conversation, shard: self.shard });
            }
            match (self.holds(key), command) {
                // Its person was sent away meanwhile: that is the command's answer, whoever took the seat (HONEST).
                (true, asked @ Some(_)) if matches!(answer, Answer::NotMember { .. }) => {
                    refuse(key.slot, conversation, None, asked, sink);
                }
                (true, asked) => accept(key.slot, asked, None, sink),
                (false, _) => {}
            }
            return;
        };
        match answer {
            Answer::Caught { gap, after, recent, head } if !recent.is_empty() && !sink.has_room(key.slot) => {
                // A socket that resumes much at once takes it from the log, at its own pace (BOUNDED).
                seat.stage = Stage::Reading(wish);
                sink.home(HomeInput::Unsubscribe { conversation, shard: self.shard });
                accept(key.slot, command, gap, sink);
                sink.replay(Replay { key, conversation, wish, after, head });
            }
            Answer::Caught { gap, recent, head, .. } => {
                seat.stage = Stage::Live(head);
                accept(key.slot, command, gap, sink);
                for delivery in &recent {
                    sink.event(key.slot, delivery);
                }
                sink.frame(key.slot, Live { conversation_id: conversation, seq: head }.into());
            }
            Answer::Behind { gap, after, head } => {
                seat.stage = Stage::Reading(wish);
                accept(key.slot, command, gap, sink);
                sink.replay(Replay { key, conversation, wish, after, head });
            }
            Answer::NotMember { after } => {
                self.leave(key, conversation, sink);
                refuse(key.slot, conversation, after, command, sink);
            }
            Answer::Failed(error) => {
                self.leave(key, conversation, sink);
                fail(key.slot, conversation, error, command, sink);
            }
        }
    }

    /// The seat that waits for this wish.
    fn resuming(&mut self, key: ConnectionKey, conversation: ConversationId, wish: u32) -> Option<&mut Seat> {
        if !self.holds(key) {
            return None;
        }
        let room = self.rooms.get_mut(&conversation)?;
        let of_wish = |stage| matches!(stage, Stage::Resuming(this) | Stage::Reading(this) if this == wish);
        room.iter_mut().find(|seat| seat.slot == key.slot && of_wish(seat.stage))
    }

    /// Whether a replay is still of use.
    pub(crate) fn wants(&mut self, replay: &Replay) -> bool {
        self.resuming(replay.key, replay.conversation, replay.wish).is_some()
    }

    /// A socket got the log up to the head of its replay: asks for what came since.
    pub(crate) fn replayed(&mut self, replay: &Replay, sink: &mut impl EdgeSink) {
        let Replay { key, conversation, wish, head, .. } = *replay;
        if let Some(seat) = self.resuming(key, conversation, wish) {
            seat.stage = Stage::Resuming(wish);
            let user = self.connections[key.slot as usize].user;
            let after = Some(head);
            let subscribe = Subscribe { conversation, user, key, wish, after, command: None };
            sink.home(HomeInput::Subscribe(Box::new(subscribe)));
        }
    }
}

/// Says that the flow begins, and what it lacks.
fn accept(slot: u32, command: Option<Asked>, gap: Option<Gap>, sink: &mut impl EdgeSink) {
    if let Some(Asked { id, open }) = command {
        sink.reply(slot, Some(CommandOk { id, conversation_seq: None }.into()), open);
    }
    if let Some(gap) = gap {
        metrics::gap(if gap.reason == GapReason::AheadOfLog { "ahead_of_log" } else { "not_member" });
        sink.frame(slot, gap.into());
    }
}

/// Says that there is no flow: to a command as its answer, to a cursor as a gap without an end.
pub(super) fn refuse(
    slot: u32,
    conversation: ConversationId,
    after: Option<Sequence>,
    command: Option<Asked>,
    sink: &mut impl EdgeSink,
) {
    if let Some(Asked { id, open }) = command {
        let error = hubbub_domain::conversation::not_found();
        sink.reply(slot, Some(CommandError { id, error }.into()), open);
        return;
    }
    let from = after.unwrap_or(Sequence::ZERO).next();
    metrics::gap("no_access");
    sink.frame(slot, Gap { conversation_id: conversation, from, to: from, reason: GapReason::NoAccess }.into());
}

/// Says that the store could not tell.
fn fail(slot: u32, conversation: ConversationId, error: ErrorBody, command: Option<Asked>, sink: &mut impl EdgeSink) {
    let error = error.with("conversation_id", conversation.to_string());
    match command {
        Some(Asked { id, open }) => sink.reply(slot, Some(CommandError { id, error }.into()), open),
        None => sink.frame(slot, CommandError { id: None, error }.into()),
    }
}
