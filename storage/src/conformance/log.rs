//! The message log's properties.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use hubbub_protocol::limits::MAX_PAYLOAD_BYTES;
use hubbub_protocol::member::{ConversationKind, Member, Role, SenderType};
use hubbub_protocol::record::{
    Author, GroupUpdated, MemberAdded, MemberRemoved, Opened, Reaction, ReactionChange, Recalled, RoleChanged,
};
use hubbub_protocol::{ClientMessageId, ConversationId, DeviceId, Record, RecordBody, Sequence, Timestamp};

use super::{any_message, append, append_at_head, message, person};
use crate::error::StoreError;
use crate::log::{Append, Appended, MAX_APPEND_RECORDS, MAX_READ_RECORDS, NewRecord, Range};
use crate::store::Store;

pub(super) const START: Range = Range::After(Sequence::ZERO);

pub(super) fn at(number: u64) -> Sequence {
    Sequence::new(number)
}

pub(super) fn new_record(body: RecordBody) -> NewRecord {
    NewRecord { author: person(1), created_at: Timestamp::from_ms(5), client_message_id: None, body }
}

pub(super) async fn read(store: &Store, id: ConversationId, range: Range, limit: usize) -> Vec<Record> {
    store.log.read(id, range, limit).await.expect("the store answers a read")
}

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.sequence.get()).collect()
}

pub(super) fn payload(record: &Record) -> &[u8] {
    match &record.body {
        RecordBody::Message(message) => message.payload.as_bytes(),
        _ => &[],
    }
}

pub(super) fn stored(id: ConversationId, sequence: Sequence, record: NewRecord) -> Record {
    let NewRecord { author, created_at, client_message_id, body } = record;
    Record { conversation_id: id, sequence, author, created_at, client_message_id, body }
}

/// DURABLE, as far as one process sees it: what was acknowledged is there, as it was handed in.
pub async fn acked_append_is_read_back(store: Store) {
    let id = ConversationId::generate();
    let record = any_message(b"hello");
    let appended = append(&store, id, Sequence::ZERO, vec![record.clone()]).await;
    assert_eq!(appended, Appended::Committed { first: at(1), last: at(1) });
    assert_eq!(read(&store, id, START, 10).await, [stored(id, at(1), record)], "DURABLE: acked and not read back");
    assert_eq!(store.log.head(id).await, Ok(at(1)));
}

/// GAPLESS: 1, 2, 3 … over appends of one and of many.
pub async fn sequences_begin_at_one_and_have_no_holes(store: Store) {
    let id = ConversationId::generate();
    for count in [1, 3, 2, 5] {
        let records = (0..count).map(|_| any_message(b"x")).collect();
        append_at_head(&store, id, records).await;
    }
    assert_eq!(numbers(&read(&store, id, START, 100).await), (1..=11).collect::<Vec<_>>(), "GAPLESS");
}

/// GAPLESS and HONEST under a race: each ack names the place where its own payload stands, and nothing else is there.
pub async fn concurrent_appenders_leave_no_hole(store: Store) {
    const APPENDERS: u8 = 8;
    const EACH: u8 = 25;
    let id = ConversationId::generate();
    let appenders = (0..APPENDERS).map(|appender| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut acked = Vec::new();
            let mut head = Sequence::ZERO;
            for number in 0..EACH {
                let record = message(person(appender), Some(ClientMessageId::generate()), &[appender, number]);
                loop {
                    match append(&store, id, head, vec![record.clone()]).await {
                        Appended::Committed { first, last } => {
                            acked.push((first, vec![appender, number]));
                            head = last;
                            break;
                        }
                        Appended::Stale { head: now } => head = now,
                        Appended::Duplicate { known } => assert!(known.is_empty(), "ONCE: {known:?} was never stored"),
                    }
                }
            }
            acked
        })
    });
    let mut acked: Vec<_> =
        join_all(appenders).await.into_iter().flat_map(|done| done.expect("an appender ends")).collect();
    acked.sort();
    let records = read(&store, id, START, MAX_READ_RECORDS).await;
    let found: Vec<_> = records.iter().map(|record| (record.sequence, payload(record).to_vec())).collect();
    assert_eq!(found, acked, "GAPLESS: the log is the acks in order");
    assert_eq!(numbers(&records), (1..=u64::from(APPENDERS) * u64::from(EACH)).collect::<Vec<_>>(), "GAPLESS");
}

/// A decision against another head than the log's is told so, and leaves no trace (HONEST).
pub async fn a_stale_append_stores_nothing(store: Store) {
    let id = ConversationId::generate();
    append_at_head(&store, id, vec![any_message(b"1"), any_message(b"2")]).await;
    let record = any_message(b"3");
    for wrong in [at(0), at(1), at(3), at(900), at(u64::MAX)] {
        let appended = append(&store, id, wrong, vec![record.clone()]).await;
        assert_eq!(appended, Appended::Stale { head: at(2) }, "GAPLESS: decided against {wrong}");
    }
    assert_eq!(read(&store, id, START, 10).await.len(), 2, "HONEST: what was refused is in the log");
    let appended = append(&store, id, at(2), vec![record]).await;
    assert_eq!(appended, Appended::Committed { first: at(3), last: at(3) }, "a refused act may be tried again");
}

/// ONCE: for ever, and told before a stale head.
pub async fn a_retry_gets_its_first_sequence_whatever_came_since(store: Store) {
    let id = ConversationId::generate();
    let first = any_message(b"first");
    append(&store, id, Sequence::ZERO, vec![first.clone()]).await;
    for _ in 0..300 {
        append_at_head(&store, id, vec![any_message(b"later")]).await;
    }
    let changed = NewRecord { body: any_message(b"other words").body, ..first.clone() };
    for (head, retry) in [(at(0), first.clone()), (at(301), first), (at(7), changed)] {
        let appended = append(&store, id, head, vec![retry]).await;
        assert_eq!(appended, Appended::Duplicate { known: vec![(0, at(1))] }, "ONCE, against head {head}");
    }
    assert_eq!(store.log.head(id).await, Ok(at(301)), "ONCE: a retry was stored");
}

/// ONCE within a batch: whatever is known is told by its place, and none of the batch is stored.
pub async fn a_batch_with_a_known_act_is_refused_whole(store: Store) {
    let id = ConversationId::generate();
    let (a, b) = (any_message(b"a"), any_message(b"b"));
    append_at_head(&store, id, vec![a.clone(), b.clone()]).await;
    let batch = vec![any_message(b"new"), b, any_message(b"newer"), a];
    let appended = append(&store, id, at(2), batch).await;
    assert_eq!(appended, Appended::Duplicate { known: vec![(1, at(2)), (3, at(1))] }, "ONCE");
    assert_eq!(store.log.head(id).await, Ok(at(2)), "HONEST: part of a refused batch was stored");
}

/// Two people, or one in two conversations, may use the same client id.
pub async fn a_client_id_is_its_authors_and_its_conversations(store: Store) {
    let client_id = Some(ClientMessageId::generate());
    for id in [ConversationId::generate(), ConversationId::generate()] {
        let both = vec![message(person(1), client_id, b"mine"), message(person(2), client_id, b"yours")];
        append_at_head(&store, id, both).await;
        let again = append(&store, id, at(2), vec![message(person(2), client_id, b"yours")]).await;
        assert_eq!(again, Appended::Duplicate { known: vec![(0, at(2))] }, "ONCE, for each author");
    }
    let mut device = person(1);
    device.device_id = Some(DeviceId::generate());
    let id = ConversationId::generate();
    append_at_head(&store, id, vec![message(person(1), client_id, b"phone")]).await;
    let again = append(&store, id, at(1), vec![message(device, client_id, b"phone")]).await;
    assert_eq!(again, Appended::Duplicate { known: vec![(0, at(1))] }, "ONCE: a person's devices are one author");
}

/// The server's own records carry no client id.
pub async fn acts_without_a_client_id_are_never_duplicates(store: Store) {
    let id = ConversationId::generate();
    let record = message(person(1), None, b"same");
    append_at_head(&store, id, vec![record.clone(), record.clone()]).await;
    append_at_head(&store, id, vec![record]).await;
    assert_eq!(store.log.head(id).await, Ok(at(3)));
}

/// ONCE under a race of its own retries.
pub async fn one_act_sent_a_hundred_times_at_once_is_stored_once(store: Store) {
    let id = ConversationId::generate();
    append_at_head(&store, id, vec![any_message(b"opened")]).await;
    let act = any_message(b"once");
    let sends = (0..100).map(|_| {
        let (store, act) = (store.clone(), act.clone());
        tokio::spawn(async move { append(&store, id, at(1), vec![act]).await })
    });
    let mut committed = 0;
    for appended in join_all(sends).await {
        match appended.expect("a send ends") {
            Appended::Committed { first, last } => {
                assert_eq!((first, last), (at(2), at(2)));
                committed += 1;
            }
            known => assert_eq!(known, Appended::Duplicate { known: vec![(0, at(2))] }, "ONCE"),
        }
    }
    assert_eq!(committed, 1, "ONCE: {committed} of 100 retries were stored");
    assert_eq!(store.log.head(id).await, Ok(at(2)), "ONCE");
}

/// Reading in pieces from either end meets the same records in the same order (IN-ORDER, RESUMABLE).
pub async fn ranges_and_limits_cut_the_same_log(store: Store) {
    let id = ConversationId::generate();
    for _ in 0..5 {
        append_at_head(&store, id, (0..5).map(|_| any_message(b"x")).collect()).await;
    }
    let all = (1..=25).collect::<Vec<u64>>();
    for (range, limit, expected) in [
        (Range::After(at(0)), 100, &all[..]),
        (Range::After(at(0)), 3, &all[..3]),
        (Range::After(at(20)), 100, &all[20..]),
        (Range::After(at(24)), 1, &all[24..]),
        (Range::After(at(25)), 10, &[]),
        (Range::After(at(u64::MAX)), 10, &[]),
        (Range::Before(at(u64::MAX)), 4, &all[21..]),
        (Range::Before(at(26)), 100, &all[..]),
        (Range::Before(at(25)), 3, &all[21..24]),
        (Range::Before(at(3)), 100, &all[..2]),
        (Range::Before(at(1)), 10, &[]),
        (Range::Before(at(0)), 10, &[]),
        (Range::After(at(3)), 0, &[]),
        (Range::Before(at(3)), 0, &[]),
    ] {
        assert_eq!(numbers(&read(&store, id, range, limit).await), expected, "IN-ORDER: {range:?}, at most {limit}");
    }
    let (mut cursor, mut paged) = (Sequence::ZERO, Vec::new());
    loop {
        let page = read(&store, id, Range::After(cursor), 4).await;
        let Some(last) = page.last() else { break };
        cursor = last.sequence;
        paged.extend(numbers(&page));
    }
    assert_eq!(paged, all, "RESUMABLE: pages upwards are the log");
}

/// Whoever was told of a record finds it: by reading, by head and by its client id.
pub async fn a_read_sees_whatever_was_acked_before_it(store: Store) {
    let id = ConversationId::generate();
    for number in 1..=50 {
        let client_id = ClientMessageId::generate();
        let record = message(person(1), Some(client_id), b"x");
        append(&store, id, at(number - 1), vec![record]).await;
        assert_eq!(numbers(&read(&store, id, Range::After(at(number - 1)), 5).await), [number], "DURABLE");
        assert_eq!(store.log.head(id).await, Ok(at(number)));
        assert_eq!(store.log.lookup(id, person(1).sender_id, client_id).await, Ok(Some(at(number))));
    }
}

/// A client id is looked up within its conversation and author.
pub async fn lookup_finds_an_act_and_nothing_else(store: Store) {
    let id = ConversationId::generate();
    let client_id = ClientMessageId::generate();
    append_at_head(&store, id, vec![any_message(b"0"), message(person(1), Some(client_id), b"1")]).await;
    let sender = person(1).sender_id;
    let find = |id, sender, client_id| store.log.lookup(id, sender, client_id);
    assert_eq!(find(id, sender, client_id).await, Ok(Some(at(2))));
    assert_eq!(find(id, person(2).sender_id, client_id).await, Ok(None));
    assert_eq!(find(ConversationId::generate(), sender, client_id).await, Ok(None));
    assert_eq!(find(id, sender, ClientMessageId::generate()).await, Ok(None));
}

/// Absent is empty, not an error.
pub async fn an_empty_conversation_is_empty_and_no_error(store: Store) {
    let id = ConversationId::generate();
    assert_eq!(store.log.head(id).await, Ok(Sequence::ZERO));
    assert_eq!(read(&store, id, START, 10).await, []);
    assert_eq!(read(&store, id, Range::Before(at(9)), 10).await, []);
    assert_eq!(append(&store, id, at(1), vec![any_message(b"x")]).await, Appended::Stale { head: at(0) });
}

/// Empty, oversize, or the same act twice: refused as the caller's fault, and nothing is stored (BOUNDED).
pub async fn an_append_that_breaks_the_contract_is_refused(store: Store) {
    let id = ConversationId::generate();
    let twice = any_message(b"twice");
    let too_many = (0..=MAX_APPEND_RECORDS).map(|_| any_message(b"x")).collect();
    for records in [Vec::new(), vec![twice.clone(), any_message(b"x"), twice], too_many] {
        let append = Append { conversation_id: id, expected_head: Sequence::ZERO, records };
        assert!(matches!(store.log.append(append).await, Err(StoreError::Invalid(_))), "BOUNDED");
    }
    assert_eq!(store.log.head(id).await, Ok(Sequence::ZERO), "HONEST: what was refused is in the log");
}

/// The limits themselves are within the limits.
pub async fn the_largest_append_and_the_largest_payload_come_back(store: Store) {
    let id = ConversationId::generate();
    let largest: Vec<u8> = (0..MAX_PAYLOAD_BYTES).map(|place| u8::try_from(place % 251).unwrap_or_default()).collect();
    append_at_head(&store, id, vec![any_message(&largest)]).await;
    append_at_head(&store, id, (0..MAX_APPEND_RECORDS).map(|_| any_message(b"x")).collect()).await;
    assert_eq!(payload(&read(&store, id, START, 1).await[0]), largest);
    for _ in 0..3 {
        append_at_head(&store, id, (0..MAX_APPEND_RECORDS).map(|_| any_message(b"x")).collect()).await;
    }
    let most = read(&store, id, START, usize::MAX).await;
    assert_eq!(most.len(), MAX_READ_RECORDS, "BOUNDED: a read has a largest answer");
}

/// Nothing of a record is lost on its way.
pub async fn every_kind_of_record_comes_back(store: Store) {
    let id = ConversationId::generate();
    let member = Member { user_id: person(2).sender_id, role: Role::Admin };
    let bodies = [
        RecordBody::Opened(Opened {
            kind: ConversationKind::Group, name: "Näme 🙂".to_owned(), members: vec![member]
        }),
        any_message(b"\x00\xff").body,
        RecordBody::Reaction(Reaction { target: at(2), emoji: "🙂".to_owned(), change: ReactionChange::Added }),
        RecordBody::MemberAdded(MemberAdded { member }),
        RecordBody::MemberRemoved(MemberRemoved { user_id: member.user_id }),
        RecordBody::RoleChanged(RoleChanged { member }),
        RecordBody::GroupUpdated(GroupUpdated { name: None, description: Some(String::new()) }),
        RecordBody::Recalled(Recalled { target: at(900) }),
    ];
    let mut records: Vec<_> = bodies.into_iter().map(new_record).collect();
    for (record, sender_type) in records.iter_mut().zip([SenderType::Human, SenderType::Agent, SenderType::System]) {
        record.author = Author { sender_type, device_id: Some(DeviceId::generate()), ..person(3) };
        record.client_message_id = Some(ClientMessageId::generate());
        record.created_at = Timestamp::from_ms(253_402_300_799_999);
    }
    append_at_head(&store, id, records.clone()).await;
    let expected: Vec<_> = (1..).zip(records).map(|(number, record)| stored(id, at(number), record)).collect();
    assert_eq!(read(&store, id, START, 100).await, expected);
}

/// A caller may hand over the next append before the last is answered.
pub async fn appends_handed_over_in_order_are_tried_in_order(store: Store) {
    let id = ConversationId::generate();
    let handed_over: Vec<_> = (0..50)
        .map(|number| {
            let records = vec![any_message(b"x")];
            store.log.append(Append { conversation_id: id, expected_head: at(number), records })
        })
        .collect();
    for (number, appended) in (1..).zip(join_all(handed_over).await) {
        assert_eq!(appended, Ok(Appended::Committed { first: at(number), last: at(number) }), "tried out of order");
    }
}

/// Whoever goes away leaves an append that is stored or not, and never half.
pub async fn a_dropped_future_does_not_undo_its_append(store: Store) {
    let id = ConversationId::generate();
    let first =
        Append { conversation_id: id, expected_head: at(0), records: vec![any_message(b"1"), any_message(b"2")] };
    drop(store.log.append(first));
    let second = Append { conversation_id: id, expected_head: at(2), records: vec![any_message(b"3")] };
    assert_eq!(store.log.append(second).await, Ok(Appended::Committed { first: at(3), last: at(3) }));
    assert_eq!(numbers(&read(&store, id, START, 10).await), [1, 2, 3], "GAPLESS");
}

/// Many conversations at once, each with its own sequences.
pub async fn conversations_do_not_touch_one_another(store: Store) {
    let ids: BTreeSet<_> = (0..40).map(|_| ConversationId::generate()).collect();
    let appends = ids.iter().map(|id| {
        let store = store.clone();
        async move {
            for number in 0..5 {
                append(&store, *id, at(number), vec![any_message(id.as_bytes())]).await;
            }
        }
    });
    join_all(appends).await;
    for id in ids {
        let records = read(&store, id, START, 100).await;
        assert_eq!(numbers(&records), [1, 2, 3, 4, 5], "GAPLESS");
        assert!(records.iter().all(|record| record.conversation_id == id && payload(record) == id.as_bytes()));
    }
}

/// DRAINED: what was handed over before the close is answered as ever; what comes after is refused as `Stopped`.
pub async fn closing_finishes_what_was_handed_over_and_refuses_the_rest(store: Store) {
    let ids: Vec<_> = (0..100).map(|_| ConversationId::generate()).collect();
    let append = |id| {
        let records = vec![any_message(b"x")];
        store.log.append(Append { conversation_id: id, expected_head: at(0), records })
    };
    let handed_over: Vec<_> = ids.iter().map(|id| append(*id)).collect();
    let closed = store.engine.close();
    for appended in join_all(handed_over).await {
        assert_eq!(appended, Ok(Appended::Committed { first: at(1), last: at(1) }), "DRAINED");
    }
    assert_eq!(closed.await, Ok(()));
    assert!(matches!(append(ids[0]).await, Err(StoreError::Stopped(_))));
    assert!(matches!(store.log.head(ids[0]).await, Err(StoreError::Stopped(_))));
    assert!(matches!(store.log.read(ids[0], START, 1).await, Err(StoreError::Stopped(_))));
    assert!(matches!(store.engine.health(), crate::store::Health::Stopped(_)));
    assert_eq!(store.engine.close().await, Ok(()), "closing twice is closing once");
}
