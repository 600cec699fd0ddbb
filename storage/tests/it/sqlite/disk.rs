//! A disk that takes no more: nothing is acked that is not stored, the store stops, and a restart is clean.
//!
//! The child is this test binary again, started by a shell that sets a real limit on the size of files and ignores the
//! signal that comes with it, so that writes fail as they do on a full disk.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use hubbub_protocol::{ClientMessageId, ConversationId, Sequence};
use hubbub_storage::conformance::{message, person};
use hubbub_storage::error::StoreError;
use hubbub_storage::log::{Append, Appended};
use hubbub_storage::records::{Expect, Family};
use hubbub_storage::sqlite;
use hubbub_storage::store::Health;

use super::{open, read_all};

const DIR: &str = "HUBBUB_TEST_DISK_DIR";
const ID: ConversationId = ConversationId::from_bytes([5; 16]);

fn record(number: u64) -> Append {
    let client_id = ClientMessageId::from_bytes(u128::from(number).to_be_bytes());
    let records = vec![message(person(1), Some(client_id), &[7; 8 * 1024])];
    Append { conversation_id: ID, expected_head: Sequence::new(number), records }
}

/// No test unless it is told a folder: then it appends until the disk is full.
#[tokio::test]
async fn child_that_fills_its_disk() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = open(Path::new(&dir)).store;
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    let mut number = 0;
    let reason = loop {
        match store.log.append(record(number)).await {
            Ok(Appended::Committed { first, .. }) => say(format!("\nack {first}\n")),
            Err(StoreError::Stopped(reason)) => break reason,
            other => panic!("a full disk answers {other:?}"),
        }
        number += 1;
    };
    assert_eq!(store.engine.stopped().await, reason, "it says why");
    assert_eq!(store.engine.health(), Health::Stopped(reason.clone()));
    let stopped = Err(StoreError::Stopped(reason.clone()));
    assert_eq!(store.log.append(record(number)).await.map(drop), stopped, "never tried again");
    let family = &hubbub_storage::families::snapshots::Snapshots::DEF;
    let put = store.records.put(family, Vec::new(), Vec::new(), Vec::new(), Expect::Any);
    assert_eq!(put.await.map(drop), stopped, "the records stop with the log");
    assert_eq!(store.engine.close().await, stopped);
    say(format!("\nstopped {reason}\n"));
}

#[tokio::test]
async fn a_full_disk_stops_the_store_and_loses_nothing_that_was_acked() {
    let dir = tempfile::tempdir().unwrap();
    // In blocks of 512 bytes: 2 MiB.
    let limited =
        "trap '' XFSZ; ulimit -f 4096; exec \"$0\" --exact sqlite::disk::child_that_fills_its_disk --nocapture";
    let mut child = Command::new("sh");
    child.args(["-c", limited]).arg(std::env::current_exe().unwrap()).env(DIR, dir.path());
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let acked = said.lines().filter_map(|line| line.strip_prefix("ack ")?.parse::<u64>().ok()).max().unwrap();
    println!("{acked} acked; {}", said.lines().find(|line| line.starts_with("stopped")).unwrap());

    let opened = open(dir.path());
    assert!(opened.recovered.is_some());
    let records = read_all(&opened.store, ID).await;
    assert!(records.len() as u64 >= acked, "DURABLE: {acked} were acked, {} are there", records.len());
    // The one that failed may be there: its sender was told `Stopped`, and its retry settles it.
    assert!(records.len() as u64 <= acked + 1, "HONEST");
    let next = opened.store.log.append(record(acked)).await.unwrap();
    let at = Sequence::new(acked + 1);
    let settled = [Appended::Committed { first: at, last: at }, Appended::Duplicate { known: vec![(0, at)] }];
    assert!(settled.contains(&next), "ONCE: {next:?}");
    opened.store.engine.close().await.unwrap();
    assert_eq!(sqlite::verify(dir.path()).unwrap().log_records, acked + 1);
}
