//! The words between nodes. MessagePack with names, so that nodes of two versions understand what both know.

use hubbub_protocol::frame::client::PresenceStatus;
use hubbub_protocol::record::Author;
use hubbub_protocol::{
    ClientMessageId, ConversationId, ErrorBody, Record, RecordBody, Sequence, SessionId, Timestamp, UserId,
};
use hubbub_storage::bus::Topic;
use serde::{Deserialize, Serialize};

use crate::conversation::{Act, Command};
use crate::conversations::Stored;

/// Payload bytes up to which committed records are told whole; of more, only where they are.
pub const MAX_TOLD_BYTES: usize = 8 * 1024;

/// What a node says.
///
/// Where it is said is part of it: [`Word::Committed`] to [`Word::Here`] on the conversation's topic, [`Word::Forward`]
/// and [`Word::Answers`] on a node's own, the others to the whole cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// I am here: said every [`super::HELLO_EVERY_MS`].
    Hello {
        /// Whether it takes conversations home: a hub that does not stop.
        homes: bool,
        /// The milliseconds of its own clock, from which the age of what it says is told.
        #[serde(default)]
        clock: u64,
    },
    /// I go.
    Bye,
    /// What I did lately, I could not say: the bus did not carry. Ask the store.
    Unheard,
    /// The sockets of this session end now (MEMBERS-ONLY).
    SessionEnded {
        /// Which.
        session_id: SessionId,
    },
    /// These people were added to a conversation, which nodes with sockets of theirs may not follow yet.
    Joined {
        /// Which.
        conversation_id: ConversationId,
        /// By a record at or above this.
        first: Sequence,
        /// Who.
        user_ids: Vec<UserId>,
    },
    /// These records are in the log.
    Committed {
        /// The first one's sequence.
        first: Sequence,
        /// The last one's.
        last: Sequence,
        /// All of them, or none where they are large: then they are to be read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        records: Vec<Told>,
    },
    /// Somebody has read up to here.
    Marked {
        /// Who.
        user_id: UserId,
        /// Up to where.
        seq: Sequence,
    },
    /// Somebody writes, or stopped. Ephemeral.
    Typing {
        /// Who.
        user_id: UserId,
        /// Writing, or stopped.
        active: bool,
    },
    /// Somebody came to this node, or left it. Ephemeral.
    Presence {
        /// Who.
        user_id: UserId,
        /// How they are on this node.
        status: PresenceStatus,
    },
    /// Which members are on your node? Ephemeral.
    WhoIsHere,
    /// These are. The answer to [`Word::WhoIsHere`]: all there are, so whoever is not named is not there.
    Here {
        /// They and how they are.
        people: Vec<(UserId, PresenceStatus)>,
    },
    /// Do these acts: you are home to the conversation. Each has a client id, so that it can be done twice (ONCE).
    Forward {
        /// To be named in the answer.
        number: u64,
        /// When it was said, by its sender's clock.
        #[serde(default)]
        clock: u64,
        /// Where.
        conversation_id: ConversationId,
        /// What, in this order.
        acts: Vec<Act>,
    },
    /// How they ended.
    Answers {
        /// The number of the forward.
        number: u64,
        /// One for each act.
        results: Vec<Result<Stored, ErrorBody>>,
    },
}

/// A record as it is told: its conversation and sequence follow from where it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Who did it.
    pub author: Author,
    /// When it was decided.
    pub created_at: Timestamp,
    /// The author's own id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<ClientMessageId>,
    /// What was done.
    pub body: RecordBody,
}

impl Word {
    /// Its bytes; `None` if it cannot be written, which no word is known to be.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        rmp_serde::to_vec_named(self).ok()
    }

    /// The word with these bytes; `None` for what a newer node may say and this one does not know.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        rmp_serde::from_slice(bytes).ok()
    }

    /// What is told of committed records of one conversation: they themselves if they are small. `None` without any.
    pub fn committed(records: &[Record]) -> Option<Self> {
        let (first, last) = (records.first()?.sequence, records.last()?.sequence);
        let bytes: usize = records.iter().map(|record| record.body.payload_bytes()).sum();
        let told = |record: &Record| Told {
            author: record.author,
            created_at: record.created_at,
            client_message_id: record.client_message_id,
            body: record.body.clone(),
        };
        let records = if bytes <= MAX_TOLD_BYTES { records.iter().map(told).collect() } else { Vec::new() };
        Some(Self::Committed { first, last, records })
    }
}

/// What a process says after an act that it stored itself without keeping the records at hand: where to read them, and
/// who joined by them. Each with whether all nodes are to hear it, or those with followers of the conversation.
pub fn after_storing(conversation_id: ConversationId, act: &Act, stored: &Stored) -> Vec<(Topic, Word)> {
    if stored.duplicate {
        return Vec::new();
    }
    let committed = Word::Committed { first: stored.first, last: stored.last, records: Vec::new() };
    let mut said = vec![(Topic::Conversation(conversation_id), committed)];
    let user_ids = match &act.command {
        Command::Open(open) => open.others.iter().copied().chain([act.author.sender_id]).collect(),
        Command::AddMembers(add) => add.user_ids.clone(),
        _ => Vec::new(),
    };
    if !user_ids.is_empty() {
        said.push((Topic::Cluster, Word::Joined { conversation_id, first: stored.first, user_ids }));
    }
    said
}

/// The records that were told, if they were, and if they are as many as was said.
pub fn told_records(
    conversation_id: ConversationId,
    first: Sequence,
    last: Sequence,
    told: Vec<Told>,
) -> Option<Vec<Record>> {
    let count = last.get().checked_sub(first.get())?.checked_add(1)?;
    if count != told.len() as u64 {
        return None;
    }
    let record = |(place, told): (u64, Told)| Record {
        conversation_id,
        sequence: first.plus(place),
        author: told.author,
        created_at: told.created_at,
        client_message_id: told.client_message_id,
        body: told.body,
    };
    Some((0..).zip(told).map(record).collect())
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::member::SenderType;
    use hubbub_protocol::record::Message;

    use super::*;

    fn record(sequence: u64, bytes: usize) -> Record {
        let body = RecordBody::from(Message {
            content_type: "text".to_owned(),
            payload: vec![7; bytes].into(),
            reply_to: None,
            epoch: None,
        });
        Record {
            conversation_id: ConversationId::from_bytes([3; 16]),
            sequence: Sequence::new(sequence),
            author: Author { sender_id: UserId::generate(), sender_type: SenderType::Human, device_id: None },
            created_at: Timestamp::from_ms(5),
            client_message_id: Some(ClientMessageId::generate()),
            body,
        }
    }

    #[test]
    fn records_that_are_told_come_back_as_they_were() {
        let records = vec![record(7, 10), record(8, 20)];
        let bytes = Word::committed(&records).unwrap().to_bytes().unwrap();
        let Some(Word::Committed { first, last, records: told }) = Word::from_bytes(&bytes) else { panic!("no word") };
        assert_eq!(told_records(records[0].conversation_id, first, last, told), Some(records));
    }

    #[test]
    fn of_large_records_only_the_place_is_told() {
        let records = vec![record(7, MAX_TOLD_BYTES), record(8, 1)];
        let Some(Word::Committed { first, last, records: told }) = Word::committed(&records) else { panic!("no word") };
        assert_eq!((first, last, told.len()), (Sequence::new(7), Sequence::new(8), 0));
        assert_eq!(told_records(records[0].conversation_id, first, last, told), None);
    }

    #[test]
    fn a_lie_about_the_number_of_records_is_not_believed() {
        let told = |count| match Word::committed(&vec![record(7, 1); count]) {
            Some(Word::Committed { records, .. }) => records,
            _ => Vec::new(),
        };
        let id = ConversationId::from_bytes([3; 16]);
        assert_eq!(told_records(id, Sequence::new(7), Sequence::new(9), told(2)), None);
        assert_eq!(told_records(id, Sequence::new(9), Sequence::new(7), told(2)), None);
        assert_eq!(told_records(id, Sequence::new(0), Sequence::new(u64::MAX), told(1)), None);
    }

    #[test]
    fn forwards_and_their_answers_come_back_as_they_were() {
        let payload = vec![1, 2, 3].into();
        let send = Message { content_type: "text".to_owned(), payload, reply_to: None, epoch: Some(2) };
        let author = record(1, 0).author;
        let act =
            Act { author, client_message_id: Some(ClientMessageId::generate()), command: Command::Send(send.into()) };
        let forward = Word::Forward {
            number: 9,
            clock: 1,
            conversation_id: ConversationId::generate(),
            acts: vec![act.clone(), act],
        };
        assert_eq!(Word::from_bytes(&forward.to_bytes().unwrap()), Some(forward));
        let stored = Stored {
            first: Sequence::new(4),
            last: Sequence::new(5),
            created_at: Timestamp::from_ms(1),
            duplicate: false,
        };
        let refusal = crate::conversation::not_found().with("field", "conversation_id").with("max", 5_u64);
        let answers = Word::Answers { number: 9, results: vec![Ok(stored), Err(refusal)] };
        assert_eq!(Word::from_bytes(&answers.to_bytes().unwrap()), Some(answers));
    }

    #[test]
    fn whoever_stores_by_itself_tells_where_to_read_and_who_joined() {
        let (id, user) = (ConversationId::generate(), UserId::generate());
        let command = Command::AddMembers(crate::conversation::AddMembers { user_ids: vec![user] });
        let act = Act { author: record(1, 0).author, client_message_id: None, command };
        let (first, last) = (Sequence::new(4), Sequence::new(5));
        let stored = Stored { first, last, created_at: Timestamp::from_ms(1), duplicate: false };
        let committed = Word::Committed { first, last, records: Vec::new() };
        let joined = Word::Joined { conversation_id: id, first, user_ids: vec![user] };
        let said = vec![(Topic::Conversation(id), committed), (Topic::Cluster, joined)];
        assert_eq!(after_storing(id, &act, &stored), said);
        assert!(after_storing(id, &act, &Stored { duplicate: true, ..stored }).is_empty());
    }

    #[test]
    fn what_is_no_word_is_none() {
        for bytes in [&b""[..], b"\xc1", b"{}", &[0x81, 0xa3, b'n', b'e', b'w', 0x80], &[0xdd, 0xff, 0xff, 0xff, 0xff]]
        {
            assert_eq!(Word::from_bytes(bytes), None, "{bytes:?}");
        }
    }
}
