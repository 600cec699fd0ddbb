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

pub(crate) fn fresh() -> (Store, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    assert_eq!(opened.recovered, None);
    (opened.store, dir)
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
