//! Who belongs to a group, and with which rank. A direct conversation's two members never change.
//!
//! Ranks: an admin adds people and removes members; the owner also removes admins, names them and hands the group on.

use std::collections::HashSet;

use hubbub_protocol::limits::{MAX_GROUP_MEMBERS, MAX_MEMBERS_PER_REQUEST};
use hubbub_protocol::member::{Member, Role};
use hubbub_protocol::record::{MemberAdded, MemberRemoved, RoleChanged};
use hubbub_protocol::{ErrorBody, ErrorCode, RecordBody};
use hubbub_storage::log::MAX_APPEND_RECORDS;
use smallvec::smallvec;

use super::case::Case;
use super::command::{AddMembers, ChangeRole, RemoveMember};
use super::decide::Bodies;
use super::refuse::{check_people, conflict, forbidden};
use crate::fields::invalid;

// Adding is one record a person, and an act is stored whole or not at all.
const _: () = assert!(MAX_MEMBERS_PER_REQUEST <= MAX_APPEND_RECORDS, "one request's members fit into one append");

pub(super) fn add(case: Case<'_>, add: &AddMembers) -> Result<Bodies, ErrorBody> {
    case.check_group()?;
    case.check_rank(Role::Admin, "adding members")?;
    check_people("user_ids", add.user_ids.len())?;
    if add.user_ids.is_empty() {
        return Err(invalid("user_ids", "`user_ids` is empty: name at least one person"));
    }
    let mut seen = HashSet::with_capacity(add.user_ids.len());
    let missing = add.user_ids.iter().filter(|user| !case.state.is_member(**user) && seen.insert(**user));
    let added: Bodies = missing
        .map(|user_id| {
            RecordBody::MemberAdded(MemberAdded { member: Member { user_id: *user_id, role: Role::Member } })
        })
        .collect();
    if case.state.member_count() + added.len() > MAX_GROUP_MEMBERS {
        let message =
            format!("a group has at most {MAX_GROUP_MEMBERS} members: remove some first, or open another group");
        return Err(ErrorBody::new(ErrorCode::LimitReached, message)
            .with("limit", "max_group_members")
            .with("max", MAX_GROUP_MEMBERS));
    }
    Ok(added)
}

/// Removing somebody who is not there is done already.
pub(super) fn remove(case: Case<'_>, remove: RemoveMember) -> Result<Bodies, ErrorBody> {
    case.check_group()?;
    if remove.user_id == case.author {
        return leave(case);
    }
    case.check_rank(Role::Admin, "removing members")?;
    let Some(target) = case.state.member(remove.user_id) else { return Ok(Bodies::new()) };
    if target.role >= case.membership.role {
        return Err(forbidden("owner", "removing a member of one's own rank or above"));
    }
    Ok(smallvec![RecordBody::MemberRemoved(MemberRemoved { user_id: remove.user_id })])
}

fn leave(case: Case<'_>) -> Result<Bodies, ErrorBody> {
    if case.membership.role == Role::Owner && case.state.member_count() > 1 {
        return Err(conflict("the owner cannot leave a group with members: make another member the owner first"));
    }
    Ok(smallvec![RecordBody::MemberRemoved(MemberRemoved { user_id: case.author })])
}

pub(super) fn change_role(case: Case<'_>, change: ChangeRole) -> Result<Bodies, ErrorBody> {
    case.check_group()?;
    case.check_rank(Role::Owner, "changing a rank")?;
    let member = Member { user_id: change.user_id, role: change.role };
    let Some(target) = case.state.member(change.user_id) else {
        let message = "`user_id` is no member of this group: add them first";
        return Err(ErrorBody::new(ErrorCode::NotFound, message).with("field", "user_id"));
    };
    if target.role == change.role {
        return Ok(Bodies::new());
    }
    if change.user_id == case.author {
        return Err(conflict("a group always has an owner: make another member the owner, and you become an admin"));
    }
    Ok(smallvec![RecordBody::RoleChanged(RoleChanged { member })])
}
