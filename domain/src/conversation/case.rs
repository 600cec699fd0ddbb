//! What a decision starts from: the question as it stands before a rule, and what several rules ask of it first.

use hubbub_protocol::member::{ConversationKind, Role};
use hubbub_protocol::{ErrorBody, Record, Timestamp, UserId};

use super::refuse::{conflict, forbidden};
use super::roster::Membership;
use super::state::ConversationState;

/// What a decision rests on besides the state and the act.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The time of day, which becomes the records' `created_at`.
    pub now: Timestamp,
    /// The record at [`target`](super::Command::target), read from the log no earlier than the state; `None` where there
    /// is none.
    pub target: Option<&'a Record>,
}

/// What is known while one act of a member is decided.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) state: &'a ConversationState,
    pub(super) author: UserId,
    pub(super) membership: &'a Membership,
    pub(super) context: &'a Context<'a>,
}

impl Case<'_> {
    pub(super) fn check_group(self) -> Result<(), ErrorBody> {
        match self.state.kind() {
            Some(ConversationKind::Group) => Ok(()),
            Some(ConversationKind::Direct) | None => {
                Err(conflict("a direct conversation keeps its two members and has no name: open a group for that"))
            }
        }
    }

    /// Whether the author's rank is enough for `what`.
    pub(super) fn check_rank(self, needed: Role, what: &str) -> Result<(), ErrorBody> {
        if self.membership.role >= needed {
            return Ok(());
        }
        let needed = match needed {
            Role::Owner => "owner",
            Role::Admin | Role::Member => "admin",
        };
        Err(forbidden(needed, what))
    }
}
