//! What the people of the simulation do, and say again; and how it was answered.

use futures_util::FutureExt;
use hubbub_domain::cluster::after_storing;
use hubbub_domain::conversation::{Act, AddMembers, Command, Open, React, Recall, RemoveMember};
use hubbub_protocol::member::{ConversationKind, SenderType};
use hubbub_protocol::record::{Author, Message, ReactionChange};
use hubbub_protocol::{ClientMessageId, ConversationId, ErrorBody, Payload, Sequence, UserId};
use tokio::sync::oneshot;

use super::said::{Asked, Ended, Said};
use super::world::{World, id};
use crate::message::{HomeInput, OpenCount, ReplyTo, Way};

impl World {
    /// Most worlds have something to talk about from the start.
    pub(super) fn some_conversations_begin(&mut self) {
        for conversation in self.conversations.clone() {
            if self.draw(3) > 0 {
                let author = self.people[0];
                let others = self.people.iter().copied().filter(|user| *user != author).take(2).collect();
                let open = Open { kind: ConversationKind::Group, name: String::new(), others };
                self.submit(conversation, author, None, Command::Open(open));
            }
        }
    }

    pub(super) fn somebody_acts(&mut self) {
        let conversation = self.some_conversation();
        let other = self.somebody();
        let target = Sequence::new(1 + self.draw(12) as u64);
        let number = self.draw(usize::MAX) as u64;
        // Reactions without an id are told from each other by their word.
        let emoji = format!("{number:x}");
        let command = match self.draw(16) {
            0 => Command::Open(Open { kind: ConversationKind::Group, name: String::new(), others: vec![other] }),
            1..=3 => Command::AddMembers(AddMembers { user_ids: vec![other] }),
            4 => Command::RemoveMember(RemoveMember { user_id: other }),
            5 => Command::Recall(Recall { target }),
            6 | 7 => Command::React(React { target, emoji, change: ReactionChange::Added }),
            _ => {
                let payload = Payload::from(vec![1, 2, 3]);
                Command::Send(Message { content_type: "text".to_owned(), payload, reply_to: None, epoch: None }.into())
            }
        };
        // Most of those who may change who is in it are the one who began it.
        let changes_roster = matches!(command, Command::AddMembers(_) | Command::RemoveMember(_));
        let author = if changes_roster && self.draw(3) > 0 { self.people[0] } else { self.somebody() };
        let is_message = matches!(command, Command::Send(_));
        let named = is_message || self.draw(2) == 0;
        let id = named.then(|| ClientMessageId::from_bytes(id(number, 3)));
        self.submit(conversation, author, id, command);
    }

    /// Somebody who never heard the answer, or does not believe it, says the same again: to any node.
    pub(super) fn somebody_repeats(&mut self) {
        if !self.acts.is_empty() {
            let place = self.draw(self.acts.len());
            let Said { conversation, id, author, command, .. } = self.acts[place].clone();
            if id.is_some() {
                self.submit(conversation, author, id, command);
            }
        }
    }

    pub(super) fn submit(
        &mut self,
        conversation: ConversationId,
        author: UserId,
        id: Option<ClientMessageId>,
        command: Command,
    ) {
        let said = Said { conversation, id, author, command, head: self.head(conversation) };
        // Some ask twice at once, as an impatient client does.
        for _ in 0..=usize::from(id.is_some() && self.draw(8) == 0) {
            self.acts.push(said.clone());
            let node = self.some_node();
            let (answer, answered) = oneshot::channel();
            let reply = ReplyTo::Caller { answer, open: OpenCount::new(&self.open) };
            let input = HomeInput::Act { conversation, act: Box::new(said.act()), reply, way: Way::Home };
            self.ask_home(node, input);
            self.asked.push(Asked { said: said.clone(), answer: answered });
        }
    }

    pub(super) fn head(&self, conversation: ConversationId) -> Sequence {
        let head = self.services.store.log.head(conversation).now_or_never();
        head.expect("the memory store never waits").expect("a head")
    }

    /// A process without a hub carries out an act, and tells the nodes.
    pub(super) fn somebody_asks_rest(&mut self) {
        if !self.in_cluster {
            return;
        }
        let (conversation, author, other) = (self.some_conversation(), self.people[0], self.somebody());
        let command = match self.draw(3) {
            0 => Command::RemoveMember(RemoveMember { user_id: other }),
            _ => Command::AddMembers(AddMembers { user_ids: vec![other] }),
        };
        let client_message_id = Some(ClientMessageId::from_bytes(id(self.draw(usize::MAX) as u64, 3)));
        let said = Said { conversation, id: client_message_id, author, command, head: self.head(conversation) };
        self.acts.push(said.clone());
        let result = self.services.conversations.submit(conversation, said.act()).now_or_never();
        let result: Result<_, ErrorBody> = result.expect("the memory store never waits");
        if let Ok(stored) = &result {
            self.untold.extend(after_storing(conversation, &said.act(), stored));
        }
        let head = self.head(conversation);
        self.ended.push(Ended { said, result, head });
    }

    pub(super) fn collect(&mut self) {
        let seed = self.seed;
        for Asked { said, mut answer } in std::mem::take(&mut self.asked) {
            match answer.try_recv() {
                Ok(result) => {
                    let head = self.head(said.conversation);
                    self.ended.push(Ended { said, result, head });
                }
                Err(oneshot::error::TryRecvError::Empty) => self.asked.push(Asked { said, answer }),
                Err(oneshot::error::TryRecvError::Closed) => panic!("HONEST: seed {seed}: an act was never answered"),
            }
        }
        self.answer_taken();
    }

    /// A node died: nobody will answer what it was asked.
    pub(super) fn lost_answers(&mut self) {
        self.asked.retain_mut(|asked| {
            let closed = matches!(asked.answer.try_recv(), Err(oneshot::error::TryRecvError::Closed));
            !closed
        });
    }
}

impl Said {
    pub(super) fn act(&self) -> Act {
        let author = Author { sender_id: self.author, sender_type: SenderType::Human, device_id: None };
        Act { author, client_message_id: self.id, command: self.command.clone() }
    }
}
