//! `kill -9` while it writes: what was acknowledged is there, once, in order, and nothing else came of it.
//!
//! The child is this test binary again, at [`child_that_appends_until_it_is_killed`]; the journal of what it was told is
//! its standard output, read by the parent, so that it lives outside the process that is killed.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hubbub_protocol::{ClientMessageId, ConversationId, Sequence};
use hubbub_storage::conformance::{append, message, person};
use hubbub_storage::log::Appended;
use hubbub_storage::sqlite;

use super::{open, read_all};

const KILLS: u64 = 24;
const CONVERSATIONS: u8 = 4;
const SENDERS: usize = 16;
/// A round lasts well under a second.
const CHILD_LIFE: Duration = Duration::from_mins(1);
const DIR: &str = "HUBBUB_TEST_CRASH_DIR";

fn conversation(number: u8) -> ConversationId {
    ConversationId::from_bytes([number; 16])
}

/// No test unless it is told a folder: then it appends until somebody kills it.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = open(Path::new(&dir)).store;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let heads = RefCell::new([Sequence::ZERO; CONVERSATIONS as usize]);
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    let born = Instant::now();
    let sender = async |first: usize| {
        for turn in first.. {
            // A child whose parent is gone does not stay.
            assert!(born.elapsed() < CHILD_LIFE, "nobody killed it");
            let number = turn % usize::from(CONVERSATIONS);
            let id = conversation(u8::try_from(number).unwrap());
            let client_id = ClientMessageId::generate();
            say(format!("\ntry {number} {client_id}\n"));
            loop {
                let head = heads.borrow()[number];
                let records = vec![message(person(1), Some(client_id), client_id.as_bytes())];
                match append(&store, id, head, records).await {
                    Appended::Committed { first, last } => {
                        say(format!("\nack {number} {client_id} {first}\n"));
                        heads.borrow_mut()[number] = last;
                        break;
                    }
                    Appended::Stale { head } => heads.borrow_mut()[number] = head,
                    Appended::Duplicate { known } => panic!("ONCE: a new id is known at {known:?}"),
                }
            }
        }
    };
    runtime.block_on(join_all((0..SENDERS).map(sender)));
}

fn start_child(dir: &Path) -> (Child, Receiver<String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::crash::child_that_appends_until_it_is_killed", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, receiver) = channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    (child, receiver)
}

/// Client ids by conversation: tried, and acked with their sequence.
#[derive(Default)]
struct Journal {
    tried: HashSet<(u8, ClientMessageId)>,
    acked: HashMap<(u8, ClientMessageId), Sequence>,
}

impl Journal {
    /// Notes a line; whether it was an ack. A last line that the kill cut short says nothing.
    fn note(&mut self, line: &str) -> bool {
        let words: Vec<_> = line.split(' ').collect();
        let (kind, number, client_id, sequence) = match words[..] {
            ["try", number, client_id] => ("try", number, client_id, None),
            ["ack", number, client_id, sequence] => ("ack", number, client_id, Some(sequence)),
            _ => return false,
        };
        let (Ok(number), Ok(client_id)) = (number.parse(), client_id.parse()) else { return false };
        if kind == "try" {
            self.tried.insert((number, client_id));
            return false;
        }
        let sequence = sequence.and_then(|sequence| sequence.parse().ok()).map(Sequence::new).unwrap();
        assert_eq!(self.acked.insert((number, client_id), sequence), None, "ONCE: acked twice");
        true
    }
}

#[test]
fn whatever_was_acked_before_a_kill_is_there_once_and_in_order_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut journal = Journal::default();
    let mut slowest = Duration::ZERO;
    for kill in 0..KILLS {
        run_and_kill(dir.path(), kill, &mut journal);
        let opening = Instant::now();
        let opened = open(dir.path());
        slowest = slowest.max(opening.elapsed());
        assert!(opened.recovered.is_some(), "a kill counts as an unclean stop");
        for number in 0..CONVERSATIONS {
            runtime.block_on(check(&opened.store, number, &journal));
        }
        // Every other time the folder stays unclean until the next child opens it.
        if kill % 2 == 0 {
            runtime.block_on(opened.store.engine.close()).unwrap();
        }
        drop(opened);
        wait_until_free(dir.path());
    }
    let summary = sqlite::verify(dir.path()).unwrap();
    assert!(!journal.acked.is_empty());
    let (acked, tried) = (journal.acked.len(), journal.tried.len());
    println!("{KILLS} kills, {tried} tried, {acked} acked, {} stored, slowest open {slowest:?}", summary.log_records);
}

/// Lets a child run until some acks have come, a different number each time, and kills it.
fn run_and_kill(dir: &Path, kill: u64, journal: &mut Journal) {
    let (mut child, lines) = start_child(dir);
    let mut acks_left = 1 + kill * 37 % 200;
    while acks_left > 0 {
        let line = lines.recv_timeout(Duration::from_mins(1)).expect("the child goes on");
        acks_left -= u64::from(journal.note(&line));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had said before it died counts.
    for line in lines {
        journal.note(&line);
    }
}

/// A dropped store's threads hold the lock until they have ended.
fn wait_until_free(dir: &Path) {
    let lock = std::fs::File::open(dir.join("lock")).unwrap();
    lock.lock().unwrap();
}

async fn check(store: &hubbub_storage::store::Store, number: u8, journal: &Journal) {
    let records = read_all(store, conversation(number)).await;
    let mut found = HashMap::new();
    for (expected, record) in (1..).zip(&records) {
        assert_eq!(record.sequence, Sequence::new(expected), "GAPLESS");
        let client_id = record.client_message_id.unwrap();
        assert!(journal.tried.contains(&(number, client_id)), "{client_id} was never sent");
        assert_eq!(record.body, message(person(1), None, client_id.as_bytes()).body);
        assert_eq!(found.insert(client_id, record.sequence), None, "ONCE: {client_id} is stored twice");
    }
    for ((_, client_id), acked) in journal.acked.iter().filter(|((of, _), _)| *of == number) {
        assert_eq!(found.get(client_id), Some(acked), "DURABLE: {client_id} was acked at {acked}");
    }
    let head = Sequence::new(records.len() as u64);
    for (client_id, sequence) in found.into_iter().take(20) {
        let retry = append(store, conversation(number), head, vec![message(person(1), Some(client_id), b"again")]);
        assert_eq!(retry.await, Appended::Duplicate { known: vec![(0, sequence)] }, "ONCE");
    }
}
