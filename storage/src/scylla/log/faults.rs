//! Thousands of seeded runs over a cluster that fails, and a checker of what their writers were told.
//!
//! Each run has a few nodes with memories of their own, writers that race on one conversation, and every fault of
//! [`model`](super::model) at odds of its seed. At the end all that was late is tried, and the history is checked:
//! sequences are dense (GAPLESS), each act stands once (ONCE), what was acknowledged is where it was said to be (DURABLE),
//! nothing that was refused in any way is in the log (HONEST), and recalled payloads are gone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hubbub_protocol::member::SenderType;
use hubbub_protocol::record::{Author, Message, Recalled};
use hubbub_protocol::{ClientMessageId, ConversationId, Record, RecordBody, Sequence, Timestamp, UserId};
use tokio::time::Instant;

use super::base::{Core, Patience};
use super::model::{Counts, Model, Odds};
use super::partition::Sight;
use crate::error::StoreError;
use crate::log::{Append, Appended, NewRecord, Range};

const ID: ConversationId = ConversationId::from_bytes([9; 16]);
const RUNS: u64 = 2_100;
const ACTS: u64 = 14;

/// One call and what it was answered.
struct Told {
    /// Unlike anything else that was ever handed over.
    marks: Vec<u64>,
    acts: Vec<Option<ClientMessageId>>,
    answer: Result<Appended, StoreError>,
}

struct Run {
    model: Model,
    nodes: Vec<Arc<Core<Model>>>,
    told: Mutex<Vec<Told>>,
    marks: Mutex<u64>,
    /// Acts that anybody has tried: whoever's node hung up tries again at another.
    acts: Mutex<Vec<ClientMessageId>>,
}

fn odds(model: &Model) -> Odds {
    // Some runs are calm in one respect, some are all storm.
    let draw = |most: u64| if model.draw(3) == 0 { 0 } else { model.draw(most) };
    Odds {
        not_done: draw(200),
        lost_before: draw(150),
        lost_after: draw(200),
        late: draw(250),
        mistaken: draw(60),
        read: draw(200),
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let drawing = Model::new(seed ^ 0x5EED, Odds::default());
        let model = Model::new(seed, odds(&drawing));
        let size = [3, 8, 8, 20, 60, 300][usize::try_from(drawing.draw(6)).unwrap()];
        let patience = Patience { refuse: Duration::from_millis(700), settle: Duration::from_secs(2) };
        let nodes = (0..2 + drawing.draw(2)).map(|_| Arc::new(Core::new(model.clone(), size, patience))).collect();
        Self { model, nodes, told: Mutex::default(), marks: Mutex::default(), acts: Mutex::default() }
    }

    fn mark(&self) -> u64 {
        let mut marks = self.marks.lock().unwrap();
        *marks += 1;
        *marks
    }

    fn message(&self, act: Option<ClientMessageId>, marks: &mut Vec<u64>) -> NewRecord {
        let mark = self.mark();
        marks.push(mark);
        record(
            act,
            mark,
            RecordBody::from(Message {
                content_type: "text".to_owned(),
                payload: mark.to_be_bytes().to_vec().into(),
                reply_to: None,
                epoch: None,
            }),
        )
    }

    async fn append(
        &self,
        node: &Core<Model>,
        head: Sequence,
        records: Vec<NewRecord>,
        marks: Vec<u64>,
    ) -> Option<Appended> {
        let acts = records.iter().map(|record| record.client_message_id).collect();
        let append = Append { conversation_id: ID, expected_head: head, records };
        let (answer, after) = node.append(append, Instant::now()).await;
        assert!(!matches!(answer, Err(StoreError::Damaged(_) | StoreError::Invalid(_))), "{answer:?}");
        self.told.lock().unwrap().push(Told { marks, acts, answer: answer.clone() });
        node.follow_up(after).await;
        answer.ok()
    }

    /// A person at a node: sends, repeats what it does not know the fate of, recalls, and now and then is wrong.
    async fn writer(&self, node: Arc<Core<Model>>, number: u64) {
        let mut head = Sequence::ZERO;
        for _ in 0..ACTS {
            let act = match self.model.draw(12) {
                0 => self.tried(100),
                1 | 2 => self.tried(3),
                3 => None,
                _ => Some(ClientMessageId::from_bytes(u128::from(self.mark() << 8 | number).to_be_bytes())),
            };
            self.acts.lock().unwrap().extend(act);
            for _ in 0..6 {
                // As whoever loads the conversation anew; it may tell what is decided and not yet spread.
                if self.model.draw(3) == 0
                    && let Ok(found) = node.find_head(ID, Sight::Quorum).await
                {
                    head = found;
                }
                let (records, marks) = self.batch(act, head);
                let wrong = if self.model.draw(15) == 0 { self.model.draw(30) } else { 0 };
                match self.append(&node, head.plus(wrong), records.clone(), marks).await {
                    Some(Appended::Committed { first, last }) => {
                        assert_eq!(last, first.plus(records.len() as u64 - 1), "GAPLESS");
                        head = last;
                        self.check_acked(&records, first).await;
                        break;
                    }
                    Some(Appended::Stale { head: now }) => head = now,
                    Some(Appended::Duplicate { .. }) => break,
                    None => {}
                }
            }
        }
    }

    /// One of the last acts that were tried, by whomever.
    fn tried(&self, last: u64) -> Option<ClientMessageId> {
        let acts = self.acts.lock().unwrap();
        let back = usize::try_from(self.model.draw(last.min(acts.len() as u64))).unwrap();
        acts.iter().rev().nth(back).copied()
    }

    fn batch(&self, act: Option<ClientMessageId>, head: Sequence) -> (Vec<NewRecord>, Vec<u64>) {
        let mut marks = Vec::new();
        if head > Sequence::ZERO && self.model.draw(5) == 0 {
            let mark = self.mark();
            let target = Sequence::new(1 + self.model.draw(head.get()));
            return (vec![record(act, mark, RecordBody::Recalled(Recalled { target }))], vec![mark]);
        }
        let mut records = vec![self.message(act, &mut marks)];
        let more = if self.model.draw(8) == 0 { self.model.draw(12) } else { self.model.draw(3) };
        for _ in 0..more {
            let record = self.message(None, &mut marks);
            records.push(record);
        }
        (records, marks)
    }

    /// Whoever reads after an ack finds it, at any node (DURABLE), and a recalled payload is gone.
    async fn check_acked(&self, records: &[NewRecord], first: Sequence) {
        let node = &self.nodes[usize::try_from(self.model.draw(self.nodes.len() as u64)).unwrap()];
        match node.read(ID, Range::After(first.previous()), records.len()).await {
            Ok((found, _)) => {
                let found: Vec<_> = found.iter().map(mark_of).collect();
                assert_eq!(found, records.iter().map(mark_of_new).collect::<Vec<_>>(), "DURABLE: acked and not read");
            }
            Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
        }
        let RecordBody::Recalled(Recalled { target }) = records[0].body else { return };
        if let Ok((found, _)) = node.read(ID, Range::After(target.previous()), 1).await {
            assert!(found[0].body.payload_bytes() == 0, "a recalled payload is served");
        }
    }

    async fn check(&self) {
        self.model.heal();
        let reader = Core::new(
            self.model.clone(),
            self.bucket_size(),
            Patience { refuse: Duration::from_secs(1), settle: Duration::from_secs(1) },
        );
        let head = reader.find_head(ID, Sight::Serial).await.unwrap();
        let mut log = Vec::new();
        while let (page, _) = reader.read(ID, Range::After(Sequence::new(log.len() as u64)), 50).await.unwrap()
            && !page.is_empty()
        {
            log.extend(page);
        }
        let dense: Vec<_> = (1..=head.get()).map(Sequence::new).collect();
        assert_eq!(log.iter().map(|record| record.sequence).collect::<Vec<_>>(), dense, "GAPLESS");
        let mut acts = HashMap::new();
        for record in &log {
            let Some(act) = record.client_message_id else { continue };
            assert_eq!(acts.insert(act, record.sequence), None, "ONCE: {act} is stored twice");
            assert_eq!(reader.lookup(ID, record.author.sender_id, act).await, Ok(Some(record.sequence)), "ONCE");
        }
        check_told(&self.told.lock().unwrap(), &log, &acts);
        check_recalls(&log);
    }

    fn bucket_size(&self) -> u32 {
        u32::try_from(self.nodes[0].buckets.size()).unwrap()
    }
}

fn record(client_message_id: Option<ClientMessageId>, mark: u64, body: RecordBody) -> NewRecord {
    let author = Author { sender_id: UserId::from_bytes([1; 16]), sender_type: SenderType::Human, device_id: None };
    let created_at = Timestamp::from_ms(i64::try_from(mark).unwrap());
    NewRecord { author, created_at, client_message_id, body }
}

fn mark_of(record: &Record) -> u64 {
    u64::try_from(record.created_at.as_ms()).unwrap()
}

fn mark_of_new(record: &NewRecord) -> u64 {
    u64::try_from(record.created_at.as_ms()).unwrap()
}

fn check_told(told: &[Told], log: &[Record], acts: &HashMap<ClientMessageId, Sequence>) {
    let marks: BTreeMap<u64, Sequence> = log.iter().map(|record| (mark_of(record), record.sequence)).collect();
    assert_eq!(marks.len(), log.len(), "ONCE: something that was handed over once stands twice");
    for Told { marks: handed_over, acts: named, answer } in told {
        let found: Vec<_> = handed_over.iter().filter_map(|mark| marks.get(mark).copied()).collect();
        match answer {
            Ok(Appended::Committed { first, last }) => {
                let expected: Vec<_> = (first.get()..=last.get()).map(Sequence::new).collect();
                assert_eq!(found, expected, "DURABLE: acked, and not there in the end");
            }
            Err(StoreError::Unknown(_)) => {
                assert!(found.is_empty() || found.len() == handed_over.len(), "an append is stored by half");
            }
            refused => {
                assert!(found.is_empty(), "HONEST: {refused:?} was told of what stands at {found:?}");
                if let Ok(Appended::Duplicate { known }) = refused {
                    for (place, at) in known {
                        let act = named[*place].expect("an act without an id is known");
                        assert_eq!(acts.get(&act), Some(at), "ONCE: a duplicate of what is not there");
                    }
                }
            }
        }
    }
}

fn check_recalls(log: &[Record]) {
    let recalled: HashSet<_> = log
        .iter()
        .filter_map(
            |record| if let RecordBody::Recalled(recalled) = &record.body { Some(recalled.target) } else { None },
        )
        .collect();
    for record in log {
        let RecordBody::Message(message) = &record.body else { continue };
        let gone = message.payload.is_empty();
        assert_eq!(gone, recalled.contains(&record.sequence), "{}: recalled and kept, or lost", record.sequence);
    }
}

fn run(seed: u64) -> (Counts, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let run = Arc::new(Run::new(seed));
        let writers: Vec<_> = (0..4)
            .map(|number: usize| {
                let node = Arc::clone(&run.nodes[number % run.nodes.len()]);
                let run = Arc::clone(&run);
                tokio::spawn(async move { run.writer(node, number as u64).await })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        run.check().await;
        let told = run.told.lock().unwrap();
        (run.model.counts(), told.iter().filter(|told| matches!(told.answer, Err(StoreError::Unknown(_)))).count())
    })
}

#[test]
fn whatever_fails_the_log_is_whole_and_nobody_was_told_an_untruth() {
    let mut all = Counts::default();
    let mut unknown = 0;
    let only: Option<u64> = std::env::var("HUBBUB_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in only.map_or(0..RUNS, |seed| seed..seed + 1) {
        let outcome = std::panic::catch_unwind(|| run(seed));
        let (counts, told_unknown) = outcome.unwrap_or_else(|_| panic!("the run of HUBBUB_SEED={seed} failed"));
        all.late_applied += counts.late_applied;
        all.late_refused += counts.late_refused;
        all.doubts += counts.doubts;
        all.filters += counts.filters;
        all.intents += counts.intents;
        unknown += told_unknown;
    }
    println!("{all:?}, {unknown} told as unknown");
    let hunted = [all.late_applied, all.late_refused, all.doubts, all.filters, all.intents];
    assert!(only.is_some() || hunted.iter().all(|count| *count > 100), "hardly anything was hunted: {all:?}");
}

fn text(act: u8) -> NewRecord {
    let message = Message { content_type: "text".to_owned(), payload: vec![act].into(), reply_to: None, epoch: None };
    record(Some(ClientMessageId::from_bytes([act; 16])), u64::from(act), message.into())
}

async fn append(node: &Core<Model>, head: u64, act: u8) -> Result<Appended, StoreError> {
    let append = Append { conversation_id: ID, expected_head: Sequence::new(head), records: vec![text(act)] };
    node.append(append, Instant::now()).await.0
}

const HASTE: Patience = Patience { refuse: Duration::from_millis(1), settle: Duration::from_millis(1) };
const PATIENCE: Patience = Patience { refuse: Duration::from_secs(1), settle: Duration::from_secs(2) };

#[tokio::test(start_paused = true)]
async fn who_begins_a_bucket_knows_the_acts_of_the_one_before_though_they_have_not_spread() {
    for seed in 0..60 {
        let model = Model::new(seed, Odds::default());
        let node = Core::new(model.clone(), 3, PATIENCE);
        append(&node, 0, 1).await.unwrap();
        append(&node, 1, 2).await.unwrap();
        // The last one of the bucket is decided, and its node dies before it has looked.
        let hasty = Core::new(model.clone(), 3, HASTE);
        model.set(Odds { lost_after: 1000, read: 1000, ..Odds::default() });
        assert!(matches!(append(&hasty, 2, 3).await, Err(StoreError::Unknown(_))));
        model.set(Odds::default());
        let other = Core::new(model.clone(), 3, PATIENCE);
        while other.find_head(ID, Sight::Quorum).await != Ok(Sequence::new(3)) {}
        let again = append(&other, 3, 3).await;
        assert_eq!(again, Ok(Appended::Duplicate { known: vec![(0, Sequence::new(3))] }), "ONCE, seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_ahead_of_the_log_and_is_late_is_not_stored_when_the_log_comes_there() {
    for seed in 0..20 {
        let model = Model::new(seed, Odds::default());
        let node = Core::new(model.clone(), 3, PATIENCE);
        for head in 0..4 {
            append(&node, head, u8::try_from(head).unwrap() + 1).await.unwrap();
        }
        for ahead in [5, 7, 8] {
            let other = Core::new(model.clone(), 3, PATIENCE);
            model.set(Odds { late: 1000, ..Odds::default() });
            let told = append(&other, ahead, 100 + u8::try_from(ahead).unwrap()).await;
            model.set(Odds::default());
            // Unknown would be true as well.
            assert!(matches!(told, Ok(Appended::Stale { .. }) | Err(StoreError::Unknown(_))), "{told:?}");
            if told.is_ok() {
                let head = node.find_head(ID, Sight::Serial).await.unwrap().get();
                append(&node, head, 50 + u8::try_from(head).unwrap()).await.unwrap();
            }
        }
        for head in 7..10 {
            append(&node, head, 80 + u8::try_from(head).unwrap()).await.unwrap();
            model.heal();
            assert_eq!(node.find_head(ID, Sight::Serial).await, Ok(Sequence::new(head + 1)), "HONEST, seed {seed}");
        }
    }
}
