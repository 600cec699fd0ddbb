//! Appends a second on a CQL server, alone and in batches, and whether all of it is there in the end.
//!
//! ```text
//! cargo bench -p hubbub-storage --all-features --bench cql -- --nodes 127.0.0.1:9042[,HOST:PORT] [--replication 1]
//!     [--conversations 1,32] [--batch 1,16,64] [--racers 1] [--payload 300] [--seconds 5]
//! ```
//!
//! Each conversation has one writer a store and each waits for its ack before it appends again, as a home does. With more
//! racers that many stores write to each conversation at once. Nodes may be killed or stopped meanwhile: what fails is
//! repeated under its id until its fate is known, and at the end every log is read and checked against the acks.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hubbub_protocol::{ClientMessageId, ConversationId, Sequence};
use hubbub_storage::conformance::{message, person};
use hubbub_storage::error::StoreError;
use hubbub_storage::log::{Append, Appended, MAX_READ_RECORDS, NewRecord, Range};
use hubbub_storage::scylla::{CqlConfig, open};
use hubbub_storage::store::Store;

struct Options {
    nodes: Vec<String>,
    replication: u32,
    conversations: Vec<usize>,
    batches: Vec<usize>,
    racers: usize,
    payload: usize,
    seconds: u64,
}

#[derive(Default)]
struct Tally {
    latencies: Vec<Duration>,
    acked: Vec<(Sequence, ClientMessageId)>,
    stale: usize,
    duplicates: usize,
    refused: usize,
    unknown: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(bench(options))
}

fn options() -> Result<Options, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut given = HashMap::new();
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} wants a value", pair[0]).into()) };
        given.insert(name.as_str(), value.clone());
    }
    let mut take = |name, default: &str| given.remove(name).unwrap_or_else(|| default.to_owned());
    let numbers = |text: String| text.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>();
    let options = Options {
        nodes: take("--nodes", "127.0.0.1:9042").split(',').map(str::to_owned).collect(),
        replication: take("--replication", "1").parse()?,
        conversations: numbers(take("--conversations", "1,32"))?,
        batches: numbers(take("--batch", "1,16,64"))?,
        racers: take("--racers", "1").parse()?,
        payload: take("--payload", "300").parse()?,
        seconds: take("--seconds", "5").parse()?,
    };
    match given.keys().next() {
        Some(unknown) => Err(format!("unknown option {unknown}").into()),
        None => Ok(options),
    }
}

async fn bench(options: Options) -> Result<(), Box<dyn Error>> {
    let keyspace = format!("hubbub_bench_{}", options.replication);
    let config = CqlConfig { replication: Some(options.replication), ..CqlConfig::at(options.nodes.clone(), keyspace) };
    let mut stores = Vec::new();
    for _ in 0..options.racers {
        stores.push(open(&config).await?);
    }
    for conversations in &options.conversations {
        for batch in &options.batches {
            run(&stores, &options, *conversations, *batch).await?;
        }
    }
    for store in stores {
        store.engine.close().await?;
    }
    Ok(())
}

async fn run(stores: &[Store], options: &Options, conversations: usize, batch: usize) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let until = started + Duration::from_secs(options.seconds);
    let payload: Arc<[u8]> = vec![0x5A; options.payload].into();
    let ids: Vec<_> = (0..conversations).map(|_| ConversationId::generate()).collect();
    let writers = ids.iter().flat_map(|id| {
        stores.iter().map(|store| tokio::spawn(write(store.clone(), *id, batch, Arc::clone(&payload), until)))
    });
    let mut tallies = Vec::new();
    for tally in join_all(writers).await {
        tallies.push(tally??);
    }
    let elapsed = started.elapsed();
    for (id, tallies) in ids.iter().zip(tallies.chunks(stores.len())) {
        check(&stores[0], *id, tallies).await?;
    }
    print(&tallies, elapsed, conversations, batch);
    Ok(())
}

/// Appends until the time is up, each batch until its fate is known.
async fn write(
    store: Store,
    id: ConversationId,
    batch: usize,
    payload: Arc<[u8]>,
    until: Instant,
) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let mut head = Sequence::ZERO;
    while Instant::now() < until {
        let records: Vec<NewRecord> =
            (0..batch).map(|_| message(person(1), Some(ClientMessageId::generate()), &payload)).collect();
        let sent = Instant::now();
        loop {
            let append = Append { conversation_id: id, expected_head: head, records: records.clone() };
            match store.log.append(append).await {
                Ok(Appended::Committed { first, last }) => {
                    tally.acked(first, &records);
                    head = last;
                    break;
                }
                Ok(Appended::Duplicate { known }) if known.len() == batch => {
                    tally.duplicates += 1;
                    tally.acked(known[0].1, &records);
                    break;
                }
                Ok(Appended::Stale { head: now }) => {
                    tally.stale += 1;
                    head = now;
                }
                Err(StoreError::Unavailable(_) | StoreError::Overloaded) => tally.refused += 1,
                Err(StoreError::Unknown(_)) => tally.unknown += 1,
                other => return Err(format!("an append ended as {other:?}")),
            }
        }
        tally.latencies.push(sent.elapsed());
    }
    Ok(tally)
}

impl Tally {
    fn acked(&mut self, first: Sequence, records: &[NewRecord]) {
        let acts = records.iter().filter_map(|record| record.client_message_id);
        self.acked.extend((0..).map(|above| first.plus(above)).zip(acts));
    }
}

/// GAPLESS, ONCE and DURABLE, from the acks.
async fn check(store: &Store, id: ConversationId, tallies: &[Tally]) -> Result<(), Box<dyn Error>> {
    let mut log = HashMap::new();
    let mut cursor = Sequence::ZERO;
    loop {
        let page = store.log.read(id, Range::After(cursor), MAX_READ_RECORDS).await?;
        let Some(last) = page.last() else { break };
        let next = last.sequence;
        if next != cursor.plus(page.len() as u64) {
            return Err(format!("GAPLESS: a hole after {cursor} in {id}").into());
        }
        cursor = next;
        log.extend(page.into_iter().filter_map(|record| Some((record.client_message_id?, record.sequence))));
    }
    if log.len() as u64 != cursor.get() {
        return Err(format!("ONCE: {} acts in {cursor} records of {id}", log.len()).into());
    }
    for (sequence, act) in tallies.iter().flat_map(|tally| &tally.acked) {
        if log.get(act) != Some(sequence) {
            return Err(format!("DURABLE: {act} was acked at {sequence} and is at {:?}", log.get(act)).into());
        }
    }
    Ok(())
}

fn print(tallies: &[Tally], elapsed: Duration, conversations: usize, batch: usize) {
    let mut latencies: Vec<_> = tallies.iter().flat_map(|tally| tally.latencies.iter().copied()).collect();
    latencies.sort_unstable();
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default();
    let sum = |count: fn(&Tally) -> usize| tallies.iter().map(count).sum::<usize>();
    let acked = u32::try_from(sum(|tally| tally.acked.len())).unwrap_or(u32::MAX);
    let appends = u32::try_from(latencies.len()).unwrap_or(u32::MAX);
    println!(
        "{conversations:4} conversations, batches of {batch:3}: {:7.0} appends/s {:8.0} messages/s   ack p50 {:.1?} p99 {:.1?} max {:.1?}   \
         ({} stale, {} duplicate, {} refused, {} unknown; all logs whole)",
        f64::from(appends) / elapsed.as_secs_f64(),
        f64::from(acked) / elapsed.as_secs_f64(),
        at(50),
        at(99),
        latencies.last().copied().unwrap_or_default(),
        sum(|tally| tally.stale),
        sum(|tally| tally.duplicates),
        sum(|tally| tally.refused),
        sum(|tally| tally.unknown),
    );
}
