//! What a client holds of each of its conversations, and what it has asked for on this connection.
//!
//! Plain data. Keeps the client's side of IN-ORDER and RESUMABLE: every event is compared with the one that is due, and
//! the cursors named at the next login are exactly what came before.

use std::collections::{HashMap, VecDeque};

use hubbub_protocol::frame::Cursor;
use hubbub_protocol::frame::client::{ClientFrame, Resume, Unsubscribe};
use hubbub_protocol::frame::server::{Gap, GapReason, Live};
use hubbub_protocol::{ConversationId, Sequence, limits};

use super::{Following, Via};

/// Cursors that go into `auth`: 100 of them take 8 KiB in JSON, a token 1 KiB, and its frame may have 16 KiB.
const AUTH_CURSORS: usize = 100;

/// How an event stands to the one that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is the one that was due.
    Next,
    /// It, or a later one, came before.
    Back {
        /// What was held already.
        held: Sequence,
    },
    /// Some are missing before it, and no `gap` announced it.
    Skip {
        /// What was held.
        held: Sequence,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The client asks with this command; until it is answered, what comes was not asked for and does not count.
    Awaiting(u64),
    Replaying,
    Live,
    /// Unsubscribed.
    Ignored,
}

struct Held {
    id: ConversationId,
    cursor: Option<Sequence>,
    phase: Phase,
}

#[derive(Default)]
pub(crate) struct Conversations {
    held: Vec<Held>,
    slots: HashMap<ConversationId, usize>,
    commands: VecDeque<ClientFrame>,
    last_command: u64,
}

impl Conversations {
    pub(crate) fn slot(&mut self, id: ConversationId) -> usize {
        let next = self.held.len();
        let slot = *self.slots.entry(id).or_insert(next);
        if slot == next {
            self.held.push(Held { id, cursor: None, phase: Phase::Replaying });
        }
        slot
    }

    pub(crate) fn hold(&mut self, id: ConversationId, after: Sequence) -> usize {
        let slot = self.slot(id);
        if let Some(held) = self.held.get_mut(slot) {
            held.cursor = Some(after);
        }
        slot
    }

    pub(crate) fn id(&self, slot: usize) -> Option<ConversationId> {
        self.held.get(slot).map(|held| held.id)
    }

    pub(crate) fn cursor(&self, slot: usize) -> Option<Sequence> {
        self.held.get(slot).and_then(|held| held.cursor)
    }

    pub(crate) fn all_live(&self) -> bool {
        self.held.iter().all(|held| matches!(held.phase, Phase::Live | Phase::Ignored))
    }

    fn cursors(&self) -> impl Iterator<Item = Cursor> {
        self.held.iter().filter_map(|held| Some(Cursor { conversation_id: held.id, after_seq: held.cursor? }))
    }

    /// The cursors to name in `auth`. The others are named by `resume` right after.
    pub(crate) fn auth_cursors(&self) -> Vec<Cursor> {
        self.cursors().take(AUTH_CURSORS).collect()
    }

    /// A new connection is logged in, with [`Conversations::auth_cursors`] named.
    pub(crate) fn connected(&mut self, following: Following) {
        self.commands.clear();
        if following == Following::Nothing {
            for held in &mut self.held {
                held.phase = Phase::Ignored;
                self.commands.push_back(Unsubscribe { id: None, conversation_id: held.id }.into());
            }
            return;
        }
        for held in &mut self.held {
            held.phase = Phase::Replaying;
        }
        let rest: Vec<Cursor> = self.cursors().skip(AUTH_CURSORS).collect();
        for cursors in rest.chunks(limits::MAX_CURSORS) {
            self.last_command += 1;
            for cursor in cursors {
                if let Some(held) = self.slots.get(&cursor.conversation_id).and_then(|slot| self.held.get_mut(*slot)) {
                    held.phase = Phase::Awaiting(self.last_command);
                }
            }
            let id = Some(command_id(self.last_command));
            self.commands.push_back(Resume { id, conversations: cursors.to_vec() }.into());
        }
    }

    /// Something came of a conversation that is not to be listened to, such as one that another socket of the same person
    /// writes to: it is unsubscribed, once a connection.
    pub(crate) fn ignore(&mut self, id: ConversationId) {
        let slot = self.slot(id);
        if let Some(held) = self.held.get_mut(slot).filter(|held| held.phase != Phase::Ignored) {
            held.phase = Phase::Ignored;
            self.commands.push_back(Unsubscribe { id: None, conversation_id: id }.into());
        }
    }

    pub(crate) fn next_command(&mut self) -> Option<ClientFrame> {
        self.commands.pop_front()
    }

    pub(crate) fn put_back(&mut self, frame: ClientFrame) {
        self.commands.push_front(frame);
    }

    /// A `resume` was answered: what comes of its conversations from here on counts.
    pub(crate) fn command_done(&mut self, id: &str) {
        let number = id.strip_prefix(COMMAND_LETTER).and_then(|number| number.parse().ok());
        for held in &mut self.held {
            if let Phase::Awaiting(awaited) = held.phase
                && Some(awaited) == number
            {
                held.phase = Phase::Replaying;
            }
        }
    }

    /// An event came. `None` if it does not count.
    pub(crate) fn heard(&mut self, id: ConversationId, sequence: Sequence) -> Option<(usize, Step, Via)> {
        let slot = self.slot(id);
        let held = self.held.get_mut(slot)?;
        let via = match held.phase {
            Phase::Awaiting(_) | Phase::Ignored => return None,
            Phase::Replaying => Via::Replay,
            Phase::Live => Via::Live,
        };
        let before = held.cursor.unwrap_or(sequence.previous());
        let step = match sequence.cmp(&before.next()) {
            std::cmp::Ordering::Equal => Step::Next,
            std::cmp::Ordering::Less => Step::Back { held: before },
            std::cmp::Ordering::Greater => Step::Skip { held: before },
        };
        held.cursor = Some(before.max(sequence));
        Some((slot, step, via))
    }

    /// A range was announced as missing: the cursor stands after it.
    pub(crate) fn gap(&mut self, gap: &Gap) -> Option<usize> {
        let slot = self.slot(gap.conversation_id);
        let held = self.held.get_mut(slot)?;
        if matches!(held.phase, Phase::Awaiting(_) | Phase::Ignored) {
            return None;
        }
        held.cursor = match gap.reason {
            GapReason::NotMember | GapReason::NotRetained | GapReason::Damaged => held.cursor.max(Some(gap.to)),
            // The log ends below: what was held above is of a history that is no more.
            GapReason::AheadOfLog => Some(gap.from.previous()),
            GapReason::NoAccess => None,
        };
        Some(slot)
    }

    /// A replay is over. Gives what is held.
    pub(crate) fn live(&mut self, live: &Live) -> Option<(usize, Sequence)> {
        let slot = self.slot(live.conversation_id);
        let held = self.held.get_mut(slot)?;
        if matches!(held.phase, Phase::Awaiting(_) | Phase::Ignored) {
            return None;
        }
        held.phase = Phase::Live;
        Some((slot, *held.cursor.get_or_insert(live.seq)))
    }
}

/// Before the number of a command of ours, so that no send has the same id.
const COMMAND_LETTER: char = 'r';

/// Whether a command's id is one of ours.
pub(super) fn is_command(id: &str) -> bool {
    id.starts_with(COMMAND_LETTER)
}

fn command_id(number: u64) -> String {
    format!("{COMMAND_LETTER}{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> ConversationId {
        ConversationId::from_bytes([number; 16])
    }

    fn live(number: u8, seq: u64) -> Live {
        Live { conversation_id: id(number), seq: Sequence::new(seq) }
    }

    #[test]
    fn events_are_compared_with_the_one_that_is_due() {
        let mut conversations = Conversations::default();
        conversations.hold(id(1), Sequence::new(5));
        conversations.connected(Following::All);
        let mut heard = |seq| conversations.heard(id(1), Sequence::new(seq)).map(|(_, step, _)| step);
        assert_eq!(heard(6), Some(Step::Next));
        assert_eq!(heard(6), Some(Step::Back { held: Sequence::new(6) }));
        assert_eq!(heard(9), Some(Step::Skip { held: Sequence::new(6) }));
        assert_eq!(heard(8), Some(Step::Back { held: Sequence::new(9) }));
        assert_eq!(heard(10), Some(Step::Next), "IN-ORDER: the cursor never goes back");
    }

    #[test]
    fn a_replay_ends_with_live_and_a_new_connection_replays_again() {
        let mut conversations = Conversations::default();
        conversations.hold(id(1), Sequence::new(5));
        conversations.connected(Following::All);
        let via = |conversations: &mut Conversations, seq| conversations.heard(id(1), Sequence::new(seq)).map(|h| h.2);
        assert_eq!(via(&mut conversations, 6), Some(Via::Replay));
        assert_eq!(conversations.live(&live(1, 6)), Some((0, Sequence::new(6))));
        assert!(conversations.all_live());
        assert_eq!(via(&mut conversations, 7), Some(Via::Live));
        conversations.connected(Following::All);
        assert!(!conversations.all_live());
        let cursor = Cursor { conversation_id: id(1), after_seq: Sequence::new(7) };
        assert_eq!(conversations.auth_cursors(), [cursor], "RESUMABLE: from exactly what came before");
    }

    #[test]
    fn what_comes_before_a_late_resume_is_answered_does_not_count() {
        let mut conversations = Conversations::default();
        for number in 0..=100 {
            conversations.hold(id(number), Sequence::new(5));
        }
        conversations.connected(Following::All);
        assert_eq!(conversations.auth_cursors().len(), 100);
        let Some(ClientFrame::Resume(resume)) = conversations.next_command() else { panic!("no resume") };
        assert_eq!(resume.conversations.len(), 1);
        assert!(conversations.live(&live(100, 9)).is_none());
        assert!(conversations.heard(id(100), Sequence::new(10)).is_none());
        conversations.command_done(resume.id.as_deref().expect("an id"));
        assert_eq!(conversations.heard(id(100), Sequence::new(6)).map(|heard| heard.1), Some(Step::Next));
    }

    #[test]
    fn a_conversation_that_was_never_heard_of_begins_where_it_is_heard() {
        let mut conversations = Conversations::default();
        conversations.connected(Following::All);
        assert_eq!(conversations.heard(id(1), Sequence::new(8)).map(|heard| heard.1), Some(Step::Next));
        assert_eq!(conversations.live(&live(2, 4)), Some((1, Sequence::new(4))));
        assert_eq!(conversations.heard(id(2), Sequence::new(5)).map(|heard| heard.1), Some(Step::Next));
    }

    #[test]
    fn a_gap_moves_the_cursor_behind_it() {
        let mut conversations = Conversations::default();
        conversations.hold(id(1), Sequence::ZERO);
        conversations.connected(Following::All);
        let gap =
            Gap { conversation_id: id(1), from: Sequence::new(1), to: Sequence::new(3), reason: GapReason::NotMember };
        assert_eq!(conversations.gap(&gap), Some(0));
        assert_eq!(conversations.heard(id(1), Sequence::new(4)).map(|heard| heard.1), Some(Step::Next));
    }
}
