//! The acks, in a file outside the server: what a client that was acked would still know.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use hubbub_loadtest::client::Seen;
use hubbub_protocol::{ClientMessageId, ConversationId, Sequence};

/// The file, one line an ack.
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

/// Where each acked message stands, by conversation.
pub(super) type Acked = HashMap<String, HashMap<String, u64>>;

impl Journal {
    pub(super) fn new(path: PathBuf) -> Self {
        let file = Mutex::new(File::create_new(&path).expect("a new journal"));
        Self { path, file }
    }

    /// Notes an ack as it arrives.
    pub(super) fn note(&self, conversation: ConversationId, id: ClientMessageId, sequence: Sequence) {
        let line = format!("{conversation} {id} {sequence}\n");
        self.file.lock().unwrap().write_all(line.as_bytes()).expect("the journal takes it");
    }

    /// All that was noted.
    pub(super) fn read(&self) -> Acked {
        let mut acked = Acked::new();
        for line in std::fs::read_to_string(&self.path).expect("the journal").lines() {
            let [conversation, id, sequence] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
            let sequence: u64 = sequence.parse().unwrap();
            let earlier = acked.entry(conversation.to_owned()).or_default().insert(id.to_owned(), sequence);
            assert!(earlier.is_none_or(|earlier| earlier == sequence), "ONCE: {id} was acked at two places");
        }
        acked
    }
}

/// Every acked message stands in the history once, where its ack said.
pub(super) fn compare(acked: &Acked, conversation: ConversationId, history: &[Seen]) {
    let mut stands: HashMap<String, u64> = HashMap::new();
    for seen in history {
        let id = seen.client_message_id.expect("only messages were sent").to_string();
        let earlier = stands.insert(id.clone(), seen.sequence.get());
        assert_eq!(earlier, None, "ONCE: {id} stands twice in {conversation}");
    }
    for (id, sequence) in acked.get(&conversation.to_string()).into_iter().flatten() {
        assert_eq!(stands.get(id), Some(sequence), "DURABLE: {id} was acked at {sequence} of {conversation}");
    }
}
