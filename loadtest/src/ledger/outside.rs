//! Who was removed from a conversation and has not joined again, at one place of its log (MEMBERS-ONLY).
//!
//! Fed with the events of one log in their order. A removal and a joining are records among the others, so whether a
//! message may stand where it stands follows from what stands before it.

use hubbub_protocol::UserId;

use super::rules::{Findings, Rule};
use crate::client::{Change, Seen};

/// Those who are outside.
#[derive(Debug, Clone, Default)]
pub(super) struct Outside {
    people: Vec<UserId>,
}

impl Outside {
    /// The next event; `author` is whose message it is, if that is known.
    pub(super) fn passes(&mut self, seen: &Seen, author: Option<UserId>, findings: &mut Findings) {
        match seen.change {
            Some(Change::Left(who)) if !self.people.contains(&who) => self.people.push(who),
            Some(Change::Joined(who)) => self.people.retain(|outside| *outside != who),
            Some(Change::Left(_)) | None => {}
        }
        let is_outside = author.is_some_and(|author| self.people.contains(&author));
        findings.add(Rule::NothingFromOutside, u64::from(is_outside), || {
            format!("{}: {} is of somebody who is no member there", seen.conversation_id, seen.sequence)
        });
    }
}
