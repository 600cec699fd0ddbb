//! The record families' properties.

use futures_util::future::join_all;
use hubbub_protocol::{Sequence, UserId};

use crate::error::StoreError;
use crate::families::idempotency::IdempotencyKeys;
use crate::families::marks::{Mark, Marks};
use crate::families::snapshots::Snapshots;
use crate::records::{Claimed, Expect, Family, FamilyDef, MAX_LIST_ROWS, RawRow, Slice, Table, Version, Written};
use crate::store::Store;

/// Families are alike to a backend: these stand for all.
const FAMILY: &FamilyDef = &Snapshots::DEF;
const OTHER_FAMILY: &FamilyDef = &IdempotencyKeys::DEF;
const CLAIM: &str = "conformance";

async fn put(store: &Store, partition: &[u8], sort: &[u8], value: &[u8], expect: Expect) -> Written {
    let put = store.records.put(FAMILY, partition.to_vec(), sort.to_vec(), value.to_vec(), expect);
    put.await.expect("the store answers a put")
}

async fn delete(store: &Store, sort: &[u8], expect: Expect) -> Written {
    store.records.delete(FAMILY, b"p".to_vec(), sort.to_vec(), expect).await.expect("the store answers a delete")
}

async fn get(store: &Store, partition: &[u8], sort: &[u8]) -> Option<RawRow> {
    let get = store.records.get(FAMILY, partition.to_vec(), sort.to_vec());
    get.await.expect("the store answers a get")
}

async fn list(store: &Store, slice: Slice) -> Vec<Vec<u8>> {
    let rows = store.records.list(FAMILY, b"p".to_vec(), slice).await.expect("the store answers a list");
    rows.into_iter().map(|row| row.sort).collect()
}

async fn claim(store: &Store, value: &[u8], owner: &[u8]) -> Claimed {
    store.records.claim(CLAIM, value.to_vec(), owner.to_vec()).await.expect("the store answers a claim")
}

fn row(sort: &[u8], version: Version, value: &[u8]) -> RawRow {
    RawRow { sort: sort.to_vec(), version, value: value.to_vec() }
}

/// DURABLE, as far as one process sees it; versions are 1, 2, 3 …
pub async fn a_row_comes_back_and_its_version_rises_by_one(store: Store) {
    assert_eq!(get(&store, b"p", b"s").await, None);
    for version in 1..=5 {
        let value = version.to_string();
        assert_eq!(put(&store, b"p", b"s", value.as_bytes(), Expect::Any).await, Written::Done(version));
        assert_eq!(get(&store, b"p", b"s").await, Some(row(b"s", version, value.as_bytes())), "DURABLE");
    }
}

/// Compare and set, from each expectation.
pub async fn a_write_happens_only_if_what_it_expects_is_so(store: Store) {
    assert_eq!(put(&store, b"p", b"s", b"1", Expect::Version(1)).await, Written::Conflict(None));
    assert_eq!(put(&store, b"p", b"s", b"1", Expect::Absent).await, Written::Done(1));
    assert_eq!(put(&store, b"p", b"s", b"2", Expect::Absent).await, Written::Conflict(Some(1)));
    assert_eq!(put(&store, b"p", b"s", b"2", Expect::Version(1)).await, Written::Done(2));
    assert_eq!(put(&store, b"p", b"s", b"3", Expect::Version(1)).await, Written::Conflict(Some(2)));
    assert_eq!(put(&store, b"p", b"s", b"3", Expect::Any).await, Written::Done(3));
}

/// HONEST: what was refused left no trace.
pub async fn a_conflict_tells_the_version_and_changes_nothing(store: Store) {
    put(&store, b"p", b"s", b"kept", Expect::Absent).await;
    for expect in [Expect::Absent, Expect::Version(0), Expect::Version(2)] {
        assert_eq!(put(&store, b"p", b"s", b"lost", expect).await, Written::Conflict(Some(1)));
        assert_eq!(delete(&store, b"s", expect).await, Written::Conflict(Some(1)));
    }
    assert_eq!(get(&store, b"p", b"s").await, Some(row(b"s", 1, b"kept")), "HONEST");
}

/// A deletion carries the version that went; a row made after it is a new one.
pub async fn a_deleted_row_is_gone_and_begins_anew(store: Store) {
    for expect in [Expect::Any, Expect::Absent, Expect::Version(1)] {
        assert_eq!(delete(&store, b"s", expect).await, Written::Conflict(None), "there is nothing to take away");
    }
    put(&store, b"p", b"s", b"1", Expect::Any).await;
    put(&store, b"p", b"s", b"2", Expect::Any).await;
    assert_eq!(delete(&store, b"s", Expect::Version(2)).await, Written::Done(2));
    assert_eq!(get(&store, b"p", b"s").await, None);
    assert_eq!(put(&store, b"p", b"s", b"3", Expect::Absent).await, Written::Done(1));
    assert_eq!(delete(&store, b"s", Expect::Any).await, Written::Done(1));
}

/// The order is that of the keys' bytes, whatever the order of writing.
pub async fn rows_are_listed_in_the_order_of_their_keys(store: Store) {
    let keys: [&[u8]; 8] = [b"b", b"", b"a\xff", b"\xff\xff", b"a", b"\x00", b"a\x00", b"\xff"];
    for key in keys {
        put(&store, b"p", key, key, Expect::Absent).await;
    }
    let mut sorted = keys.map(<[u8]>::to_vec).to_vec();
    sorted.sort();
    assert_eq!(list(&store, Slice { limit: 100, ..Slice::default() }).await, sorted);
}

/// A page and the next are the whole, without what the slice leaves out.
pub async fn a_slice_keeps_to_its_prefix_its_bound_and_its_limit(store: Store) {
    for key in ["a", "ab", "ab1", "ab2", "ab3", "abc", "ac", "b"] {
        put(&store, b"p", key.as_bytes(), b"", Expect::Absent).await;
    }
    let slice = |prefix: &str, after: Option<&str>, limit| Slice {
        prefix: prefix.as_bytes().to_vec(),
        after: after.map(|after| after.as_bytes().to_vec()),
        limit,
    };
    for (slice, expected) in [
        (slice("ab", None, 100), vec!["ab", "ab1", "ab2", "ab3", "abc"]),
        (slice("ab", Some("ab"), 2), vec!["ab1", "ab2"]),
        (slice("ab", Some("ab2"), 100), vec!["ab3", "abc"]),
        (slice("ab", Some("a"), 1), vec!["ab"]),
        (slice("ab", Some("abc"), 100), vec![]),
        (slice("ab", Some("b"), 100), vec![]),
        (slice("", Some("ac"), 100), vec!["b"]),
        (slice("zz", None, 100), vec![]),
        (slice("", None, 0), vec![]),
    ] {
        let found = list(&store, slice.clone()).await;
        let expected: Vec<_> = expected.into_iter().map(|key: &str| key.as_bytes().to_vec()).collect();
        assert_eq!(found, expected, "{slice:?}");
    }
}

/// Whatever a deletion leaves behind in the backend, a list goes on past it until it is full.
pub async fn a_list_is_full_however_many_rows_were_deleted_before_its_end(store: Store) {
    let keys: Vec<_> = (0..20).map(|number| format!("{number:02}").into_bytes()).collect();
    join_all(keys.iter().map(|key| put(&store, b"p", key, b"", Expect::Absent))).await;
    join_all(keys[1..18].iter().map(|key| delete(&store, key, Expect::Version(1)))).await;
    let list = |after: Option<&[u8]>, limit| {
        let slice = Slice { after: after.map(<[u8]>::to_vec), limit, ..Slice::default() };
        async { list(&store, slice).await }
    };
    assert_eq!(list(None, 2).await, [b"00", b"18"]);
    assert_eq!(list(Some(b"00"), 1).await, [b"18"]);
    assert_eq!(list(None, 100).await, [b"00", b"18", b"19"]);
    assert_eq!(put(&store, b"p", b"05", b"", Expect::Absent).await, Written::Done(1), "and it can be made anew");
    assert_eq!(list(None, 2).await, [b"00", b"05"]);
}

/// BOUNDED, whatever the caller asks for; the last key leads to the rest.
pub async fn a_list_has_a_largest_answer_and_goes_on_after_it(store: Store) {
    let keys: Vec<_> = (0..=MAX_LIST_ROWS).map(|number| format!("{number:08}").into_bytes()).collect();
    join_all(keys.iter().map(|key| put(&store, b"p", key, b"", Expect::Absent))).await;
    let first = list(&store, Slice { limit: usize::MAX, ..Slice::default() }).await;
    assert_eq!(first.len(), MAX_LIST_ROWS, "BOUNDED: a list has a largest answer");
    let rest = list(&store, Slice { after: first.last().cloned(), limit: usize::MAX, ..Slice::default() }).await;
    assert_eq!([first, rest].concat(), keys, "RESUMABLE");
}

/// Where adding one to a prefix carries.
pub async fn a_prefix_of_the_highest_bytes_has_an_end(store: Store) {
    for key in [&b"\x01\xff"[..], b"\x01\xff\xff", b"\x02", b"\xff", b"\xff\xff\x01"] {
        put(&store, b"p", key, b"", Expect::Absent).await;
    }
    let with = |prefix: &[u8]| Slice { prefix: prefix.to_vec(), after: None, limit: 100 };
    assert_eq!(list(&store, with(b"\x01\xff")).await, [b"\x01\xff".to_vec(), b"\x01\xff\xff".to_vec()]);
    assert_eq!(list(&store, with(b"\xff")).await, [b"\xff".to_vec(), b"\xff\xff\x01".to_vec()]);
    assert_eq!(list(&store, with(b"\xff\xff")).await, [b"\xff\xff\x01".to_vec()]);
}

/// The same keys elsewhere are other rows.
pub async fn partitions_and_families_are_apart(store: Store) {
    put(&store, b"p", b"s", b"here", Expect::Absent).await;
    assert_eq!(put(&store, b"q", b"s", b"there", Expect::Absent).await, Written::Done(1));
    assert_eq!(put(&store, b"ps", b"", b"joined", Expect::Absent).await, Written::Done(1));
    let other = store.records.put(OTHER_FAMILY, b"p".to_vec(), b"s".to_vec(), b"other".to_vec(), Expect::Absent);
    assert_eq!(other.await, Ok(Written::Done(1)));
    assert_eq!(list(&store, Slice { limit: 100, ..Slice::default() }).await, [b"s".to_vec()]);
    assert_eq!(get(&store, b"p", b"s").await, Some(row(b"s", 1, b"here")));
}

/// The edges of sizes.
pub async fn empty_keys_and_values_and_large_values_come_back(store: Store) {
    assert_eq!(put(&store, b"", b"", b"", Expect::Absent).await, Written::Done(1));
    assert_eq!(get(&store, b"", b"").await, Some(row(b"", 1, b"")));
    let large = vec![0xA5; 1024 * 1024];
    assert_eq!(put(&store, b"", b"", &large, Expect::Version(1)).await, Written::Done(2));
    assert_eq!(get(&store, b"", b"").await, Some(row(b"", 2, &large)));
}

/// Two writers that read the same version cannot both win.
pub async fn racing_writers_lose_no_update(store: Store) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 10;
    let writers = (0..WRITERS).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..EACH {
                loop {
                    let found = get(&store, b"p", b"sum").await;
                    let sum = found.as_ref().map_or(0, |row| row.value.len());
                    let expect = found.map_or(Expect::Absent, |row| Expect::Version(row.version));
                    if let Written::Done(_) = put(&store, b"p", b"sum", &vec![b'1'; sum + 1], expect).await {
                        break;
                    }
                }
            }
        })
    });
    for writer in join_all(writers).await {
        writer.expect("a writer ends");
    }
    let all = WRITERS * EACH;
    let value = vec![b'1'; usize::try_from(all).unwrap_or_default()];
    assert_eq!(get(&store, b"p", b"sum").await, Some(row(b"sum", all, &value)), "an update was lost");
}

/// Of many who want the same, one gets it, and the others hear who.
pub async fn a_claim_has_one_winner(store: Store) {
    let claims = (0..50_u8).map(|owner| {
        let store = store.clone();
        tokio::spawn(async move { (vec![owner], claim(&store, b"wanted", &[owner]).await) })
    });
    let outcomes: Vec<_> = join_all(claims).await.into_iter().map(|done| done.expect("a claim ends")).collect();
    let winners: Vec<_> = outcomes.iter().filter(|(_, claimed)| *claimed == Claimed::Yours).collect();
    assert_eq!(winners.len(), 1, "a claim has one winner");
    let winner = &winners[0].0;
    for (owner, claimed) in &outcomes {
        let expected = if owner == winner { Claimed::Yours } else { Claimed::Taken(winner.clone()) };
        assert_eq!(claimed, &expected);
    }
    assert_eq!(store.records.claimant(CLAIM, b"wanted".to_vec()).await, Ok(Some(winner.clone())));
}

/// Whoever repeats a claim after an unknown outcome has it.
pub async fn a_claim_is_its_owners_again_and_others_hear_whose(store: Store) {
    assert_eq!(store.records.claimant(CLAIM, b"v".to_vec()).await, Ok(None));
    for _ in 0..3 {
        assert_eq!(claim(&store, b"v", b"me").await, Claimed::Yours);
    }
    assert_eq!(claim(&store, b"v", b"you").await, Claimed::Taken(b"me".to_vec()));
    assert_eq!(claim(&store, b"other", b"you").await, Claimed::Yours);
    let elsewhere = store.records.claim("conformance_too", b"v".to_vec(), b"you".to_vec());
    assert_eq!(elsewhere.await, Ok(Claimed::Yours), "kinds of claims are apart");
}

/// Giving back what is somebody else's changes nothing.
pub async fn only_its_owner_releases_a_claim(store: Store) {
    claim(&store, b"v", b"me").await;
    let release = |owner: &[u8]| store.records.release(CLAIM, b"v".to_vec(), owner.to_vec());
    assert_eq!(release(b"you").await, Ok(()));
    assert_eq!(claim(&store, b"v", b"you").await, Claimed::Taken(b"me".to_vec()));
    assert_eq!(release(b"me").await, Ok(()));
    assert_eq!(release(b"me").await, Ok(()), "releasing twice is releasing once");
    assert_eq!(claim(&store, b"v", b"you").await, Claimed::Yours);
}

/// The face that callers see, over the bytes that backends see.
pub async fn a_typed_table_reads_what_it_wrote(store: Store) {
    let marks = Table::<Marks>::new(store.records.clone());
    let conversation = hubbub_protocol::ConversationId::generate();
    let mut people: Vec<_> = (0..5).map(|number| UserId::from_bytes([number; 16])).collect();
    for (number, user) in (1..).zip(&people) {
        let mark = Mark { read_seq: Sequence::new(number) };
        assert_eq!(marks.put(&conversation, user, &mark, Expect::Absent).await, Ok(Written::Done(1)));
    }
    let found = marks.list(&conversation, Some(&people[0]), 3).await.expect("the store answers a list");
    assert_eq!(
        found.iter().map(|row| (row.sort, row.value.read_seq.get())).collect::<Vec<_>>(),
        [(people[1], 2), (people[2], 3), (people[3], 4)]
    );
    let gone = people.remove(2);
    assert_eq!(marks.delete(&conversation, &gone, Expect::Version(1)).await, Ok(Written::Done(1)));
    assert_eq!(marks.get(&conversation, &gone).await, Ok(None));
}

/// A backend makes tables for the families it knows; it may refuse another, but only so.
pub async fn a_family_outside_the_list_is_served_or_refused_as_invalid(store: Store) {
    static UNKNOWN: FamilyDef = FamilyDef { name: "unknown" };
    let put = store.records.put(&UNKNOWN, b"p".to_vec(), b"s".to_vec(), b"v".to_vec(), Expect::Absent).await;
    assert!(matches!(put, Ok(Written::Done(1)) | Err(StoreError::Invalid(_))), "{put:?}");
    assert_eq!(claim(&store, b"after", b"me").await, Claimed::Yours, "and the store goes on");
}

/// After the close: `Stopped`, for reads and writes alike.
pub async fn a_closed_store_refuses_records(store: Store) {
    let handed_over = store.records.claim(CLAIM, b"v".to_vec(), b"me".to_vec());
    assert_eq!(store.engine.close().await, Ok(()));
    assert_eq!(handed_over.await, Ok(Claimed::Yours), "DRAINED");
    let key = || (b"p".to_vec(), b"s".to_vec());
    let ((p, s), (q, t)) = (key(), key());
    assert!(matches!(store.records.put(FAMILY, p, s, Vec::new(), Expect::Any).await, Err(StoreError::Stopped(_))));
    assert!(matches!(store.records.get(FAMILY, q, t).await, Err(StoreError::Stopped(_))));
}
