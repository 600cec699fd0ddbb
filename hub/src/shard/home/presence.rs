//! Who is told that somebody came, went or writes: on this node by the directory, on others by what they said.
//!
//! Ephemeral, and only in small conversations. A person is as present as their most present node; what a node said of its
//! people is forgotten with it, so a crash leaves no ghosts.

use std::collections::HashMap;

use hubbub_domain::cluster::Word;
use hubbub_domain::conversation::ConversationState;
use hubbub_protocol::frame::client::PresenceStatus;
use hubbub_protocol::frame::server::{PresenceNotice, TypingNotice};
use hubbub_protocol::{ConversationId, NodeId, UserId};
use hubbub_storage::bus::Topic;

use super::conversation::Conversation;
use super::{HomeCore, HomeOutput};
use crate::directory::Directory;
use crate::frame::SharedFrame;
use crate::message::{Class, ConnectionKey, EdgeInput};

/// Above so many members nobody is told that somebody writes: the notices would outnumber the messages.
const TYPING_MAX_MEMBERS: usize = 200;
/// Above so many members nobody is told who comes and goes.
pub(super) const PRESENCE_MAX_MEMBERS: usize = 50;

/// Members of one conversation on other nodes. BOUNDED: by [`PRESENCE_MAX_MEMBERS`] and the nodes there can be.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere(HashMap<UserId, Vec<(NodeId, PresenceStatus)>>);

impl Elsewhere {
    fn set(&mut self, user: UserId, node: NodeId, status: PresenceStatus) {
        let places = self.0.entry(user).or_default();
        places.retain(|(known, _)| *known != node);
        if status != PresenceStatus::Offline {
            places.push((node, status));
        }
        if places.is_empty() {
            self.0.remove(&user);
        }
    }

    fn people_of(&self, node: NodeId) -> Vec<UserId> {
        let here = |places: &[(NodeId, PresenceStatus)]| places.iter().any(|(known, _)| *known == node);
        self.0.iter().filter(|(_, places)| here(places)).map(|(user, _)| *user).collect()
    }

    /// How a person is on all nodes together.
    fn status(&self, directory: &Directory, user: UserId) -> PresenceStatus {
        let there = self.0.get(&user).into_iter().flatten().map(|(_, status)| *status);
        let all: Vec<PresenceStatus> = there.chain(directory.status(user)).collect();
        if all.contains(&PresenceStatus::Online) {
            PresenceStatus::Online
        } else if all.is_empty() {
            PresenceStatus::Offline
        } else {
            PresenceStatus::Away
        }
    }
}

impl Conversation {
    /// Whether this person's ephemeral notices reach the others.
    fn lets_hear(&self, user: UserId, max_members: usize) -> bool {
        self.state.as_ref().is_some_and(|state| state.member_count() <= max_members && state.is_member(user))
    }

    /// Notes what a node said of somebody, and tells those here if it changes how they are.
    fn note(
        &mut self,
        id: ConversationId,
        directory: &Directory,
        (user, node, status): (UserId, NodeId, PresenceStatus),
        out: &mut Vec<HomeOutput>,
    ) {
        let before = self.elsewhere.status(directory, user);
        self.elsewhere.set(user, node, status);
        let after = self.elsewhere.status(directory, user);
        if before != after {
            let frame = SharedFrame::new(PresenceNotice { user_id: user, status: after });
            self.notify(id, &frame, Some(user), Class::Ephemeral, out);
        }
    }

    /// The newcomer hears who is there.
    pub(super) fn introduce(
        &self,
        state: &ConversationState,
        directory: &Directory,
        (user, key): (UserId, ConnectionKey),
        out: &mut Vec<HomeOutput>,
    ) {
        for (other, _) in state.members().filter(|(other, _)| *other != user) {
            let status = self.elsewhere.status(directory, other);
            if status != PresenceStatus::Offline {
                let frame = SharedFrame::new(PresenceNotice { user_id: other, status });
                out.push(HomeOutput::ToEdge { shard: key.shard, input: EdgeInput::Whisper { key, frame } });
            }
        }
    }
}

impl HomeCore {
    /// Somebody here writes, or stopped.
    pub(super) fn typing(&mut self, id: ConversationId, user: UserId, active: bool, out: &mut Vec<HomeOutput>) {
        if self.told_typing(id, user, active, out) {
            self.say(Topic::Conversation(id), || Word::Typing { user_id: user, active }, out);
        }
    }

    /// Tells those here; false if nobody may be told.
    pub(super) fn told_typing(
        &mut self,
        id: ConversationId,
        user: UserId,
        active: bool,
        out: &mut Vec<HomeOutput>,
    ) -> bool {
        let Some(conversation) = self.conversations.get(&id) else { return false };
        let lets_hear = conversation.lets_hear(user, TYPING_MAX_MEMBERS);
        if lets_hear {
            let frame = SharedFrame::new(TypingNotice { conversation_id: id, user_id: user, active });
            conversation.notify(id, &frame, Some(user), Class::Ephemeral, out);
        }
        lets_hear
    }

    /// Somebody came to this node, left it, or looks away.
    pub(super) fn presence(
        &mut self,
        id: ConversationId,
        user: UserId,
        status: PresenceStatus,
        out: &mut Vec<HomeOutput>,
    ) {
        let Some(conversation) = self.conversations.get(&id) else { return };
        if !conversation.lets_hear(user, PRESENCE_MAX_MEMBERS) {
            return;
        }
        // They may still be on another node, or back here by now.
        let all = conversation.elsewhere.status(&self.directory, user);
        let frame = SharedFrame::new(PresenceNotice { user_id: user, status: all });
        conversation.notify(id, &frame, Some(user), Class::Ephemeral, out);
        self.say(Topic::Conversation(id), || Word::Presence { user_id: user, status }, out);
    }

    /// Somebody came to another node, left it, or looks away.
    pub(super) fn presence_elsewhere(
        &mut self,
        id: ConversationId,
        from: NodeId,
        user: UserId,
        status: PresenceStatus,
        out: &mut Vec<HomeOutput>,
    ) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if conversation.lets_hear(user, PRESENCE_MAX_MEMBERS) {
            conversation.note(id, &self.directory, (user, from, status), out);
        }
    }

    /// Another node asks which members are here.
    pub(super) fn who_is_here(&mut self, id: ConversationId, out: &mut Vec<HomeOutput>) {
        let Some(state) = self.conversations.get(&id).and_then(|conversation| conversation.state.as_ref()) else {
            return;
        };
        if state.member_count() > PRESENCE_MAX_MEMBERS {
            return;
        }
        let here = |(user, _)| Some((user, self.directory.status(user)?));
        let people = state.members().filter_map(here).collect();
        self.say(Topic::Conversation(id), || Word::Here { people }, out);
    }

    /// Another node said which members are there.
    pub(super) fn here(
        &mut self,
        id: ConversationId,
        from: NodeId,
        people: Vec<(UserId, PresenceStatus)>,
        out: &mut Vec<HomeOutput>,
    ) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        for user in conversation.elsewhere.people_of(from) {
            if people.iter().all(|(named, _)| *named != user) {
                conversation.note(id, &self.directory, (user, from, PresenceStatus::Offline), out);
            }
        }
        for (user, status) in people {
            if conversation.lets_hear(user, PRESENCE_MAX_MEMBERS) {
                conversation.note(id, &self.directory, (user, from, status), out);
            }
        }
    }

    /// A node is gone, and its people with it.
    pub(crate) fn node_lost(&mut self, node: NodeId, out: &mut Vec<HomeOutput>) {
        for (id, conversation) in &mut self.conversations {
            for user in conversation.elsewhere.people_of(node) {
                conversation.note(*id, &self.directory, (user, node, PresenceStatus::Offline), out);
            }
        }
    }
}
