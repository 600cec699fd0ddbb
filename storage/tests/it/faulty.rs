//! The store that fails on purpose: the whole contract when it does not, and HONEST when it does.

use std::time::Duration;

use hubbub_protocol::{ConversationId, Sequence};
use hubbub_storage::conformance::{any_message, append};
use hubbub_storage::error::StoreError;
use hubbub_storage::faulty::{Fault, Odds, Plan, over};
use hubbub_storage::log::{Append, Appended};
use hubbub_storage::store::Store;
use hubbub_storage::{conformance_suite, memory};

conformance_suite!(contract_without_faults, (over(memory::open(), Plan::none()).0, ()));
conformance_suite!(contract_with_late_answers, (over(memory::open(), late()).0, ()));

fn late() -> Plan {
    Plan::seeded(7, Odds { late: 100, late_by: Duration::from_millis(1), ..Odds::default() }).with_reads()
}

#[tokio::test]
async fn a_refused_append_is_never_found_and_an_unknown_one_settles_by_its_retry() {
    let faults = [Fault::Overloaded, Fault::Unavailable, Fault::UnknownNotDone, Fault::UnknownDone];
    let (store, switch) = over(memory::open(), Plan::scripted(faults.map(Some)));
    let id = ConversationId::generate();
    let records = vec![any_message(b"x")];
    let send =
        || store.log.append(Append { conversation_id: id, expected_head: Sequence::ZERO, records: records.clone() });
    let head = || store.log.head(id);

    assert_eq!(send().await, Err(StoreError::Overloaded));
    assert!(matches!(send().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(send().await, Err(StoreError::Unknown(_))));
    assert_eq!(head().await, Ok(Sequence::ZERO), "HONEST: what was refused is in the log");
    assert!(matches!(send().await, Err(StoreError::Unknown(_))));
    assert_eq!(head().await, Ok(Sequence::new(1)));
    assert_eq!(send().await, Ok(Appended::Duplicate { known: vec![(0, Sequence::new(1))] }), "ONCE");
    assert_eq!(switch.injected(), 4);
}

#[tokio::test]
async fn the_same_seed_fails_the_same_calls_and_the_switch_ends_it() {
    let odds = Odds { overloaded: 200, unknown_not_done: 200, ..Odds::default() };
    let outcomes = async |store: &Store| {
        let mut outcomes = Vec::new();
        for _ in 0..200 {
            let records = vec![any_message(b"x")];
            let append = Append { conversation_id: ConversationId::generate(), expected_head: Sequence::ZERO, records };
            outcomes.push(store.log.append(append).await);
        }
        outcomes
    };
    let (store, switch) = over(memory::open(), Plan::seeded(42, odds));
    let first = outcomes(&store).await;
    assert!((20..180).contains(&switch.injected()));
    assert_eq!(outcomes(&over(memory::open(), Plan::seeded(42, odds)).0).await, first);
    assert_ne!(outcomes(&over(memory::open(), Plan::seeded(43, odds)).0).await, first);
    switch.set(false);
    for _ in 0..100 {
        append(&store, ConversationId::generate(), Sequence::ZERO, vec![any_message(b"x")]).await;
    }
}
