//! What later decisions need to know of a conversation, and no more: a fold over its log.
//!
//! Changed only by [`super::evolve()`]. Its serialised form is that of snapshots: sorted, so that equal states have equal
//! bytes, and numbered by [`FORM`], so that another form is ignored and folded anew.

use hubbub_protocol::member::{ConversationKind, Role};
use hubbub_protocol::{Sequence, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::roster::{Membership, Roster};

/// The form of a state in a snapshot. Raise it with any change to what is serialised below, or to what `evolve` folds.
pub const FORM: u16 = 1;

/// A conversation at some head. The default is one that was never opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversationState {
    pub(super) head: Sequence,
    pub(super) kind: Option<ConversationKind>,
    pub(super) name: Box<str>,
    pub(super) description: Box<str>,
    pub(super) members: Roster,
}

impl ConversationState {
    /// The sequence of the last record folded in.
    pub const fn head(&self) -> Sequence {
        self.head
    }

    /// Whether it was ever opened.
    pub const fn exists(&self) -> bool {
        self.kind.is_some()
    }

    /// Direct or group, once opened.
    pub const fn kind(&self) -> Option<ConversationKind> {
        self.kind
    }

    /// The group's name; empty where there is none.
    pub const fn name(&self) -> &str {
        &self.name
    }

    /// The group's description; empty where there is none.
    pub const fn description(&self) -> &str {
        &self.description
    }

    /// What this user is here, if a member.
    pub fn member(&self, user: UserId) -> Option<&Membership> {
        self.members.get(user)
    }

    /// Whether this user is a member.
    pub fn is_member(&self, user: UserId) -> bool {
        self.member(user).is_some()
    }

    /// Every member, in no particular order.
    pub fn members(&self) -> impl Iterator<Item = (UserId, &Membership)> {
        self.members.iter()
    }

    /// How many members there are.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }
}

/// A state as snapshots hold it.
#[derive(Serialize, Deserialize)]
#[serde(rename = "ConversationState")]
struct Written<'a> {
    head: Sequence,
    kind: Option<ConversationKind>,
    #[serde(borrow)]
    name: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    description: std::borrow::Cow<'a, str>,
    members: Vec<(UserId, Role, Sequence)>,
}

impl Serialize for ConversationState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members: Vec<_> = self.members().map(|(user, member)| (user, member.role, member.joined)).collect();
        members.sort_unstable_by_key(|(user, ..)| *user);
        let (name, description) = (self.name().into(), self.description().into());
        Written { head: self.head, kind: self.kind, name, description, members }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ConversationState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let mut members = Roster::with_capacity(written.members.len());
        for (user, role, joined) in written.members {
            members.insert(user, role, joined);
        }
        Ok(Self {
            head: written.head,
            kind: written.kind,
            name: written.name.into(),
            description: written.description.into(),
            members,
        })
    }
}
