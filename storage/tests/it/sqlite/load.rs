//! More than the queue holds is refused at once, and what was refused is nowhere (BOUNDED, HONEST).

use futures_util::future::join_all;
use hubbub_protocol::{ConversationId, Sequence};
use hubbub_storage::conformance::any_message;
use hubbub_storage::error::StoreError;
use hubbub_storage::log::{Append, Appended};

use super::fresh;

/// Hands over one append for each of many conversations, and answers how many were stored and how many refused.
async fn flood(appends: usize, payload: &[u8]) -> (usize, usize) {
    let (store, _dir) = fresh();
    let ids: Vec<_> = (0..appends).map(|_| ConversationId::generate()).collect();
    let handed_over: Vec<_> = ids
        .iter()
        .map(|id| {
            let records = vec![any_message(payload)];
            store.log.append(Append { conversation_id: *id, expected_head: Sequence::ZERO, records })
        })
        .collect();
    let (mut stored, mut refused) = (0, 0);
    for (id, answer) in ids.iter().zip(join_all(handed_over).await) {
        let expected = match answer {
            Ok(Appended::Committed { first, .. }) => {
                stored += 1;
                first
            }
            Err(StoreError::Overloaded) => {
                refused += 1;
                Sequence::ZERO
            }
            other => panic!("an append ended as {other:?}"),
        };
        // One at a time, so that the readers' queue is not flooded as well.
        assert_eq!(store.log.head(*id).await, Ok(expected), "HONEST: refused and stored, or acked and not");
    }
    store.engine.close().await.unwrap();
    (stored, refused)
}

#[tokio::test]
async fn a_flood_of_appends_is_refused_above_the_queues_length_and_never_half() {
    let (stored, refused) = flood(20_000, b"x").await;
    assert!(stored >= 4_096, "BOUNDED: only {stored} were taken");
    assert!(refused > 0, "BOUNDED: the queue has no end");
}

#[tokio::test]
async fn a_flood_of_bytes_is_refused_above_the_queues_size() {
    let payload = vec![7; 64 * 1024];
    let (stored, refused) = flood(3_000, &payload).await;
    assert!(stored >= 1_000, "BOUNDED: only {stored} were taken");
    assert!(refused > 0, "BOUNDED: {stored} payloads of 64 KiB were taken at once");
}
