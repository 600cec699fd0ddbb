//! A process that ends at any step, and a disk that fails at any: what was acknowledged is there, once, and in order.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use hubbub_protocol::record::Recalled;
use hubbub_protocol::{ClientMessageId, ConversationId, Record, RecordBody, Sequence};
use tempfile::TempDir;

use super::super::segment;
use super::{PLAN, tempdir};
use crate::conformance::{message, person};
use crate::error::StoreError;
use crate::log::{Append, Appended, MAX_READ_RECORDS, NewRecord, Range};
use crate::sqlite::{self, Opened, SqliteConfig, VerifyError};
use crate::store::{Health, Store};

const DIR: &str = "HUBBUB_TEST_JOURNAL_DIR";
/// Three appends or so fill a segment.
const SEGMENT_BYTES: usize = 1_000;
const APPENDS: u64 = 18;
const CONVERSATIONS: u64 = 3;
/// More steps than a child takes.
const STEPS: usize = 400;

fn id(number: u64) -> ConversationId {
    ConversationId::from_bytes([u8::try_from(number % CONVERSATIONS).unwrap() + 1; 16])
}

fn client_id(number: u64) -> ClientMessageId {
    ClientMessageId::from_bytes(u128::from(number + 1).to_be_bytes())
}

fn payload(number: u64) -> Vec<u8> {
    vec![u8::try_from(number).unwrap() + b'a'; 200]
}

/// What append `number` stores: a message, or the recall of the conversation's first one.
fn records(number: u64) -> Vec<NewRecord> {
    let mut records = vec![message(person(1), Some(client_id(number)), &payload(number))];
    if recalls(number) {
        records[0].body = RecordBody::Recalled(Recalled { target: Sequence::new(1) });
    }
    records
}

fn recalls(number: u64) -> bool {
    number / CONVERSATIONS == 4
}

fn config(dir: &Path) -> SqliteConfig {
    SqliteConfig { segment_bytes: SEGMENT_BYTES, ..SqliteConfig::at(dir.join("store")) }
}

fn open(dir: &Path) -> Opened {
    sqlite::open(&config(dir)).unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// No test unless it is told a folder: then it appends what is not there yet, and closes the store.
#[test]
fn child_that_appends_until_its_plan_ends_it() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    let mut acks = OpenOptions::new().create(true).append(true).open(dir.join("acks")).unwrap();
    let opened = match sqlite::open(&config(dir)) {
        Ok(opened) => opened,
        Err(error) => {
            File::create(dir.join("refused")).unwrap().write_all(error.to_string().as_bytes()).unwrap();
            return;
        }
    };
    run(async {
        let store = opened.store;
        for number in 0..APPENDS {
            match append(&store, number).await {
                // In one write: another thread may end the process in between two.
                Ok(at) => acks.write_all(format!("{number} {at}\n").as_bytes()).unwrap(),
                Err(error) => {
                    assert!(matches!(error, StoreError::Stopped(_)), "{error}");
                    break;
                }
            }
        }
        let closed = store.engine.close().await;
        assert_eq!(
            closed.is_err(),
            matches!(store.engine.health(), Health::Stopped(why) if why.to_string() != "it was closed")
        );
        File::create(dir.join(if closed.is_ok() { "closed" } else { "stopped" })).unwrap();
    });
}

/// Appends at the head that is there; the sequence, also where it was stored before.
async fn append(store: &Store, number: u64) -> Result<Sequence, StoreError> {
    let head = store.log.head(id(number)).await?;
    let append = Append { conversation_id: id(number), expected_head: head, records: records(number) };
    match store.log.append(append).await? {
        Appended::Committed { first, .. } => Ok(first),
        Appended::Duplicate { known } => Ok(known[0].1),
        Appended::Stale { head } => panic!("GAPLESS: the head was told as another than {head}"),
    }
}

/// A child with this plan; whether it came to its end.
fn child(dir: &Path, plan: &str) -> bool {
    for left in ["closed", "stopped", "refused"] {
        drop(std::fs::remove_file(dir.join(left)));
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "sqlite::journal::tests::crash::child_that_appends_until_its_plan_ends_it"]);
    let output = command.env(DIR, dir).env(PLAN, plan).output().unwrap();
    let ended = ["closed", "stopped", "refused"].iter().any(|end| dir.join(end).exists());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.success(), ended, "{plan}: {said}{}", String::from_utf8_lossy(&output.stderr));
    ended
}

fn read_all(store: &Store, id: ConversationId) -> Vec<Record> {
    run(store.log.read(id, Range::After(Sequence::ZERO), MAX_READ_RECORDS)).unwrap()
}

/// What is in the folder is what was acknowledged, and perhaps what was on its way; then everything goes on.
fn check(dir: &Path, plan: &str) {
    sqlite::verify(&config(dir).dir).unwrap_or_else(|error| panic!("{plan}: {}", told(&error)));
    let store = open(dir).store;
    let said = std::fs::read_to_string(dir.join("acks")).unwrap_or_default();
    let acked: HashMap<u64, u64> = said
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(number, at)| (number.parse().unwrap(), at.parse().unwrap()))
        .collect();
    let mut found = HashMap::new();
    for conversation in 0..CONVERSATIONS {
        let records = read_all(&store, id(conversation));
        let recalled = records.iter().any(|record| matches!(record.body, RecordBody::Recalled(_)));
        for (expected, record) in (1..).zip(records) {
            assert_eq!(record.sequence, Sequence::new(expected), "{plan}: GAPLESS");
            let client_id = record.client_message_id.unwrap();
            let number = (0..APPENDS).find(|number| self::client_id(*number) == client_id).unwrap();
            assert_eq!(found.insert(number, expected), None, "{plan}: ONCE");
            let erased = recalled && expected == 1;
            match record.body {
                RecordBody::Message(message) => {
                    let sent = if erased { Vec::new() } else { self::payload(number) };
                    assert!(
                        message.payload == sent.into(),
                        "{plan}: append {number} reads as another, or recalled and served"
                    );
                }
                _ => assert!(recalls(number), "{plan}: append {number}"),
            }
        }
    }
    for (number, at) in &acked {
        assert_eq!(found.get(number), Some(at), "{plan}: DURABLE: append {number} was acked at {at}");
    }
    assert!(found.len() <= acked.len() + 1, "{plan}: HONEST: more than was ever sent");
    for number in 0..APPENDS {
        let at = run(append(&store, number)).unwrap();
        assert!(found.get(&number).is_none_or(|found| *found == at.get()), "{plan}: ONCE");
    }
    run(store.engine.close()).unwrap();
    drop(store);
    let summary = sqlite::verify(&config(dir).dir).unwrap_or_else(|error| panic!("{plan}: {}", told(&error)));
    assert_eq!((summary.log_records, summary.journal_records), (APPENDS, 0), "{plan}");
    let names = std::fs::read_dir(config(dir).dir).unwrap().map(|entry| entry.unwrap().file_name());
    let journal: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("journal")).collect();
    assert!(journal.is_empty(), "{plan}: a closed store has no journal, but {journal:?}");
}

fn told(error: &VerifyError) -> String {
    match error {
        VerifyError::Damaged(problems) => format!("{problems:?}"),
        VerifyError::Open(error) => error.to_string(),
    }
}

fn copy(from: &Path) -> TempDir {
    let to = tempdir();
    std::fs::create_dir(to.path().join("store")).unwrap();
    std::fs::copy(from.join("acks"), to.path().join("acks")).unwrap();
    for entry in std::fs::read_dir(from.join("store")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.path().join("store").join(path.file_name().unwrap())).unwrap();
    }
    to
}

/// The first step at which a child comes to its end.
fn steps(mut run: impl FnMut(usize) -> bool) -> usize {
    (1..STEPS).find(|at| run(*at)).expect("a child takes fewer steps")
}

#[test]
fn a_process_that_ends_at_any_step_of_append_apply_and_delete_loses_nothing_that_was_acked() {
    let count = steps(|at| {
        let dir = tempdir();
        let plan = format!("kill {at}");
        let ended = child(dir.path(), &plan);
        check(dir.path(), &plan);
        ended
    });
    println!("{} places to end at", count - 1);
    assert!(count > 80, "only {count} steps were taken");
}

#[test]
fn a_second_end_at_any_step_while_the_first_is_being_recovered_from_loses_nothing_either() {
    // Some with segments that wait, some with segments that were applied and are still there.
    for first in [7, 31, 58] {
        let dir = tempdir();
        assert!(!child(dir.path(), &format!("kill {first}")));
        let mut second = 1;
        loop {
            let copy = copy(dir.path());
            let ended = child(copy.path(), &format!("kill {second}"));
            check(copy.path(), &format!("kill {first}, then {second}"));
            if ended {
                break;
            }
            second += if second < 12 { 1 } else { 5 };
        }
        assert!(second > 12, "only {second} steps were taken");
    }
}

#[test]
fn a_write_or_sync_that_fails_at_any_step_stops_the_store_and_loses_nothing_that_was_acked() {
    let writing = ["Write", "Sync", "Publish", "Create", "NameSegment", "Seal"];
    let applying = ["Apply", "ApplyHalf", "Commit", "Remove", "NameRemoval", "Forget", "Spare"];
    for step in writing.into_iter().chain(applying) {
        // How many files are made ahead depends on who is faster.
        let times: &[usize] = if step == "Spare" { &[1] } else { &[1, 2, 4] };
        for at in times {
            let dir = tempdir();
            let plan = format!("fail {step} {at}");
            assert!(child(dir.path(), &plan), "{plan}: it does not crash");
            assert!(!dir.path().join("closed").exists(), "{plan}: a store that failed closes as if it had not");
            check(dir.path(), &plan);
        }
    }
}

/// A store whose last segment was applied, and whose tables still stand in the write-ahead file.
fn ended_after_applying() -> TempDir {
    let dir = tempdir();
    assert!(!child(dir.path(), "kill 100"));
    let wal = config(dir.path()).dir.join("log.db-wal");
    assert!(std::fs::metadata(wal).unwrap().len() > 0, "nothing was applied");
    dir
}

fn assert_refused(dir: &Path, words: &str) {
    let store = config(dir).dir;
    let told = told(&sqlite::verify(&store).expect_err("verify says that it is sound"));
    assert!(told.contains(words), "{told}");
    let before = segment::list(&store).unwrap();
    let refused = sqlite::open(&config(dir)).err().expect("it opens").to_string();
    assert!(refused.contains(words), "{refused}");
    assert_eq!(segment::list(&store).unwrap(), before, "what is refused is left as it is");
}

#[test]
fn a_write_ahead_file_that_is_lost_after_a_crash_is_noticed() {
    let dir = ended_after_applying();
    for file in ["log.db-wal", "log.db-shm"] {
        std::fs::remove_file(config(dir.path()).dir.join(file)).unwrap();
    }
    assert_refused(dir.path(), "has lost its log.db-wal");
}

#[test]
fn a_journal_that_is_lost_after_a_crash_is_noticed() {
    let dir = ended_after_applying();
    for (_, path) in segment::list(&config(dir.path()).dir).unwrap() {
        std::fs::remove_file(path).unwrap();
    }
    assert_refused(dir.path(), "is missing or empty");
}
