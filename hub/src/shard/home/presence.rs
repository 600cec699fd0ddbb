//! Who is told that somebody came, went or writes: on this node by the directory, on others by what they said.
//!
//! Ephemeral, and only in small conversations. A person is as present as their most present node; what a node said of its
//! people is forgotten with it, so a crash leaves no ghosts.

use std::collections::HashMap;
use std::sync::Arc;

use hubbub_domain::cluster::Word;
use hubbub_domain::conversation::ConversationState;
use hubbub_protocol::frame::client::PresenceStatus;
use hubbub_protocol::frame::server::{PresenceNotice, TypingNotice};
use hubbub_protocol::{ConversationId, NodeId, UserId};
use hubbub_storage::bus::Topic;

use super::conversation::{Conversation, Watch};
use super::{HomeCore, HomeOutput};
use crate::directory::Directory;
use crate::frame::SharedFrame;
use crate::message::{Class, ConnectionKey, EdgeInput};

/// Above so many members nobody is told that somebody writes: the notices would outnumber the messages.
const TYPING_MAX_MEMBERS: usize = 200;
/// Above so many members nobody is told who comes and goes.
pub(super) const PRESENCE_MAX_MEMBERS: usize = 50;

/// How the members of one conversation are, and who was told what of it.
///
/// BOUNDED: by [`PRESENCE_MAX_MEMBERS`] and the nodes there can be.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts {
    /// On other nodes, as those said.
    elsewhere: HashMap<UserId, Vec<(NodeId, PresenceStatus)>>,
    /// On all nodes together, as those who follow it here were told last. Whoever is not named is offline.
    shown: HashMap<UserId, PresenceStatus>,
    /// On this node, as the others were told last.
    said: HashMap<UserId, PresenceStatus>,
    /// Those who joined and were not shown around yet.
    newcomers: Vec<UserId>,
    /// Nodes that were asked for their people and have not said since; and those that had not at the look before.
    silent: Vec<NodeId>,
    overdue: Vec<NodeId>,
    /// Another node waits to hear who is here.
    asked: bool,
    /// Something of all this may have changed.
    changed: bool,
}

impl Whereabouts {
    /// Somebody joined or left: the next look tells.
    pub(super) fn roster_changed(&mut self, joins: impl Iterator<Item = UserId>) {
        self.newcomers.extend(joins);
        self.changed = true;
    }

    /// Everything has to be looked at anew.
    pub(super) const fn doubt(&mut self) {
        self.changed = true;
    }

    /// All nodes are asked for their people. One that does not listen any more has none who follow.
    pub(super) fn asks(&mut self) {
        self.silent = self.elsewhere.values().flatten().map(|(node, _)| *node).collect();
    }

    /// A look at this conversation: what is still unsaid since the look before will not be said.
    pub(super) fn look(&mut self) {
        for node in std::mem::replace(&mut self.overdue, std::mem::take(&mut self.silent)) {
            self.forget_node(node);
        }
        self.changed = true;
    }

    /// Nobody follows any more: the others hear that there is nothing more to hear.
    pub(super) fn farewell(&mut self, id: ConversationId, out: &mut Vec<HomeOutput>) {
        if !std::mem::take(self).said.is_empty() {
            let word = Box::new(Word::Here { people: Vec::new() });
            out.push(HomeOutput::Say { topic: Topic::Conversation(id), word });
        }
    }

    fn set(&mut self, user: UserId, node: NodeId, status: PresenceStatus) {
        let places = self.elsewhere.entry(user).or_default();
        places.retain(|(known, _)| *known != node);
        if status != PresenceStatus::Offline {
            places.push((node, status));
        }
        if places.is_empty() {
            self.elsewhere.remove(&user);
        }
        self.changed = true;
    }

    /// A node has said who is there, and all before that is forgotten.
    fn has_said(&mut self, node: NodeId) {
        self.silent.retain(|known| *known != node);
        self.overdue.retain(|known| *known != node);
        self.forget_node(node);
    }

    fn forget_node(&mut self, node: NodeId) {
        self.elsewhere.retain(|_, places| {
            places.retain(|(known, _)| *known != node);
            !places.is_empty()
        });
        self.changed = true;
    }

    fn keep(&mut self, stays: impl Fn(UserId) -> bool) {
        self.elsewhere.retain(|user, _| stays(*user));
        self.shown.retain(|user, _| stays(*user));
        self.said.retain(|user, _| stays(*user));
    }

    /// How a person is on all nodes together.
    fn status(&self, directory: &Directory, user: UserId) -> PresenceStatus {
        let there = self.elsewhere.get(&user).into_iter().flatten().map(|(_, status)| *status);
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

/// Notes a status; true if it was another before.
fn note(known: &mut HashMap<UserId, PresenceStatus>, user: UserId, status: PresenceStatus) -> bool {
    let before = match status {
        PresenceStatus::Offline => known.remove(&user),
        PresenceStatus::Online | PresenceStatus::Away => known.insert(user, status),
    };
    before.unwrap_or(PresenceStatus::Offline) != status
}

impl Conversation {
    /// Whether this person's ephemeral notices reach the others.
    fn lets_hear(&self, user: UserId, max_members: usize) -> bool {
        self.state.as_ref().is_some_and(|state| state.member_count() <= max_members && state.is_member(user))
    }

    /// Whether members and state are those of the log.
    const fn is_settled(&self) -> bool {
        self.state.is_some() && self.in_flight.is_none()
    }

    /// The newcomer hears who is there; and, if it may have been told otherwise before, who is not. It hears what all were
    /// told last, and with them of what is otherwise by now: so nobody is told what is not taken back.
    pub(super) fn introduce(
        &self,
        state: &ConversationState,
        (user, key, anew): (UserId, ConnectionKey, bool),
        out: &mut Vec<HomeOutput>,
    ) {
        for (other, _) in state.members().filter(|(other, _)| *other != user) {
            let status = self.whereabouts.shown.get(&other).copied().unwrap_or(PresenceStatus::Offline);
            if anew || status != PresenceStatus::Offline {
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

    /// Somebody came to this node, left it, or looks away: the directory says which.
    pub(super) fn presence(&mut self, id: ConversationId) {
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.whereabouts.changed = true;
        }
    }

    /// Tells those here, and other nodes, what of the members' presence is not as it was told last. Asks nothing of the
    /// order in which it was heard: what counts is how it is now.
    pub(super) fn show_presence(&mut self, id: ConversationId, out: &mut Vec<HomeOutput>) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if !conversation.is_settled() || !std::mem::take(&mut conversation.whereabouts.changed) {
            return;
        }
        let Some(state) = &conversation.state else { return };
        if state.member_count() > PRESENCE_MAX_MEMBERS {
            conversation.whereabouts = Whereabouts::default();
            conversation.asked_who = false;
            return;
        }
        let whereabouts = &mut conversation.whereabouts;
        whereabouts.keep(|user| state.is_member(user));
        let newcomers: Vec<UserId> =
            std::mem::take(&mut whereabouts.newcomers).into_iter().filter(|user| state.is_member(*user)).collect();
        let (mut shown, mut said) = (Vec::new(), Vec::new());
        for (user, _) in state.members() {
            let status = whereabouts.status(&self.directory, user);
            if note(&mut whereabouts.shown, user, status) || newcomers.contains(&user) {
                shown.push((user, status));
            }
            let here = self.directory.status(user).unwrap_or(PresenceStatus::Offline);
            if note(&mut whereabouts.said, user, here) {
                said.push((user, here));
            }
        }
        let all: Vec<_> = state.members().map(|(user, _)| (user, whereabouts.status(&self.directory, user))).collect();
        let asked = std::mem::take(&mut whereabouts.asked);
        for (user, status) in shown {
            let frame = SharedFrame::new(PresenceNotice { user_id: user, status });
            conversation.notify(id, &frame, Some(user), Class::Ephemeral, out);
        }
        self.show_around(id, &newcomers, &all, out);
        for (user_id, status) in said {
            self.say(Topic::Conversation(id), || Word::Presence { user_id, status }, out);
        }
        if !newcomers.is_empty() {
            // Where they are was not kept while they were no members.
            if let Some(conversation) = self.conversations.get_mut(&id) {
                conversation.asked_who = false;
            }
            self.ask_who_is_where(id, out);
        } else if asked {
            self.say_who_is_here(id, out);
        }
    }

    /// Those who joined hear how the others are.
    fn show_around(
        &self,
        id: ConversationId,
        newcomers: &[UserId],
        all: &[(UserId, PresenceStatus)],
        out: &mut Vec<HomeOutput>,
    ) {
        let mut shards: Vec<u8> = newcomers.iter().flat_map(|user| self.directory.shards_of(*user)).collect();
        shards.sort_unstable();
        shards.dedup();
        for (user, status) in all.iter().filter(|_| !shards.is_empty()) {
            let frame = SharedFrame::new(PresenceNotice { user_id: *user, status: *status });
            for shard in &shards {
                let (except, class) = (Some(*user), Class::Ephemeral);
                let input = EdgeInput::Notice { conversation: id, frame: Arc::clone(&frame), except, class };
                out.push(HomeOutput::ToEdge { shard: *shard, input });
            }
        }
    }

    /// The conversation, if what this node says of its people counts. What one says that is not known to be alive would
    /// be taken back by nobody: it is asked again, if it comes.
    fn listening_to(&mut self, id: ConversationId, from: NodeId) -> Option<&mut Conversation> {
        let known = self.knows(from);
        let conversation = self.conversations.get_mut(&id).filter(|found| found.watch != Watch::Off)?;
        conversation.asked_who &= known;
        known.then_some(conversation)
    }

    /// Somebody came to another node, left it, or looks away.
    pub(super) fn presence_elsewhere(
        &mut self,
        id: ConversationId,
        from: NodeId,
        user: UserId,
        status: PresenceStatus,
    ) {
        if let Some(conversation) = self.listening_to(id, from) {
            conversation.whereabouts.set(user, from, status);
        }
    }

    /// Another node asks which members are here. It is told once that is known.
    pub(super) fn who_is_here(&mut self, id: ConversationId) {
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.whereabouts.asked = true;
            conversation.whereabouts.changed = true;
        }
    }

    /// Says which members are here.
    pub(super) fn say_who_is_here(&mut self, id: ConversationId, out: &mut Vec<HomeOutput>) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let Some(state) = &conversation.state else { return };
        let here = |(user, _)| Some((user, self.directory.status(user)?));
        let people: Vec<_> = state.members().filter_map(here).collect();
        conversation.whereabouts.said = people.iter().copied().collect();
        self.say(Topic::Conversation(id), || Word::Here { people }, out);
    }

    /// Another node said which members are there: whoever is not named is not.
    pub(super) fn here(&mut self, id: ConversationId, from: NodeId, people: Vec<(UserId, PresenceStatus)>) {
        if let Some(conversation) = self.listening_to(id, from) {
            conversation.whereabouts.has_said(from);
            for (user, status) in people.into_iter().take(PRESENCE_MAX_MEMBERS) {
                conversation.whereabouts.set(user, from, status);
            }
        }
    }

    /// Once for each watch: which members are on other nodes?
    pub(super) fn ask_who_is_where(&mut self, id: ConversationId, out: &mut Vec<HomeOutput>) {
        if self.abroad.is_none() {
            return;
        }
        let Some(conversation) = self.conversations.get_mut(&id).filter(|found| found.in_flight.is_none()) else {
            return;
        };
        let Some(state) = &conversation.state else { return };
        let small = state.member_count() <= PRESENCE_MAX_MEMBERS;
        if small && conversation.watch == Watch::On && !std::mem::replace(&mut conversation.asked_who, true) {
            conversation.whereabouts.asks();
            self.say(Topic::Conversation(id), || Word::WhoIsHere, out);
            // Those who know of us from before may not know who is here now.
            self.say_who_is_here(id, out);
        }
    }

    /// A node is gone, and its people with it.
    pub(crate) fn node_lost(&mut self, node: NodeId, out: &mut Vec<HomeOutput>) {
        let all: Vec<ConversationId> = self.conversations.keys().copied().collect();
        for id in all {
            if let Some(conversation) = self.conversations.get_mut(&id) {
                conversation.whereabouts.forget_node(node);
            }
            self.show_presence(id, out);
        }
    }
}
