//! The one place that says what may be done in a conversation: a command against a state gives records or a refusal.
//!
//! Pure, and total over states: the same answer for the same question, on every node. Keeps MEMBERS-ONLY: whoever is no
//! member in the state is answered as if there were no conversation, before anything else is looked at.

use hubbub_protocol::{ErrorBody, RecordBody};
use hubbub_storage::log::NewRecord;
use smallvec::SmallVec;

use super::case::{Case, Context};
use super::command::{Act, Command};
use super::state::ConversationState;
use super::{members, messages, open, refuse, settings};

/// What an act brings: one record, mostly.
pub type Records = SmallVec<[NewRecord; 1]>;
/// The same, before they have an author and a time.
pub(super) type Bodies = SmallVec<[RecordBody; 1]>;

/// The records that carry out an act, to be appended right after the state's head, all or none.
///
/// No records mean that all is as the act wants it, and nothing is to be stored. The client's id goes to the first record
/// alone.
///
/// # Errors
///
/// The refusal to send: its code, and in `params` the field, the limit and the way out.
pub fn decide(state: &ConversationState, act: &Act, context: &Context<'_>) -> Result<Records, ErrorBody> {
    let bodies = decide_bodies(state, act, context)?;
    let mut client_message_id = act.client_message_id;
    let into_record = |body| NewRecord {
        author: act.author,
        created_at: context.now,
        client_message_id: client_message_id.take(),
        body,
    };
    Ok(bodies.into_iter().map(into_record).collect())
}

fn decide_bodies(state: &ConversationState, act: &Act, context: &Context<'_>) -> Result<Bodies, ErrorBody> {
    let author = act.author.sender_id;
    if let Command::Open(open) = &act.command {
        return open::open(state, author, open);
    }
    // MEMBERS-ONLY: nobody else gets past here, and what never was opened has no members.
    let membership = state.member(author).ok_or_else(refuse::not_found)?;
    let case = Case { state, author, membership, context };
    match &act.command {
        Command::Open(_) => Ok(Bodies::new()),
        Command::Send(send) => messages::send(case, send),
        Command::Recall(recall) => messages::recall(case, *recall),
        Command::React(react) => messages::react(case, react),
        Command::AddMembers(add) => members::add(case, add),
        Command::RemoveMember(remove) => members::remove(case, *remove),
        Command::ChangeRole(change) => members::change_role(case, *change),
        Command::UpdateGroup(update) => settings::update(case, update),
    }
}
