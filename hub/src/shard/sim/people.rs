//! The people of the simulation: they come and go, resume and look away, on any node.

use std::collections::HashMap;

use futures_util::FutureExt;
use hubbub_domain::cluster::Word;
use hubbub_protocol::{ConversationId, Sequence, UserId};
use hubbub_storage::bus::Topic;

use super::node::{Node, Underway};
use super::reader::Reader;
use super::world::{SHARDS, World};
use crate::message::{HomeInput, Subscribe};
use crate::shard::home::HomeWork;

/// What somebody holds who comes back.
type Cursors = HashMap<ConversationId, Sequence>;

impl World {
    pub(super) fn somebody_comes(&mut self) {
        let user = self.somebody();
        let mut cursors = Cursors::new();
        for conversation in self.conversations.clone() {
            if self.draw(2) == 0 {
                cursors.insert(conversation, Sequence::new(self.draw(9) as u64));
            }
        }
        // Only of what they are in: nobody holds anything of the rest.
        self.comes(user, &cursors, true);
    }

    /// As [`crate::login`] does it.
    fn comes(&mut self, user: UserId, cursors: &Cursors, only_own: bool) {
        let (node, shard) = (self.some_node(), self.draw(SHARDS));
        let edge = u8::try_from(shard).expect("few shards");
        self.nodes[node].directory.arrive(user, edge, usize::MAX);
        let key = self.nodes[node].edges[shard].connect(user);
        // Between being known and being ready, anything may happen.
        for _ in 0..self.draw(6) {
            self.go_on();
        }
        let candidates = self.services.conversations.candidates(user).now_or_never();
        let candidates = candidates.expect("the memory store never waits").expect("candidates");
        for _ in 0..self.draw(6) {
            self.go_on();
        }
        let mut reader = Reader::new(user, key);
        let mut wanted: HashMap<_, _> = candidates.into_iter().map(|conversation| (conversation, None)).collect();
        for (conversation, after) in cursors {
            if !only_own || wanted.contains_key(conversation) {
                wanted.insert(*conversation, Some(*after));
            }
        }
        for (conversation, held) in self.nodes[node].edges[shard].ready(key) {
            wanted.entry(conversation).or_insert(Some(held)).get_or_insert(held);
        }
        for conversation in self.conversations.clone() {
            if let Some(after) = wanted.get(&conversation).copied() {
                reader.asks(conversation, after);
                let subscribe = Subscribe { conversation, user, key, wish: 0, after, command: None };
                self.edge(node, shard, |edge, sink| edge.ask(subscribe, sink));
            }
        }
        self.nodes[node].readers.insert((key.shard, key.slot), reader);
    }

    fn some_reader(&mut self) -> Option<(usize, (u8, u32))> {
        let of = |(place, node): (usize, &Node)| node.readers.keys().map(|key| (place, *key)).collect::<Vec<_>>();
        let all: Vec<_> = self.nodes.iter().enumerate().flat_map(of).collect();
        if all.is_empty() { None } else { Some(all[self.draw(all.len())]) }
    }

    pub(super) fn somebody_goes(&mut self) {
        let Some((node, place)) = self.some_reader() else { return };
        let reader = self.nodes[node].readers.remove(&place).expect("it is there");
        self.gone_heard += reader.heard;
        let left = self.nodes[node].directory.leave(reader.user, place.0);
        let mut rooms = Vec::new();
        self.edge(node, usize::from(place.0), |edge, sink| rooms = edge.disconnect(reader.key, sink));
        if left {
            self.tell_presence(node, rooms);
        }
    }

    pub(super) fn somebody_looks_away(&mut self) {
        let Some((node, place)) = self.some_reader() else { return };
        let reader = &self.nodes[node].readers[&place];
        let (user, key) = (reader.user, reader.key);
        let away = self.draw(2) == 0;
        if self.nodes[node].directory.set_away(user, away) {
            let rooms = self.nodes[node].edges[usize::from(place.0)].rooms_of(key).to_vec();
            self.tell_presence(node, rooms);
        }
    }

    fn tell_presence(&mut self, node: usize, rooms: Vec<ConversationId>) {
        for conversation in rooms {
            self.ask_home(node, HomeInput::Presence { conversation });
        }
    }

    pub(super) fn somebody_resumes(&mut self) {
        let Some((node, place)) = self.some_reader() else { return };
        let conversation = self.some_conversation();
        let back = self.draw(5) as u64;
        let reader = self.nodes[node].readers.get_mut(&place).expect("it is there");
        let (key, user) = (reader.key, reader.user);
        let held = reader.held.get(&conversation).and_then(|held| held.cursor).unwrap_or_default();
        let after = Some(Sequence::new(held.get().saturating_sub(back)));
        reader.asks(conversation, after);
        let subscribe = Subscribe { conversation, user, key, wish: 0, after, command: None };
        self.edge(node, usize::from(place.0), |edge, sink| edge.ask(subscribe, sink));
    }

    /// A node goes, or dies, with all it has, and comes back as another; what it handed to the store may still take effect. Its
    /// readers go elsewhere with what they hold.
    pub(super) fn crash(&mut self, place: usize) {
        if self.draw(2) == 0 {
            self.say(self.nodes[place].id, Topic::Cluster, &Word::Bye);
        }
        // A store is done with what it was handed before a node is missed.
        while let Some(late) = self.late.pop() {
            drop(self.start(late));
        }
        let fresh = self.a_node();
        let dead = std::mem::replace(&mut self.nodes[place], fresh);
        let (id, works, readers) = dead.remains();
        for work in works.into_iter().flatten() {
            if let Underway::Todo(append @ HomeWork::Append { .. }) = work
                && self.draw(2) == 0
            {
                drop(self.start(append));
            }
        }
        self.links.retain(|link| link.to != id);
        self.lost_answers();
        for reader in readers.into_values() {
            self.gone_heard += reader.heard;
            let cursors: Cursors =
                reader.held.iter().filter_map(|(conversation, held)| Some((*conversation, held.cursor?))).collect();
            if self.draw(8) > 0 {
                self.comes(reader.user, &cursors, false);
            }
        }
    }
}
