//! What a stored record does to the state. Total: what the log holds was decided, and is never refused afterwards.

use hubbub_protocol::member::{ConversationKind, Role};
use hubbub_protocol::record::{Author, GroupUpdated, Opened, RoleChanged};
use hubbub_protocol::{RecordBody, Sequence};

use super::roster::Roster;
use super::state::ConversationState;

/// Folds one record into the state. Records come in the order of the log, none left out (GAPLESS).
pub fn evolve(state: &mut ConversationState, sequence: Sequence, author: &Author, body: &RecordBody) {
    debug_assert_eq!(sequence, state.head.next(), "GAPLESS: records are folded one after the other");
    state.head = sequence;
    match body {
        RecordBody::Opened(opened) => open(state, sequence, opened),
        RecordBody::MemberAdded(added) => state.members.insert(added.member.user_id, added.member.role, sequence),
        RecordBody::MemberRemoved(removed) => state.members.remove(removed.user_id),
        RecordBody::RoleChanged(changed) => change_role(state, author, changed),
        RecordBody::GroupUpdated(updated) => update(state, updated),
        // No later decision asks for these: a recall or reaction reads its target from the log.
        RecordBody::Message(_) | RecordBody::Recalled(_) | RecordBody::Reaction(_) => {}
    }
}

fn open(state: &mut ConversationState, sequence: Sequence, opened: &Opened) {
    state.kind = Some(opened.kind);
    state.name = opened.name.as_str().into();
    state.members = Roster::with_capacity(opened.members.len());
    for member in &opened.members {
        state.members.insert(member.user_id, member.role, sequence);
    }
}

/// A group has one owner: whoever names another becomes an admin.
fn change_role(state: &mut ConversationState, author: &Author, changed: &RoleChanged) {
    let member = changed.member;
    if member.role == Role::Owner && member.user_id != author.sender_id && state.kind == Some(ConversationKind::Group) {
        state.members.set_role(author.sender_id, Role::Admin);
    }
    state.members.set_role(member.user_id, member.role);
}

fn update(state: &mut ConversationState, updated: &GroupUpdated) {
    if let Some(name) = &updated.name {
        state.name = name.as_str().into();
    }
    if let Some(description) = &updated.description {
        state.description = description.as_str().into();
    }
}
