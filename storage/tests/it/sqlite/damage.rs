//! Flipped bytes: refused and named, never served; the rest stays up.

use std::path::Path;

use hubbub_protocol::record::{Recalled, RecordBody};
use hubbub_protocol::{ConversationId, Record, Sequence};
use hubbub_storage::conformance::{any_message, append, append_at_head};
use hubbub_storage::error::StoreError;
use hubbub_storage::log::{Append, NewRecord, Range};
use hubbub_storage::records::{Claimed, Expect, Family, Written};
use hubbub_storage::sqlite::{self, OpenError, Problem, SqliteConfig, VerifyError};
use hubbub_storage::store::{Health, Store};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{fresh, open, read_all};

const START: Range = Range::After(Sequence::ZERO);

/// Flips the lowest bit of the first byte of `needle`, which stands in the file once.
fn flip(path: &Path, needle: &[u8]) {
    let mut bytes = std::fs::read(path).unwrap();
    let places: Vec<_> = bytes.windows(needle.len()).enumerate().filter(|(_, found)| *found == needle).collect();
    assert_eq!(places.len(), 1, "the needle stands in {} places", places.len());
    let place = places[0].0;
    bytes[place] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// A closed folder with a damaged second record in one conversation, and another conversation that is sound.
async fn damaged_folder() -> (TempDir, ConversationId, ConversationId, NewRecord) {
    let (store, dir) = fresh();
    let (hurt, sound) = (ConversationId::generate(), ConversationId::generate());
    let needle = any_message(b"here the needle stands");
    append_at_head(&store, hurt, vec![any_message(b"1"), needle.clone(), any_message(b"3")]).await;
    append_at_head(&store, sound, vec![any_message(b"1")]).await;
    store.engine.close().await.unwrap();
    flip(&dir.path().join("log.db"), b"needle stands");
    (dir, hurt, sound, needle)
}

async fn try_append(store: &Store, id: ConversationId, head: u64, record: NewRecord) -> Result<(), StoreError> {
    let append = Append { conversation_id: id, expected_head: Sequence::new(head), records: vec![record] };
    store.log.append(append).await.map(drop)
}

fn problems(dir: &Path) -> Vec<Problem> {
    match sqlite::verify(dir) {
        Err(VerifyError::Damaged(problems)) => problems,
        other => panic!("verify answered {other:?}"),
    }
}

#[tokio::test]
async fn a_flipped_byte_of_a_record_is_refused_and_the_rest_stays_up() {
    let (dir, hurt, sound, needle) = damaged_folder().await;
    let store = open(dir.path()).store;
    let read = store.log.read(hurt, START, 10).await;
    assert!(matches!(&read, Err(StoreError::Damaged(why)) if why.to_string().contains("sequence 2")), "{read:?}");
    assert_eq!(store.log.read(hurt, START, 1).await.unwrap().len(), 1, "what is before it can be read");
    assert_eq!(store.log.read(hurt, Range::After(Sequence::new(2)), 9).await.unwrap().len(), 1, "and what is after it");
    assert_eq!(read_all(&store, sound).await.len(), 1);

    let recall = NewRecord {
        body: RecordBody::Recalled(Recalled { target: Sequence::new(2) }),
        client_message_id: None,
        ..needle.clone()
    };
    assert!(matches!(try_append(&store, hurt, 3, recall).await, Err(StoreError::Damaged(_))));
    assert!(
        matches!(try_append(&store, hurt, 3, needle).await, Err(StoreError::Damaged(_))),
        "ONCE: not told from hearsay"
    );
    assert_eq!(store.log.head(hurt).await, Ok(Sequence::new(3)), "HONEST: what was refused is in the log");
    append(&store, hurt, Sequence::new(3), vec![any_message(b"4")]).await;
    append(&store, sound, Sequence::new(1), vec![any_message(b"2")]).await;
    assert_eq!(store.engine.health(), Health::Ready);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn verify_names_file_conversation_and_sequence_of_a_flipped_byte() {
    let (dir, hurt, ..) = damaged_folder().await;
    let problems = problems(dir.path());
    assert_eq!(problems.len(), 1, "{problems:?}");
    let told = problems[0].to_string();
    assert!(told.starts_with("log.db: ") && told.contains(&hurt.to_string()) && told.contains("sequence 2"), "{told}");
}

#[tokio::test]
async fn a_damaged_record_among_the_newest_is_found_at_the_start_after_an_unclean_stop() {
    let (dir, ..) = damaged_folder().await;
    std::fs::write(dir.path().join("open"), "").unwrap();
    let refused = sqlite::open(&SqliteConfig::at(dir.path())).map(drop);
    assert!(matches!(refused, Err(OpenError::Damaged { file: "log.db", .. })), "{refused:?}");
}

#[tokio::test]
async fn a_flipped_byte_of_a_row_is_refused_until_the_row_is_written_anew() {
    let (store, dir) = fresh();
    let family = &hubbub_storage::families::snapshots::Snapshots::DEF;
    let put = |store: &Store, sort: &str, value: &str, expect| {
        store.records.put(family, b"p".to_vec(), sort.into(), value.into(), expect)
    };
    put(&store, "a", "a sound row", Expect::Any).await.unwrap();
    put(&store, "b", "the needle stands", Expect::Any).await.unwrap();
    store.engine.close().await.unwrap();
    flip(&dir.path().join("meta.db"), b"needle stands");

    let told = problems(dir.path());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].to_string().starts_with("meta.db: family snapshots"), "{}", told[0]);
    let store = open(dir.path()).store;
    let get = |sort: &str| store.records.get(family, b"p".to_vec(), sort.into());
    assert!(get("a").await.unwrap().is_some());
    assert!(matches!(get("b").await, Err(StoreError::Damaged(_))));
    assert!(matches!(put(&store, "b", "guess", Expect::Version(1)).await, Err(StoreError::Damaged(_))));
    assert_eq!(put(&store, "b", "healed", Expect::Any).await, Ok(Written::Done(2)));
    assert_eq!(get("b").await.unwrap().unwrap().value, b"healed");
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn a_record_that_is_gone_is_a_hole_and_a_lost_end_is_told_by_its_client_id() {
    let (store, dir) = fresh();
    let id = ConversationId::generate();
    append_at_head(&store, id, (0..5).map(|_| any_message(b"x")).collect()).await;
    store.engine.close().await.unwrap();
    let log = Connection::open(dir.path().join("log.db")).unwrap();
    log.execute("DELETE FROM log WHERE sequence IN (3, 5)", []).unwrap();
    drop(log);

    let told: Vec<_> = problems(dir.path()).iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|told| told.contains("sequence 3: GAPLESS is broken")), "{told:?}");
    assert!(told.iter().any(|told| told.contains("sequence 5: a client id is kept")), "{told:?}");
    let store = open(dir.path()).store;
    assert!(matches!(store.log.read(id, START, 10).await, Err(StoreError::Damaged(_))), "GAPLESS: a hole is served");
    assert!(matches!(store.log.read(id, Range::After(Sequence::new(2)), 1).await, Err(StoreError::Damaged(_))));
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn a_flipped_byte_of_a_claim_is_refused_to_all_and_told() {
    let (store, dir) = fresh();
    let claim = |store: &Store, value: &str, owner: &str| store.records.claim("kind", value.into(), owner.into());
    claim(&store, "sound", "me").await.unwrap();
    claim(&store, "hurt", "the needle stands").await.unwrap();
    store.engine.close().await.unwrap();
    flip(&dir.path().join("meta.db"), b"needle stands");

    let told = problems(dir.path());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].to_string().starts_with("meta.db: the checksum of a claim of kind"), "{}", told[0]);
    let store = open(dir.path()).store;
    assert!(matches!(store.records.claimant("kind", b"hurt".to_vec()).await, Err(StoreError::Damaged(_))));
    for owner in ["the needle stands", "you"] {
        assert!(matches!(claim(&store, "hurt", owner).await, Err(StoreError::Damaged(_))), "{owner} has it by hearsay");
    }
    assert_eq!(claim(&store, "sound", "me").await, Ok(Claimed::Yours));
    assert_eq!(store.engine.health(), Health::Ready);
    store.engine.close().await.unwrap();
}

/// Each of them alone, among the newest: told by the whole check, and by the one at a start after an unclean stop.
#[tokio::test]
async fn a_lost_record_and_a_lost_client_id_are_found_by_verify_and_after_an_unclean_stop() {
    for (loss, told) in [
        ("DELETE FROM log WHERE sequence = 3", "GAPLESS is broken"),
        ("DELETE FROM client_ids WHERE sequence = 3", "ONCE is broken"),
    ] {
        let (store, dir) = fresh();
        append_at_head(&store, ConversationId::generate(), (0..5).map(|_| any_message(b"x")).collect()).await;
        store.engine.close().await.unwrap();
        Connection::open(dir.path().join("log.db")).unwrap().execute(loss, []).unwrap();
        assert!(problems(dir.path()).iter().any(|problem| problem.what.contains(told)), "{loss}");
        std::fs::write(dir.path().join("open"), "").unwrap();
        match sqlite::open(&SqliteConfig::at(dir.path())).map(drop) {
            Err(OpenError::Damaged { file: "log.db", reason }) => {
                assert!(reason.to_string().contains(told), "{reason}");
            }
            other => panic!("{loss}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_file_that_was_lost_is_not_made_anew_in_silence() {
    for file in ["log.db", "meta.db"] {
        for cut in [false, true] {
            let (store, dir) = fresh();
            append_at_head(&store, ConversationId::generate(), vec![any_message(b"x")]).await;
            store.engine.close().await.unwrap();
            let path = dir.path().join(file);
            if cut {
                std::fs::write(&path, b"").unwrap();
            } else {
                std::fs::remove_file(&path).unwrap();
            }
            let refused = sqlite::open(&SqliteConfig::at(dir.path())).err();
            assert!(
                matches!(&refused, Some(OpenError::Damaged { file: told, .. }) if *told == file),
                "DURABLE: an empty {file} in the place of the lost one: {refused:?}"
            );
        }
    }
}

/// Any single flipped bit is found by `verify` or does no harm, and no read ever serves what was not written.
#[tokio::test]
async fn no_flipped_bit_anywhere_makes_a_read_serve_what_was_not_written() {
    const FLIPS: usize = 200;
    let (store, dir) = fresh();
    let ids: Vec<_> = (0..5).map(|_| ConversationId::generate()).collect();
    for round in 0..12 {
        for id in &ids {
            append_at_head(&store, *id, vec![any_message(format!("round {round}").as_bytes())]).await;
        }
    }
    let mut written = Vec::new();
    for id in &ids {
        written.push(read_all(&store, *id).await);
    }
    store.engine.close().await.unwrap();
    let sound = std::fs::read(dir.path().join("log.db")).unwrap();
    let mut told = 0;
    for flip in 0..FLIPS {
        let bit = (flip * 7_919_993 + flip * flip * 31) % (sound.len() * 8);
        let mut bytes = sound.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(dir.path().join("log.db"), bytes).unwrap();
        let found = sqlite::verify(dir.path()).is_err();
        told += usize::from(found);
        let opened = match sqlite::open(&SqliteConfig::at(dir.path())) {
            Ok(opened) => opened,
            Err(error) => {
                assert!(found, "bit {bit}: verify says that it is sound, and it does not open: {error}");
                continue;
            }
        };
        for (id, written) in ids.iter().zip(&written) {
            let read = opened.store.log.read(*id, START, 1000).await;
            check_read(read, written, found, bit);
        }
        opened.store.engine.close().await.unwrap();
        for left in ["log.db-wal", "log.db-shm"] {
            drop(std::fs::remove_file(dir.path().join(left)));
        }
    }
    println!("{told} of {FLIPS} flipped bits were told by verify, the others did no harm");
    assert!(told > 0);
}

fn check_read(read: Result<Vec<Record>, StoreError>, written: &[Record], found: bool, bit: usize) {
    match read {
        Ok(records) if records == written => {}
        Ok(records) => {
            assert!(found, "bit {bit}: a shorter log is served and verify says that it is sound");
            assert_eq!(records, written[..records.len()], "bit {bit}: what was not written is served");
        }
        Err(StoreError::Damaged(_)) => assert!(found, "bit {bit}: verify says that it is sound"),
        Err(other) => panic!("bit {bit}: {other:?}"),
    }
}
