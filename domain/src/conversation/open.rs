//! Beginning a conversation.

use std::collections::HashSet;

use hubbub_protocol::limits::MAX_NAME_BYTES;
use hubbub_protocol::member::{ConversationKind, Member, Role};
use hubbub_protocol::record::Opened;
use hubbub_protocol::{ErrorBody, RecordBody, UserId};
use smallvec::smallvec;

use super::command::Open;
use super::decide::Bodies;
use super::refuse::{check_people, conflict};
use super::state::ConversationState;
use crate::fields::{check_text, invalid};

pub(super) fn open(state: &ConversationState, author: UserId, open: &Open) -> Result<Bodies, ErrorBody> {
    let members = match open.kind {
        ConversationKind::Direct => direct(author, open)?,
        ConversationKind::Group => group(author, open)?,
    };
    if !state.exists() {
        return Ok(smallvec![RecordBody::Opened(Opened { kind: open.kind, name: open.name.clone(), members })]);
    }
    let same = open.kind == ConversationKind::Direct
        && state.kind() == Some(ConversationKind::Direct)
        && members.iter().all(|member| state.is_member(member.user_id));
    // A direct conversation is found by its pair, so opening it again, or losing the race to, is no mistake.
    if same { Ok(Bodies::new()) } else { Err(conflict("this conversation was opened already")) }
}

fn direct(author: UserId, open: &Open) -> Result<Vec<Member>, ErrorBody> {
    if !open.name.is_empty() {
        return Err(invalid("name", "a direct conversation has no name: leave `name` out, or open a group"));
    }
    match open.others[..] {
        [other] if other != author => Ok([author, other].map(|user_id| Member { user_id, role: Role::Member }).into()),
        [_] => Err(invalid("user_id", "a direct conversation is with another: name one that is not you")),
        _ => Err(invalid("user_id", "a direct conversation has exactly one other member: name one, or open a group")),
    }
}

fn group(author: UserId, open: &Open) -> Result<Vec<Member>, ErrorBody> {
    check_text("name", &open.name, "max_name_bytes", MAX_NAME_BYTES)?;
    check_people("member_ids", open.others.len())?;
    let mut seen = HashSet::from([author]);
    let others = open.others.iter().filter(|user| seen.insert(**user));
    let others = others.map(|user_id| Member { user_id: *user_id, role: Role::Member });
    Ok([Member { user_id: author, role: Role::Owner }].into_iter().chain(others).collect())
}
