//! A socket that believes nothing: it checks each frame against the one before and against the log's members.

use std::collections::{HashMap, HashSet};

use hubbub_protocol::frame::client::PresenceStatus;
use hubbub_protocol::frame::server::{GapReason, ServerFrame};
use hubbub_protocol::{ConversationId, Sequence, UserId};

use crate::message::ConnectionKey;

/// A socket and what it heard.
pub(super) struct Reader {
    pub(super) user: UserId,
    pub(super) key: ConnectionKey,
    /// What it holds of each conversation.
    pub(super) held: HashMap<ConversationId, Held>,
    /// How others are, as it was told last. Whom it was told nothing of, is not there.
    pub(super) told: HashMap<UserId, PresenceStatus>,
    /// Of whom it was told something that may be old: they, or it, left a conversation since.
    pub(super) parted: HashSet<UserId>,
    pub(super) heard: u64,
}

/// What it holds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) cursor: Option<Sequence>,
    /// It asked, and `live` is still to come.
    pub(super) waits: bool,
}

impl Reader {
    pub(super) fn new(user: UserId, key: ConnectionKey) -> Self {
        Self { user, key, held: HashMap::new(), told: HashMap::new(), parted: HashSet::new(), heard: 0 }
    }

    /// It asks for a conversation from what it holds; with `None` it starts at the live edge.
    pub(super) fn asks(&mut self, conversation: ConversationId, after: Option<Sequence>) {
        self.held.insert(conversation, Held { cursor: after, waits: true });
    }

    /// Somebody leaves a conversation: what is told of them there from now on, or of the others if it is the reader, is
    /// not heard.
    fn parts(&mut self, user: UserId, conversation: ConversationId) {
        if user == self.user {
            self.held.remove(&conversation);
            self.parted.extend(self.told.keys());
        } else {
            self.parted.insert(user);
        }
    }

    /// Takes an event or a `live` or a `gap`, or hears how somebody is.
    pub(super) fn hears(&mut self, seed: u64, frame: &ServerFrame) {
        let context = format!("seed {seed}, {:?} hears {frame:?} and holds {:?}", self.key, self.held);
        match frame {
            ServerFrame::PresenceNotice(notice) => {
                self.told.insert(notice.user_id, notice.status);
                self.parted.remove(&notice.user_id);
            }
            ServerFrame::Live(live) => {
                let held = self.held.entry(live.conversation_id).or_default();
                assert!(held.cursor.is_none_or(|cursor| cursor == live.seq), "RESUMABLE: live, but not all: {context}");
                *held = Held { cursor: Some(live.seq), waits: false };
            }
            ServerFrame::Gap(gap) if gap.reason == GapReason::AheadOfLog => {
                self.held.insert(gap.conversation_id, Held { cursor: Some(gap.from.previous()), waits: true });
            }
            ServerFrame::Gap(gap) if gap.reason == GapReason::NoAccess => self.parts(self.user, gap.conversation_id),
            ServerFrame::Gap(gap) => {
                let held = self.held.entry(gap.conversation_id).or_default();
                if let Some(cursor) = held.cursor {
                    assert_eq!(gap.from, cursor.next(), "IN-ORDER: {context}");
                }
                held.cursor = Some(gap.to);
            }
            other => {
                let Some(event) = other.clone().into_event() else { return };
                let place = event.place();
                let held = self.held.entry(place.conversation_id).or_default();
                if let Some(cursor) = held.cursor {
                    assert_eq!(place.sequence, cursor.next(), "IN-ORDER: {context}");
                }
                held.cursor = Some(place.sequence);
                self.heard += 1;
                if let ServerFrame::MemberRemoved(removed) = other {
                    self.parts(removed.user_id, place.conversation_id);
                }
            }
        }
    }
}
