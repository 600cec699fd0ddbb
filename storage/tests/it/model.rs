//! Any sequence of operations against a plain `Vec`: every backend answers as it does.

use std::collections::BTreeMap;

use hubbub_protocol::record::{Recalled, RecordBody};
use hubbub_protocol::{ClientMessageId, ConversationId, Record, Sequence};
use hubbub_storage::conformance::{message, person};
use hubbub_storage::families::snapshots::Snapshots;
use hubbub_storage::log::{Append, Appended, NewRecord, Range, erase_payload};
use hubbub_storage::memory;
use hubbub_storage::records::{Claimed, Expect, Family, FamilyDef, RawRow, Slice, Written};
use hubbub_storage::store::Store;
use proptest::prelude::*;

use crate::sqlite::{fresh, with_tiny_segments};

const FAMILY: &FamilyDef = &Snapshots::DEF;
const CASES: u32 = 64;

#[derive(Debug, Clone)]
enum Operation {
    /// To which conversation, how far from its head, and what.
    Append {
        conversation: usize,
        off: i64,
        records: Vec<(u8, Option<u8>, Content)>,
    },
    Read {
        conversation: usize,
        up: bool,
        bound: u64,
        limit: usize,
    },
    Lookup {
        conversation: usize,
        author: u8,
        client_id: u8,
    },
    Put {
        key: Vec<u8>,
        value: u8,
        expect: Expect,
    },
    Delete {
        key: Vec<u8>,
        expect: Expect,
    },
    List {
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: usize,
    },
    Claim {
        value: u8,
        owner: u8,
    },
    Release {
        value: u8,
        owner: u8,
    },
}

#[derive(Debug, Clone)]
enum Content {
    Message(u8),
    Recall(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let content = prop_oneof![4 => any::<u8>().prop_map(Content::Message), 1 => (0..12_u64).prop_map(Content::Recall)];
    let record = (0..3_u8, proptest::option::of(0..12_u8), content);
    let off = prop_oneof![6 => Just(0_i64), 1 => -2..3_i64];
    let key = proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255)], 0..3);
    let expect = prop_oneof![Just(Expect::Absent), Just(Expect::Any), (0..4_u64).prop_map(Expect::Version)];
    prop_oneof![
        8 => (0..3_usize, off, proptest::collection::vec(record, 1..4))
            .prop_map(|(conversation, off, records)| Operation::Append { conversation, off, records }),
        3 => (0..3_usize, any::<bool>(), 0..20_u64, 0..12_usize)
            .prop_map(|(conversation, up, bound, limit)| Operation::Read { conversation, up, bound, limit }),
        2 => (0..3_usize, 0..3_u8, 0..12_u8)
            .prop_map(|(conversation, author, client_id)| Operation::Lookup { conversation, author, client_id }),
        3 => (key.clone(), any::<u8>(), expect.clone())
            .prop_map(|(key, value, expect)| Operation::Put { key, value, expect }),
        1 => (key.clone(), expect).prop_map(|(key, expect)| Operation::Delete { key, expect }),
        2 => (key.clone(), proptest::option::of(key), 0..5_usize)
            .prop_map(|(prefix, after, limit)| Operation::List { prefix, after, limit }),
        1 => (0..3_u8, 0..3_u8).prop_map(|(value, owner)| Operation::Claim { value, owner }),
        1 => (0..3_u8, 0..3_u8).prop_map(|(value, owner)| Operation::Release { value, owner }),
    ]
}

/// The contract in its plainest form. Each case has ids and keys of its own, so that one store serves all.
struct Model {
    case: [u8; 16],
    logs: Vec<(ConversationId, Vec<Record>)>,
    rows: BTreeMap<Vec<u8>, (u64, u8)>,
    claims: BTreeMap<u8, u8>,
}

impl Model {
    fn new() -> Self {
        let logs = (0..3).map(|_| (ConversationId::generate(), Vec::new())).collect();
        Self { case: *ConversationId::generate().as_bytes(), logs, rows: BTreeMap::new(), claims: BTreeMap::new() }
    }

    /// What the plain vector answers; it is changed as the store should be.
    fn append(&mut self, append: &Append, conversation: usize) -> Appended {
        let (id, log) = &mut self.logs[conversation];
        let known: Vec<_> = append
            .records
            .iter()
            .enumerate()
            .filter_map(|(place, new)| {
                let same = |old: &&Record| {
                    old.author.sender_id == new.author.sender_id && old.client_message_id == new.client_message_id
                };
                new.client_message_id?;
                Some((place, log.iter().find(same)?.sequence))
            })
            .collect();
        if !known.is_empty() {
            return Appended::Duplicate { known };
        }
        let head = Sequence::new(log.len() as u64);
        if head != append.expected_head {
            return Appended::Stale { head };
        }
        for new in append.records.clone() {
            if let RecordBody::Recalled(Recalled { target }) = new.body
                && let Some(old) = log.iter_mut().find(|old| old.sequence == target)
            {
                erase_payload(&mut old.body);
            }
            let NewRecord { author, created_at, client_message_id, body } = new;
            let sequence = Sequence::new(log.len() as u64 + 1);
            log.push(Record { conversation_id: *id, sequence, author, created_at, client_message_id, body });
        }
        Appended::Committed { first: head.next(), last: Sequence::new(log.len() as u64) }
    }

    fn partition(&self) -> Vec<u8> {
        self.case.to_vec()
    }
}

async fn compare(store: &Store, operations: Vec<Operation>) {
    let mut model = Model::new();
    for operation in operations {
        compare_one(store, &mut model, operation).await;
    }
    for (id, log) in &model.logs {
        assert_eq!(&store.log.read(*id, Range::After(Sequence::ZERO), 1000).await.unwrap(), log, "GAPLESS");
    }
}

async fn compare_one(store: &Store, model: &mut Model, operation: Operation) {
    match operation {
        Operation::Append { conversation, off, records } => {
            let (id, log) = &model.logs[conversation];
            let expected_head = Sequence::new((log.len() as u64).saturating_add_signed(off));
            let append = Append { conversation_id: *id, expected_head, records: new_records(records) };
            if append.check().is_err() {
                return;
            }
            let expected = model.append(&append, conversation);
            assert_eq!(store.log.append(append).await, Ok(expected));
        }
        Operation::Read { conversation, up, bound, limit } => {
            let (id, log) = &model.logs[conversation];
            let (range, expected) = if up {
                (Range::After(Sequence::new(bound)), log.iter().skip(count(bound)).take(limit).cloned().collect())
            } else {
                let below: Vec<_> = log.iter().take(count(bound.saturating_sub(1))).cloned().collect();
                let expected = below[below.len().saturating_sub(limit)..].to_vec();
                (Range::Before(Sequence::new(bound)), expected)
            };
            assert_eq!(store.log.read(*id, range, limit).await, Ok::<Vec<_>, _>(expected), "{range:?} {limit}");
        }
        Operation::Lookup { conversation, author, client_id } => {
            let (id, log) = &model.logs[conversation];
            let (sender, client_id) = (person(author).sender_id, client_id_of(client_id));
            let same = |old: &&Record| old.author.sender_id == sender && old.client_message_id == Some(client_id);
            let expected = log.iter().find(same).map(|old| old.sequence);
            assert_eq!(store.log.lookup(*id, sender, client_id).await, Ok(expected), "ONCE");
        }
        other => compare_records(store, model, other).await,
    }
}

async fn compare_records(store: &Store, model: &mut Model, operation: Operation) {
    let partition = model.partition();
    match operation {
        Operation::Put { key, value, expect } => {
            let found = model.rows.get(&key).map(|(version, _)| *version);
            let expected = if expect.is_met_by(found) {
                let version = found.unwrap_or_default() + 1;
                model.rows.insert(key.clone(), (version, value));
                Written::Done(version)
            } else {
                Written::Conflict(found)
            };
            assert_eq!(store.records.put(FAMILY, partition, key, vec![value], expect).await, Ok(expected));
        }
        Operation::Delete { key, expect } => {
            let found = model.rows.get(&key).map(|(version, _)| *version);
            let expected = match found.filter(|_| expect.is_met_by(found)) {
                Some(version) => {
                    model.rows.remove(&key);
                    Written::Done(version)
                }
                None => Written::Conflict(found),
            };
            assert_eq!(store.records.delete(FAMILY, partition, key, expect).await, Ok(expected));
        }
        Operation::List { prefix, after, limit } => {
            let within = |key: &[u8]| key.starts_with(&prefix) && after.as_deref().is_none_or(|after| key > after);
            let rows = model.rows.iter().filter(|(key, _)| within(key)).take(limit);
            let expected: Vec<_> = rows
                .map(|(sort, (version, value))| RawRow { sort: sort.clone(), version: *version, value: vec![*value] })
                .collect();
            let slice = Slice { prefix: prefix.clone(), after: after.clone(), limit };
            assert_eq!(store.records.list(FAMILY, partition, slice).await, Ok(expected));
        }
        Operation::Claim { value, owner } => {
            let holder = *model.claims.entry(value).or_insert(owner);
            let expected = if holder == owner { Claimed::Yours } else { Claimed::Taken(vec![holder]) };
            let claimed = store.records.claim("model", claimed_value(&partition, value), vec![owner]).await;
            assert_eq!(claimed, Ok(expected));
        }
        Operation::Release { value, owner } => {
            if model.claims.get(&value) == Some(&owner) {
                model.claims.remove(&value);
            }
            let released = store.records.release("model", claimed_value(&partition, value), vec![owner]).await;
            assert_eq!(released, Ok(()));
        }
        Operation::Append { .. } | Operation::Read { .. } | Operation::Lookup { .. } => {}
    }
}

fn new_records(records: Vec<(u8, Option<u8>, Content)>) -> Vec<NewRecord> {
    let record = |(author, client_id, content): (u8, Option<u8>, Content)| {
        let mut record = message(person(author), client_id.map(client_id_of), &[]);
        match content {
            Content::Message(byte) => record.body = message(person(author), None, &[byte]).body,
            Content::Recall(target) => {
                record.body = RecordBody::Recalled(Recalled { target: Sequence::new(target) });
            }
        }
        record
    };
    records.into_iter().map(record).collect()
}

fn client_id_of(number: u8) -> ClientMessageId {
    ClientMessageId::from_bytes([number; 16])
}

fn claimed_value(case: &[u8], value: u8) -> Vec<u8> {
    [case, &[value]].concat()
}

fn count(sequence: u64) -> usize {
    usize::try_from(sequence).unwrap()
}

fn check(store: &Store) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) };
    proptest!(config, |(operations in proptest::collection::vec(operation(), 1..60))| {
        runtime.block_on(compare(store, operations));
    });
    runtime.block_on(store.engine.close()).unwrap();
}

#[test]
fn memory_answers_any_operations_as_a_plain_vector_does() {
    check(&memory::open());
}

#[test]
fn sqlite_answers_any_operations_as_a_plain_vector_does() {
    let (store, _dir) = fresh();
    check(&store);
}

#[test]
fn sqlite_answers_any_operations_as_a_plain_vector_does_while_segments_are_applied() {
    let (store, _dir) = with_tiny_segments();
    check(&store);
}

#[cfg(feature = "cql")]
#[test]
fn cql_answers_any_operations_as_a_plain_vector_does_at_bucket_edges() {
    if let Some((store, ())) = crate::scylla::fresh(crate::scylla::TINY) {
        check(&store);
    }
}
