//! Claims about `kill -9` under load, many times over: nothing acked is lost, nothing is there twice, nobody misses anything.
//!
//! Senders and followers live through all cycles, as devices would: they keep what is unsettled and where they are, and
//! come back with both. Acks are journaled in a file that the server knows nothing of, and judged from there.
//! DURABLE, ONCE, GAPLESS, IN-ORDER, RESUMABLE and HONEST, all at once. `HUBBUB_TEST_CRASH_CYCLES` asks for more cycles.

mod devices;
mod journal;

use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hubbub_loadtest::client::Seen;
use hubbub_loadtest::client::stamp::mix;
use hubbub_loadtest::ledger::Ledger;
use hubbub_protocol::{ConversationId, Sequence};
use tokio::sync::watch;

use self::devices::{Follower, Sender};
use self::journal::Journal;
use crate::wire::{Host, Person, alone, sequences};

/// Cycles, unless the environment asks for others.
const CYCLES: u64 = 200;
/// Each person has a device that follows everything and four that send.
const PEOPLE: usize = 8;
const SENDERS_EACH: usize = 4;
/// How long a server lives under load, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 50..400;
/// After the last cycle all has to settle within this time.
const SETTLING: Duration = Duration::from_secs(30);

/// What the devices are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There is no server.
    Down,
    /// There is one, the how-manieth, and it will be killed.
    Load(u64),
    /// There is one for good: send nothing new, and settle what was sent.
    Settle,
    /// All is over.
    Over,
}

/// What all devices write into.
struct Books {
    began: Instant,
    ledger: Mutex<Ledger>,
    journal: Journal,
}

impl Books {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap()
    }
}

/// The conversations: one for each person's devices to send to, and one that only the first person is in.
struct Places {
    open: Vec<ConversationId>,
    closed: ConversationId,
}

async fn places(people: &[Person]) -> Places {
    let mut open = Vec::new();
    for owner in people {
        let others: Vec<&Person> = people.iter().filter(|person| person.id() != owner.id()).collect();
        open.push(owner.group(&others).await);
    }
    Places { open, closed: people[0].group(&[]).await }
}

fn cycles() -> u64 {
    std::env::var("HUBBUB_TEST_CRASH_CYCLES").map_or(CYCLES, |text| text.parse().expect("a number of cycles"))
}

/// Kills and restarts, and tells how long each start took until it accepted.
async fn kill_again_and_again(host: &mut Host, cycles: u64, phase: &watch::Sender<Phase>) -> Vec<Duration> {
    let seed = u64::from(std::process::id());
    println!("crash: {cycles} cycles, seed {seed}");
    let mut starts = Vec::new();
    for cycle in 0..cycles {
        let life = LIFE_MS.start + mix(seed, cycle) % (LIFE_MS.end - LIFE_MS.start);
        tokio::time::sleep(Duration::from_millis(life)).await;
        host.server.kill();
        phase.send_replace(Phase::Down);
        let began = Instant::now();
        host.start_again();
        TcpStream::connect(host.target.address).expect("the first accept");
        starts.push(began.elapsed());
        phase.send_replace(Phase::Load(cycle + 1));
    }
    starts
}

/// Reads every history into the ledger, and checks it against the journal.
async fn audit(people: &[Person], places: &Places, books: &Books) {
    let acked = books.journal.read();
    for (number, id) in places.open.iter().chain([&places.closed]).enumerate() {
        let history = people[0].history(*id, 200).await;
        let dense: Vec<u64> = (1..=history.len() as u64).collect();
        assert_eq!(sequences(&history), dense, "GAPLESS: {id} is 1 to its head without a hole");
        let seen: Vec<Seen> = history.iter().skip(1).map(Seen::of).collect();
        journal::compare(&acked, *id, &seen);
        let mut ledger = books.ledger.lock().unwrap();
        for seen in &seen {
            ledger.history(number, seen);
        }
        ledger.history_ends(number);
    }
}

fn report(mut starts: Vec<Duration>, books: &Books, took: Duration) {
    starts.sort_unstable();
    let at = |share: usize| starts[(starts.len() - 1) * share / 100].as_millis();
    let counts = books.ledger.lock().unwrap().counts();
    println!(
        "crash: {} cycles in {} s; restart to first accept p50 {} ms, p99 {} ms, max {} ms",
        starts.len(),
        took.as_secs(),
        at(50),
        at(99),
        at(100),
    );
    println!(
        "crash: {} sent, {} acked, {} written more than once, {} refused; {} events delivered, {} of them replayed",
        counts.sent, counts.acked, counts.repeated, counts.refused, counts.delivered, counts.replayed
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn durable_once_and_in_order_through_hundreds_of_kills_under_load() {
    let _machine = alone().await;
    let began = Instant::now();
    let mut host = Host::start();
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(host.person(&format!("person-{number}")).await);
    }
    let places = Arc::new(places(&people).await);

    let mut ledger = Ledger::new(1);
    for id in places.open.iter().chain([&places.closed]) {
        ledger.conversation(*id, Sequence::new(1));
    }
    let (phase, watched) = watch::channel(Phase::Load(0));
    let journal = Journal::new(host.data.with_extension("acks"));
    let books = Arc::new(Books { began, ledger: Mutex::new(ledger), journal });
    let mut senders = tokio::task::JoinSet::new();
    let mut followers = tokio::task::JoinSet::new();
    for (number, person) in people.iter().enumerate() {
        let follower = Follower::new(person.clone(), &places.open, Arc::clone(&books));
        followers.spawn(follower.live(watched.clone()));
        for _ in 0..SENDERS_EACH {
            // The first person's own devices may send anywhere.
            let closed = (number > 0).then_some(places.closed);
            let sender = Sender::new(person.clone(), number, places.open[number], closed, Arc::clone(&books));
            senders.spawn(sender.live(watched.clone()));
        }
    }
    drop(watched);

    let starts = kill_again_and_again(&mut host, cycles(), &phase).await;
    phase.send_replace(Phase::Settle);
    let settled = async {
        while let Some(ended) = senders.join_next().await {
            ended.expect("a sender has lived to its end");
        }
        while books.ledger.lock().unwrap().behind() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let all_settled = tokio::time::timeout(SETTLING, settled).await.is_ok();
    phase.send_replace(Phase::Over);
    while let Some(ended) = followers.join_next().await {
        ended.expect("a follower has lived to its end");
    }

    report(starts, &books, began.elapsed());
    audit(&people, &places, &books).await;
    let (findings, counts) = {
        let ledger = books.ledger.lock().unwrap();
        (ledger.judge(), ledger.counts())
    };
    assert!(findings.is_clean(), "{:#?}", findings.examples());
    assert!(all_settled, "HONEST, RESUMABLE: all settles, and all is seen");
    assert_eq!(counts.unknown(), 0, "HONEST: unknown ones were settled by a retry with the same id");
    assert!(counts.refused > 0 && counts.repeated > 0 && counts.replayed > 0, "it did what it says: {counts:?}");
    assert!(counts.acked > cycles(), "there was load: {counts:?}");
}
