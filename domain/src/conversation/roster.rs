//! The members of a conversation: a short list while they are few, a hash map beyond.
//!
//! Most conversations have two members, for whom a map would cost three times the memory of a list; the largest have ten
//! thousand, for whom every message would walk a list.

use std::collections::HashMap;

use hubbub_protocol::member::Role;
use hubbub_protocol::{Sequence, UserId};

/// Up to this many, a scan over 32-byte entries is as fast as a hash.
const FEW: usize = 8;

/// What a member is in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The rank.
    pub role: Role,
    /// The record by which they joined, the last time they did: they read from it on.
    pub joined: Sequence,
}

/// Who is a member, found in constant time.
#[derive(Debug, Clone)]
pub(super) enum Roster {
    Few(Vec<(UserId, Membership)>),
    Many(HashMap<UserId, Membership>),
}

impl Default for Roster {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

/// Equal if they hold the same members, in whatever order and form.
impl PartialEq for Roster {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(user, membership)| other.get(user) == Some(membership))
    }
}

impl Eq for Roster {}

impl Roster {
    /// Room for so many, without slack.
    pub(super) fn with_capacity(count: usize) -> Self {
        if count > FEW { Self::Many(HashMap::with_capacity(count)) } else { Self::Few(Vec::with_capacity(count)) }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    pub(super) fn get(&self, user: UserId) -> Option<&Membership> {
        match self {
            Self::Few(few) => few.iter().find(|(known, _)| *known == user).map(|(_, membership)| membership),
            Self::Many(many) => many.get(&user),
        }
    }

    pub(super) fn insert(&mut self, user: UserId, role: Role, joined: Sequence) {
        self.remove(user);
        let membership = Membership { role, joined };
        match self {
            Self::Few(few) if few.len() < FEW => few.push((user, membership)),
            Self::Few(few) => {
                *self = Self::Many(few.drain(..).chain([(user, membership)]).collect());
            }
            Self::Many(many) => {
                many.insert(user, membership);
            }
        }
    }

    pub(super) fn set_role(&mut self, user: UserId, role: Role) {
        let found = match self {
            Self::Few(few) => few.iter_mut().find(|(known, _)| *known == user).map(|(_, membership)| membership),
            Self::Many(many) => many.get_mut(&user),
        };
        if let Some(membership) = found {
            membership.role = role;
        }
    }

    pub(super) fn remove(&mut self, user: UserId) {
        match self {
            Self::Few(few) => few.retain(|(known, _)| *known != user),
            Self::Many(many) => {
                many.remove(&user);
            }
        }
    }

    /// In no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (UserId, &Membership)> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many)),
        };
        let few = few.into_iter().flatten().map(|(user, membership)| (*user, membership));
        few.chain(many.into_iter().flatten().map(|(user, membership)| (*user, membership)))
    }
}
