//! The contract, on SQLite, and what only an engine with a disk can show.

mod crash;
mod damage;
mod disk;
mod erase;
mod folder;
mod load;

use std::path::Path;

use hubbub_protocol::{ConversationId, Record, Sequence};
use hubbub_storage::conformance_suite;
use hubbub_storage::log::{MAX_READ_RECORDS, Range};
use hubbub_storage::sqlite::{self, Opened, SqliteConfig};
use hubbub_storage::store::Store;
use tempfile::TempDir;

conformance_suite!(contract, fresh());
// Every group is a segment of its own, so that what is asked is answered from SQLite, or from both.
conformance_suite!(contract_of_one_group_a_segment, with_tiny_segments());

pub(crate) fn fresh() -> (Store, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    assert_eq!(opened.recovered, None);
    (opened.store, dir)
}

pub(crate) fn with_tiny_segments() -> (Store, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let config = SqliteConfig { segment_bytes: 1, ..SqliteConfig::at(dir.path()) };
    (sqlite::open(&config).unwrap().store, dir)
}

fn open(dir: &Path) -> Opened {
    sqlite::open(&SqliteConfig::at(dir)).unwrap()
}

/// The whole log of a conversation, by pages.
async fn read_all(store: &Store, id: ConversationId) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let cursor = records.last().map_or(Sequence::ZERO, |record| record.sequence);
        let page = store.log.read(id, Range::After(cursor), MAX_READ_RECORDS).await.unwrap();
        if page.is_empty() {
            return records;
        }
        records.extend(page);
    }
}
