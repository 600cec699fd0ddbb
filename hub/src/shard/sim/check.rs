//! The end of the simulation: everything comes to rest, and all that was said and heard is compared with the log.

use futures_util::FutureExt;
use hubbub_domain::conversation::{Command, ConversationState, RemoveMember, evolve};
use hubbub_protocol::{ClientMessageId, ConversationId, ErrorCode, Record, RecordBody, Sequence, UserId};
use hubbub_storage::log::Range;

use super::said::Ended;
use super::world::{World, id};

impl World {
    /// Lets everything come to rest, compares all with the log, and counts the events that were heard.
    pub(super) fn settle_and_check(&mut self) -> u64 {
        self.failures = false;
        // An unknown outcome leaves its records to be told by the next load: make every home look.
        for conversation in self.conversations.clone() {
            let author = self.people[0];
            let command = Command::RemoveMember(RemoveMember { user_id: UserId::from_bytes([9; 16]) });
            self.submit(conversation, author, ClientMessageId::from_bytes(id(u64::MAX, 3)), command);
        }
        while self.go_on() {
            self.collect();
        }
        self.collect();
        let seed = self.seed;
        assert!(self.asked.is_empty(), "HONEST: seed {seed}: an act was never answered");
        for conversation in self.conversations.clone() {
            self.check(conversation);
        }
        self.gone_heard + self.readers.values().map(|reader| reader.heard).sum::<u64>()
    }

    fn log(&self, conversation: ConversationId) -> Vec<Record> {
        let mut log = Vec::new();
        loop {
            let after = Range::After(log.last().map_or(Sequence::ZERO, |record: &Record| record.sequence));
            let page = self.services.store.log.read(conversation, after, 500).now_or_never();
            let page = page.expect("the memory store never waits").expect("a page");
            if page.is_empty() {
                return log;
            }
            log.extend(page);
        }
    }

    fn check(&self, conversation: ConversationId) {
        let seed = self.seed;
        let log = self.log(conversation);
        let mut state = ConversationState::default();
        for (number, record) in (1..).zip(&log) {
            assert_eq!(record.sequence, Sequence::new(number), "GAPLESS: seed {seed}");
            let author = record.author.sender_id;
            let opens = matches!(record.body, RecordBody::Opened(_));
            assert!(opens || state.is_member(author), "MEMBERS-ONLY: seed {seed}: {author} wrote {number}");
            evolve(&mut state, record.sequence, &record.author, &record.body);
        }
        for ended in self.ended.iter().filter(|ended| ended.said.conversation == conversation) {
            self.check_answer(ended, &log);
        }
        self.check_readers(conversation, &state);
    }

    fn check_answer(&self, Ended { said, result }: &Ended, log: &[Record]) {
        let seed = self.seed;
        let named =
            |record: &&Record| record.client_message_id == Some(said.id) && record.author.sender_id == said.author;
        let places: Vec<_> = log.iter().filter(named).map(|record| record.sequence).collect();
        assert!(places.len() <= 1, "ONCE: seed {seed}: {places:?}");
        match result {
            // All was as it wanted it; a later repeat may have found it otherwise, and was stored then.
            Ok(stored)
                if stored.duplicate && !said.is_message() && places.iter().all(|place| *place > stored.first) => {}
            Ok(stored) => assert_eq!(places, vec![stored.first], "DURABLE, ONCE: seed {seed}"),
            Err(error) if error.code == ErrorCode::UnknownOutcome => {}
            Err(error) => {
                let twins = self.ended.iter().filter(|other| other.said.id == said.id).count();
                let context =
                    format!("HONEST: seed {seed}: {error} to what was said at {}, stored at {places:?}", said.head);
                assert!(places.is_empty() || twins > 1, "{context}");
                // Another try may be stored after this one was refused for good; one that was stored before it was
                // even said must not be refused for good.
                let stored_before = places.iter().any(|place| *place <= said.head);
                assert!(!stored_before || error.retryable, "{context}");
            }
        }
    }

    fn check_readers(&self, conversation: ConversationId, state: &ConversationState) {
        let seed = self.seed;
        for reader in self.readers.values() {
            let held = reader.held.get(&conversation);
            let (user, key) = (reader.user, reader.key);
            if state.is_member(user) {
                let cursor = held.and_then(|held| held.cursor);
                assert_eq!(cursor, Some(state.head()), "RESUMABLE: seed {seed}: {user} at {key:?} is not at the head");
                assert!(
                    !held.is_some_and(|held| held.waits),
                    "RESUMABLE: seed {seed}: {user} at {key:?} heard no live"
                );
            } else {
                let follows = self.edges[usize::from(key.shard)].rooms_of(key).contains(&conversation);
                assert!(!follows, "MEMBERS-ONLY: seed {seed}: {user} at {key:?} still follows");
            }
        }
    }
}
