//! People, conversations and a store to try the rules on.

use std::sync::Arc;

use hubbub_domain::conversation::{
    Act, AddMembers, Command, Context, ConversationState, Open, Records, RemoveMember, decide, evolve,
};
use hubbub_domain::conversations::Conversations;
use hubbub_protocol::member::{ConversationKind, SenderType};
use hubbub_protocol::record::{Author, Message};
use hubbub_protocol::{ClientMessageId, ConversationId, ErrorBody, Payload, Record, Sequence, Timestamp, UserId};
use hubbub_storage::clock::ManualClock;
use hubbub_storage::log::Range;
use hubbub_storage::memory;
use hubbub_storage::store::Store;

/// The moment at which tests begin.
pub(crate) const START: Timestamp = Timestamp::from_ms(1_800_000_000_000);

pub(crate) fn user(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

pub(crate) fn conversation(number: u8) -> ConversationId {
    ConversationId::from_bytes([number; 16])
}

pub(crate) fn client_id(number: u64) -> ClientMessageId {
    ClientMessageId::from_bytes((u128::from(number) + 1).to_be_bytes())
}

pub(crate) fn author(user_id: UserId) -> Author {
    Author { sender_id: user_id, sender_type: SenderType::Human, device_id: None }
}

pub(crate) fn act(by: UserId, command: Command) -> Act {
    Act { author: author(by), client_message_id: None, command }
}

pub(crate) fn text(words: &str) -> Command {
    let payload = Payload::from(words.as_bytes().to_vec());
    Command::Send(Message { content_type: "text".to_owned(), payload, reply_to: None, epoch: None }.into())
}

pub(crate) fn open_group(others: impl IntoIterator<Item = UserId>) -> Command {
    Command::Open(Open {
        kind: ConversationKind::Group,
        name: "group".to_owned(),
        others: others.into_iter().collect(),
    })
}

pub(crate) fn open_direct(other: UserId) -> Command {
    Command::Open(Open { kind: ConversationKind::Direct, name: String::new(), others: vec![other] })
}

pub(crate) fn add(users: impl IntoIterator<Item = UserId>) -> Command {
    Command::AddMembers(AddMembers { user_ids: users.into_iter().collect() })
}

pub(crate) fn remove(user_id: UserId) -> Command {
    Command::RemoveMember(RemoveMember { user_id })
}

/// One conversation without a store: a log in memory and the state that was folded along with it.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) state: ConversationState,
    pub(crate) log: Vec<Record>,
    pub(crate) now_ms: i64,
}

impl Table {
    pub(crate) fn now(&self) -> Timestamp {
        START.plus_ms(self.now_ms)
    }

    pub(crate) fn decide(&self, act: &Act) -> Result<Records, ErrorBody> {
        let target = act.command.target().and_then(|target| self.log.iter().find(|record| record.sequence == target));
        decide(&self.state, act, &Context { now: self.now(), target })
    }

    /// Decides and stores, as a store would: a recall erases its target.
    pub(crate) fn submit(&mut self, act: &Act) -> Result<usize, ErrorBody> {
        let records = self.decide(act)?;
        let count = records.len();
        for record in records {
            if let hubbub_protocol::RecordBody::Recalled(recalled) = &record.body {
                self.erase(recalled.target);
            }
            let record = Record {
                conversation_id: conversation(1),
                sequence: self.state.head().next(),
                author: record.author,
                created_at: record.created_at,
                client_message_id: record.client_message_id,
                body: record.body,
            };
            evolve(&mut self.state, record.sequence, &record.author, &record.body);
            self.log.push(record);
        }
        Ok(count)
    }

    fn erase(&mut self, target: Sequence) {
        for record in self.log.iter_mut().filter(|record| record.sequence == target) {
            if let hubbub_protocol::RecordBody::Message(message) = &mut record.body {
                Arc::make_mut(message).payload = Payload::default();
            }
        }
    }
}

/// A group of the owner 1, with these others.
pub(crate) fn group_of(others: impl IntoIterator<Item = u8>) -> Table {
    let mut table = Table::default();
    table.submit(&act(user(1), open_group(others.into_iter().map(user)))).unwrap();
    table
}

/// A store, its clock, and conversations over it.
pub(crate) struct Place {
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) conversations: Conversations,
}

pub(crate) fn place() -> Place {
    place_over(memory::open())
}

pub(crate) fn place_over(store: Store) -> Place {
    let clock = Arc::new(ManualClock::at(START));
    let conversations = Conversations::new(store.clone(), Arc::clone(&clock) as _);
    Place { store, clock, conversations }
}

/// The whole log of a conversation.
pub(crate) async fn whole_log(store: &Store, id: ConversationId) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let after = records.last().map_or(Sequence::ZERO, |record| record.sequence);
        let page = store.log.read(id, Range::After(after), 500).await.unwrap();
        if page.is_empty() {
            return records;
        }
        records.extend(page);
    }
}
