//! How a wish to follow a conversation is answered: from the ring if that has all that is missing, else from the log.
//!
//! A socket counts as a follower only from the answer on that gives it everything up to the live edge; deliveries go
//! through the same FIFO behind it, so nothing is missed and nothing comes twice (IN-ORDER, RESUMABLE). A socket that is
//! further behind reads the log and asks again from where it got to.

use hubbub_domain::conversation::{ConversationState, Membership};
use hubbub_protocol::Sequence;
use hubbub_protocol::frame::server::{Gap, GapReason};

use crate::message::{Answer, Subscribe, Subscribed};
use crate::shard::ring::Ring;

/// The answer, and whether the socket follows from it on.
pub(super) fn answer(ring: &Ring, state: &ConversationState, subscribe: &Subscribe) -> (bool, Answer) {
    let Some(membership) = state.member(subscribe.user) else {
        return (false, Answer::NotMember { after: subscribe.after });
    };
    let head = state.head();
    let (gap, after) = start(membership, subscribe, head);
    match ring.above(subscribe.conversation, after, head) {
        Some(recent) => (true, Answer::Caught { gap, after, recent, head }),
        None => (false, Answer::Behind { gap, after, head }),
    }
}

/// From where on the socket can be given what it lacks, and what it cannot be given.
fn start(membership: &Membership, subscribe: &Subscribe, head: Sequence) -> (Option<Gap>, Sequence) {
    let Some(cursor) = subscribe.after else { return (None, head) };
    let gap = |from, to, reason| Some(Gap { conversation_id: subscribe.conversation, from, to, reason });
    let before_joining = membership.joined.previous();
    if cursor > head {
        (gap(head.next(), cursor, GapReason::AheadOfLog), head)
    } else if cursor < before_joining {
        (gap(cursor.next(), before_joining, GapReason::NotMember), before_joining)
    } else {
        (None, cursor)
    }
}

/// The answer with what asked for it.
pub(super) fn subscribed(subscribe: Subscribe, answer: Answer) -> Subscribed {
    let Subscribe { conversation, key, wish, command, .. } = subscribe;
    Subscribed { conversation, key, wish, command, answer }
}

/// Whether it can be answered from a state that may be a little old: it asks for nothing that this state does not have.
pub(super) fn is_plain(state: &ConversationState, subscribe: &Subscribe) -> bool {
    state.is_member(subscribe.user) && subscribe.after.is_none_or(|after| after <= state.head())
}
