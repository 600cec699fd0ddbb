//! Two stores race on conversations of a real server over a way that loses things: what they were told is checked.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use hubbub_protocol::{ClientMessageId, ConversationId, Record, RecordBody, Sequence};
use hubbub_storage::conformance::{message, person};
use hubbub_storage::error::StoreError;
use hubbub_storage::log::{Append, Appended, MAX_READ_RECORDS, Range};
use hubbub_storage::scylla::{CqlConfig, open};
use hubbub_storage::store::Store;
use tokio::task::JoinSet;

use super::proxy::Proxy;
use super::{RUNTIME, TINY, config, fresh, say, server};

const CONVERSATIONS: usize = 6;
const ACTS: u32 = 16;

/// What was handed over, each payload unlike any other, and what was answered.
struct Told {
    payloads: Vec<Vec<u8>>,
    answer: Result<Appended, StoreError>,
}

struct Writer {
    store: Store,
    id: ConversationId,
    number: u8,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Writer {
    /// Sends acts one after the other; each is repeated under its id until its fate is known.
    async fn write(self) {
        let mut head = Sequence::ZERO;
        for act in 0..ACTS {
            let id = ClientMessageId::generate();
            for attempt in 0..40_u32 {
                let payload =
                    |part: u8| [&[self.number, part][..], &act.to_be_bytes(), &attempt.to_be_bytes()].concat();
                let payloads: Vec<_> = (0..=u8::try_from(act % 3).unwrap()).map(payload).collect();
                let records = payloads.iter().enumerate();
                let records = records
                    .map(|(part, payload)| message(person(self.number), (part == 0).then_some(id), payload))
                    .collect();
                let append = Append { conversation_id: self.id, expected_head: head, records };
                let answer = self.store.log.append(append).await;
                self.told.lock().unwrap().push(Told { payloads, answer: answer.clone() });
                match answer {
                    Ok(Appended::Committed { last, .. }) => {
                        head = last;
                        break;
                    }
                    Ok(Appended::Stale { head: now }) => head = now,
                    Ok(Appended::Duplicate { .. }) => break,
                    Err(StoreError::Unavailable(_) | StoreError::Unknown(_) | StoreError::Overloaded) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

fn payload(record: &Record) -> Vec<u8> {
    let RecordBody::Message(message) = &record.body else { panic!("another kind") };
    message.payload.as_bytes().to_vec()
}

async fn check(store: &Store, id: ConversationId, told: &[Told]) -> (usize, usize) {
    let mut log: Vec<Record> = Vec::new();
    while let page = store.log.read(id, Range::After(Sequence::new(log.len() as u64)), MAX_READ_RECORDS).await.unwrap()
        && !page.is_empty()
    {
        log.extend(page);
    }
    let places: BTreeMap<_, _> = log.iter().map(|record| (payload(record), record.sequence)).collect();
    assert_eq!(places.len(), log.len(), "ONCE");
    let acts: Vec<_> = log.iter().filter_map(|record| record.client_message_id).collect();
    assert_eq!(acts.iter().collect::<HashSet<_>>().len(), acts.len(), "ONCE");
    let mut unknown = 0;
    for Told { payloads, answer } in told {
        let found: Vec<_> = payloads.iter().filter_map(|payload| places.get(payload).copied()).collect();
        match answer {
            Ok(Appended::Committed { first, last }) => {
                let expected: Vec<_> = (first.get()..=last.get()).map(Sequence::new).collect();
                assert_eq!(found, expected, "DURABLE: acked, and not there");
            }
            Err(StoreError::Unknown(_)) => unknown += 1,
            refused => assert!(found.is_empty(), "HONEST: {refused:?}, and it stands at {found:?}"),
        }
    }
    (log.len(), unknown)
}

async fn race(server: String) {
    let mut tasks = JoinSet::new();
    let mut stores = Vec::new();
    let mut proxies = Vec::new();
    for seed in [11, 12] {
        let Some((proxy, address)) = Proxy::start(server.clone(), seed, &mut tasks).await else {
            return say("SKIPPED: the race over a rough way, as the CQL server is on another machine");
        };
        let config = CqlConfig {
            write_timeout: Duration::from_millis(600),
            read_timeout: Duration::from_millis(600),
            settle_within: Duration::from_secs(6),
            bucket_size: TINY,
            ..config(address.to_string(), &format!("hubbub_contract_{TINY}"))
        };
        stores.push(open(&config).await.unwrap());
        proxies.push(proxy);
    }
    let conversations: Vec<_> =
        (0..CONVERSATIONS).map(|_| (ConversationId::generate(), Arc::new(Mutex::new(Vec::new())))).collect();
    for proxy in &proxies {
        proxy.rough(true);
    }
    let writers = conversations.iter().flat_map(|(id, told)| {
        (0_u8..).zip(&stores).map(|(number, store)| {
            let writer = Writer { store: store.clone(), id: *id, number, told: Arc::clone(told) };
            tokio::spawn(writer.write())
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    for proxy in &proxies {
        proxy.rough(false);
    }
    // What is held has its moment: longer than any is held.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let (store, ()) = tokio::task::spawn_blocking(|| fresh(TINY).unwrap()).await.unwrap();
    let (mut records, mut unknown) = (0, 0);
    for (id, told) in &conversations {
        let told = std::mem::take(&mut *told.lock().unwrap());
        let counts = check(&store, *id, &told).await;
        records += counts.0;
        unknown += counts.1;
    }
    let faults: u64 = proxies.iter().map(Proxy::faults).sum();
    println!("{records} records, {faults} faults, {unknown} answers unknown");
    assert!(faults > 50, "only {faults} faults");
    assert!(records >= CONVERSATIONS * 2 * ACTS as usize, "{records} records: not every act came through");
    for store in stores {
        store.engine.close().await.unwrap();
    }
    store.engine.close().await.unwrap();
}

#[test]
fn two_stores_that_race_over_a_way_that_loses_things_were_told_the_truth() {
    if let Some(server) = server() {
        RUNTIME.block_on(race(server));
    }
}
