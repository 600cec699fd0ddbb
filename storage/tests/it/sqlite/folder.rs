//! One process at a time, clean and unclean stops, older, newer and foreign files.

use std::path::Path;

use hubbub_protocol::{ConversationId, Sequence, UserId};
use hubbub_storage::conformance::{any_message, append, append_at_head};
use hubbub_storage::families::accounts;
use hubbub_storage::families::marks::{Mark, Marks};
use hubbub_storage::log::Range;
use hubbub_storage::records::{Expect, Family, Table, Written};
use hubbub_storage::sqlite::{self, OpenError, SqliteConfig, VerifyError};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{fresh, open, read_all};

fn refusal(dir: &Path) -> OpenError {
    match sqlite::open(&SqliteConfig::at(dir)) {
        Ok(_) => panic!("the folder was opened"),
        Err(refusal) => refusal,
    }
}

async fn closed_folder_with_a_record() -> (TempDir, ConversationId) {
    let (store, dir) = fresh();
    let id = ConversationId::generate();
    append_at_head(&store, id, vec![any_message(b"kept")]).await;
    store.engine.close().await.unwrap();
    (dir, id)
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_clean_close_and_nothing_is_checked() {
    let (dir, id) = closed_folder_with_a_record().await;
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    for left in ["open", "log.db-wal", "log.db-shm", "meta.db-wal"] {
        assert!(!names.contains(&left.into()), "{left} is left behind after a clean close");
    }
    for _ in 0..2 {
        let opened = open(dir.path());
        assert_eq!(opened.recovered, None);
        assert_eq!(opened.store.log.head(id).await, Ok(Sequence::new(1)), "DURABLE");
        opened.store.engine.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_second_opener_is_refused_while_the_first_is_open_and_so_is_verify() {
    let (store, dir) = fresh();
    assert!(matches!(refusal(dir.path()), OpenError::InUse { .. }));
    assert!(matches!(sqlite::verify(dir.path()), Err(VerifyError::Open(OpenError::InUse { .. }))));
    append(&store, ConversationId::generate(), Sequence::ZERO, vec![any_message(b"still")]).await;
    store.engine.close().await.unwrap();
    open(dir.path()).store.engine.close().await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_dropped_without_a_close_is_checked_at_the_next_start_and_only_then() {
    let (store, dir) = fresh();
    let id = ConversationId::generate();
    append_at_head(&store, id, (0..20).map(|_| any_message(b"x")).collect()).await;
    drop(store);
    // Its threads end by themselves and let go of the lock.
    let opened = loop {
        match sqlite::open(&SqliteConfig::at(dir.path())) {
            Ok(opened) => break opened,
            Err(OpenError::InUse { .. }) => std::thread::yield_now(),
            Err(other) => panic!("{other}"),
        }
    };
    let recovered = opened.recovered.unwrap();
    assert_eq!(recovered.log_records_checked, 20);
    assert!(recovered.meta_checked);
    assert_eq!(read_all(&opened.store, id).await.len(), 20, "DURABLE");
    opened.store.engine.close().await.unwrap();
    assert_eq!(open(dir.path()).recovered, None);
}

#[tokio::test]
async fn verify_counts_a_sound_store_and_changes_nothing() {
    let (store, dir) = fresh();
    for count in [3, 4] {
        append_at_head(&store, ConversationId::generate(), (0..count).map(|_| any_message(b"x")).collect()).await;
    }
    let family = &hubbub_storage::families::snapshots::Snapshots::DEF;
    store.records.put(family, b"p".to_vec(), b"s".to_vec(), b"v".to_vec(), Expect::Any).await.unwrap();
    store.records.claim("kind", b"v".to_vec(), b"o".to_vec()).await.unwrap();
    store.engine.close().await.unwrap();
    let before = std::fs::read(dir.path().join("log.db")).unwrap();
    for _ in 0..2 {
        let summary = sqlite::verify(dir.path()).unwrap();
        assert_eq!((summary.conversations, summary.log_records, summary.client_ids), (2, 7, 7));
        assert_eq!((summary.rows, summary.claims), (1, 1));
    }
    assert_eq!(std::fs::read(dir.path().join("log.db")).unwrap(), before);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_by_name_and_left_as_it_is() {
    for file in ["log.db", "meta.db"] {
        let (dir, _) = closed_folder_with_a_record().await;
        let path = dir.path().join(file);
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let before = std::fs::read(&path).unwrap();
        match refusal(dir.path()) {
            OpenError::Newer { file: named, found: 99, supported } => {
                assert_eq!(named, file);
                assert!(supported < 99);
            }
            other => panic!("{other}"),
        }
        assert!(matches!(sqlite::verify(dir.path()), Err(VerifyError::Open(OpenError::Newer { .. }))));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_and_left_as_it_is() {
    let text = tempfile::tempdir().unwrap();
    std::fs::write(text.path().join("log.db"), "no database at all, but long enough to be looked at".repeat(30))
        .unwrap();
    assert!(matches!(refusal(text.path()), OpenError::Foreign { file: "log.db" }));
    let other = tempfile::tempdir().unwrap();
    let tables = Connection::open(other.path().join("meta.db")).unwrap();
    tables.execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 1;").unwrap();
    drop(tables);
    assert!(matches!(refusal(other.path()), OpenError::Foreign { file: "meta.db" }));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(refusal(&file), OpenError::Io { path, .. } if path == file));
}

/// A file as the first released form has it, spelt out: what is on people's disks must stay readable.
#[tokio::test]
async fn a_log_of_form_1_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let log = Connection::open(dir.path().join("log.db")).unwrap();
    log.execute_batch(include_str!("form_1.sql")).unwrap();
    drop(log);
    let opened = open(dir.path());
    let id = ConversationId::from_bytes([1; 16]);
    let records = opened.store.log.read(id, Range::After(Sequence::ZERO), 10).await.unwrap();
    let mut expected = any_message(b"sealed");
    expected.client_message_id = Some(hubbub_protocol::ClientMessageId::from_bytes([9; 16]));
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0].author, &records[0].body), (&expected.author, &expected.body));
    assert_eq!(
        (records[0].created_at, records[0].client_message_id),
        (expected.created_at, expected.client_message_id)
    );
    let retry = append(&opened.store, id, Sequence::ZERO, vec![expected]).await;
    assert_eq!(retry, hubbub_storage::log::Appended::Duplicate { known: vec![(0, Sequence::new(1))] }, "ONCE");
    opened.store.engine.close().await.unwrap();
    assert_eq!(sqlite::verify(dir.path()).unwrap().log_records, 1);
}

#[tokio::test]
async fn records_of_form_1_are_read_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let meta = Connection::open(dir.path().join("meta.db")).unwrap();
    meta.execute_batch(include_str!("form_1_meta.sql")).unwrap();
    drop(meta);
    let store = open(dir.path()).store;
    let (conversation, person) = (ConversationId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
    let marks = Table::<Marks>::new(store.records.clone());
    let row = marks.get(&conversation, &person).await.unwrap().unwrap();
    assert_eq!((row.version, row.value.read_seq), (3, Sequence::new(7)));
    let mark = Mark { read_seq: Sequence::new(8) };
    assert_eq!(marks.put(&conversation, &person, &mark, Expect::Version(3)).await, Ok(Written::Done(4)));
    let holder = store.records.claimant(accounts::EMAIL, b"ann@example.org".to_vec()).await;
    assert_eq!(holder, Ok(Some(person.as_bytes().to_vec())));
    store.engine.close().await.unwrap();
    let summary = sqlite::verify(dir.path()).unwrap();
    assert_eq!((summary.rows, summary.claims), (1, 1));
}
