//! The people of the simulation: they come and go, resume, act, and say the same again.

use std::collections::HashMap;

use futures_util::FutureExt;
use hubbub_domain::conversation::{Act, AddMembers, Command, Open, React, Recall, RemoveMember, Send as SendMessage};
use hubbub_protocol::member::{ConversationKind, SenderType};
use hubbub_protocol::record::{Author, ReactionChange};
use hubbub_protocol::{ClientMessageId, ConversationId, Payload, Sequence, UserId};
use tokio::sync::oneshot;

use super::reader::Reader;
use super::said::{Asked, Ended, Said};
use super::world::{SHARDS, World, id};
use crate::message::{HomeInput, OpenCount, ReplyTo, Subscribe};
use crate::shared::home_of;

impl World {
    pub(super) fn somebody_comes(&mut self) {
        let (user, shard) = (self.somebody(), self.draw(SHARDS));
        self.directory.arrive(user, u8::try_from(shard).expect("few shards"), usize::MAX);
        let key = self.edges[shard].connect(user);
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
        let early = self.edges[shard].ready(key);
        let mut wanted: HashMap<_, _> = candidates.into_iter().map(|conversation| (conversation, None)).collect();
        for (conversation, held) in early {
            wanted.entry(conversation).or_insert(Some(held)).get_or_insert(held);
        }
        for conversation in self.conversations.clone() {
            if let Some(after) = wanted.get(&conversation).copied() {
                let after = if self.draw(2) == 0 { after.or(Some(Sequence::new(self.draw(9) as u64))) } else { after };
                reader.asks(conversation, after);
                let subscribe = Subscribe { conversation, user, key, wish: 0, after, command: None, announce: false };
                self.edge(shard, |edge, sink| edge.ask(subscribe, sink));
            }
        }
        self.readers.insert((key.shard, key.slot), reader);
    }

    fn some_reader(&mut self) -> Option<(u8, u32)> {
        let mut places: Vec<_> = self.readers.keys().copied().collect();
        places.sort_unstable();
        if places.is_empty() { None } else { Some(places[self.draw(places.len())]) }
    }

    pub(super) fn somebody_goes(&mut self) {
        let Some(place) = self.some_reader() else { return };
        let reader = self.readers.remove(&place).expect("it is there");
        self.gone_heard += reader.heard;
        self.directory.leave(reader.user, place.0);
        self.edge(usize::from(place.0), |edge, sink| drop(edge.disconnect(reader.key, sink)));
    }

    pub(super) fn somebody_resumes(&mut self) {
        let Some(place) = self.some_reader() else { return };
        let conversation = self.some_conversation();
        let back = self.draw(5) as u64;
        let shard = usize::from(place.0);
        let reader = self.readers.get_mut(&place).expect("it is there");
        let (key, user) = (reader.key, reader.user);
        let held = reader.held.get(&conversation).and_then(|held| held.cursor).unwrap_or_default();
        let after = Some(Sequence::new(held.get().saturating_sub(back)));
        reader.asks(conversation, after);
        let subscribe = Subscribe { conversation, user, key, wish: 0, after, command: None, announce: false };
        self.edge(shard, |edge, sink| edge.ask(subscribe, sink));
    }

    pub(super) fn somebody_acts(&mut self) {
        let conversation = self.some_conversation();
        let author = self.somebody();
        let other = self.somebody();
        let command = match self.draw(12) {
            0 => Command::Open(Open { kind: ConversationKind::Group, name: String::new(), others: vec![other] }),
            1 => Command::AddMembers(AddMembers { user_ids: vec![other] }),
            2 => Command::RemoveMember(RemoveMember { user_id: other }),
            3 => Command::Recall(Recall { target: Sequence::new(1 + self.draw(12) as u64) }),
            4 => Command::React(React {
                target: Sequence::new(1 + self.draw(12) as u64),
                emoji: "+1".to_owned(),
                change: ReactionChange::Added,
            }),
            _ => Command::Send(SendMessage {
                content_type: "text".to_owned(),
                payload: Payload::from(vec![1, 2, 3]),
                reply_to: None,
                epoch: None,
            }),
        };
        let number = self.draw(usize::MAX) as u64;
        let client_message_id = ClientMessageId::from_bytes(id(number, 3));
        self.submit(conversation, author, client_message_id, command);
    }

    /// Somebody who never heard the answer, or does not believe it, says the same again.
    pub(super) fn somebody_repeats(&mut self) {
        if !self.acts.is_empty() {
            let place = self.draw(self.acts.len());
            let Said { conversation, id, author, command, .. } = self.acts[place].clone();
            self.submit(conversation, author, id, command);
        }
    }

    pub(super) fn submit(
        &mut self,
        conversation: ConversationId,
        author: UserId,
        id: ClientMessageId,
        command: Command,
    ) {
        let head = self.services.store.log.head(conversation).now_or_never();
        let head = head.expect("the memory store never waits").expect("a head");
        let said = Said { conversation, id, author, command, head };
        self.acts.push(said.clone());
        let sender = Author { sender_id: author, sender_type: SenderType::Human, device_id: None };
        // Some ask twice at once, as an impatient client does.
        for _ in 0..=usize::from(self.draw(8) == 0) {
            let (answer, answered) = oneshot::channel();
            let act = Act { author: sender, client_message_id: Some(id), command: said.command.clone() };
            let reply = ReplyTo::Caller { answer, open: OpenCount::new(&self.open) };
            let input = HomeInput::Act { conversation, act: Box::new(act), reply, here: false };
            self.to_homes[home_of(conversation, SHARDS)].push_back(input);
            self.asked.push(Asked { said: said.clone(), answer: answered });
        }
    }

    pub(super) fn collect(&mut self) {
        let (ended, seed) = (&mut self.ended, self.seed);
        self.asked.retain_mut(|asked| match asked.answer.try_recv() {
            Ok(result) => {
                ended.push(Ended { said: asked.said.clone(), result });
                false
            }
            Err(oneshot::error::TryRecvError::Empty) => true,
            Err(oneshot::error::TryRecvError::Closed) => panic!("HONEST: seed {seed}: an act was never answered"),
        });
    }
}
