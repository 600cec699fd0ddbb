//! Who is told of a record besides those who are members before and after it: for sockets, and later for webhooks and
//! notifications alike (MEMBERS-ONLY).

use hubbub_protocol::{RecordBody, UserId};

/// Who comes into or goes out of the audience with a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audience {
    /// They are told of everything from this record on.
    pub joins: Vec<UserId>,
    /// They are told of this record last.
    pub leaves: Vec<UserId>,
}

/// The change of audience that a record brings.
pub fn audience(body: &RecordBody) -> Audience {
    match body {
        RecordBody::Opened(opened) => {
            Audience { joins: opened.members.iter().map(|member| member.user_id).collect(), leaves: Vec::new() }
        }
        RecordBody::MemberAdded(added) => Audience { joins: vec![added.member.user_id], leaves: Vec::new() },
        RecordBody::MemberRemoved(removed) => Audience { joins: Vec::new(), leaves: vec![removed.user_id] },
        RecordBody::Message(_)
        | RecordBody::Recalled(_)
        | RecordBody::Reaction(_)
        | RecordBody::RoleChanged(_)
        | RecordBody::GroupUpdated(_) => Audience::default(),
    }
}
