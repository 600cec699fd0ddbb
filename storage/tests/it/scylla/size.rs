//! How much one conditional batch carries, and how many acts are cheap.

use hubbub_protocol::limits::MAX_PAYLOAD_BYTES;
use hubbub_protocol::{ConversationId, Sequence};
use hubbub_storage::conformance::{any_message, append, append_at_head};
use hubbub_storage::error::StoreError;
use hubbub_storage::log::{Append, Appended, MAX_APPEND_RECORDS, Range};

use super::{RUNTIME, TINY, fresh};

#[test]
fn an_append_of_many_large_messages_is_one_batch_and_one_that_no_server_takes_is_refused() {
    let Some((store, ())) = fresh(TINY) else { return };
    RUNTIME.block_on(async {
        let id = ConversationId::generate();
        let large = vec![0xA5; MAX_PAYLOAD_BYTES];
        append_at_head(&store, id, (0..64).map(|_| any_message(&large)).collect()).await;
        let read = store.log.read(id, Range::After(Sequence::ZERO), 100).await.unwrap();
        assert!(read.len() == 64 && read.iter().all(|record| record.body.payload_bytes() == large.len()));
        let records = (0..MAX_APPEND_RECORDS).map(|_| any_message(&large)).collect();
        let refused = store.log.append(Append { conversation_id: id, expected_head: Sequence::new(64), records }).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "BOUNDED: {refused:?}");
        assert_eq!(store.log.head(id).await, Ok(Sequence::new(64)), "HONEST");
        store.engine.close().await.unwrap();
    });
}

#[test]
fn a_retry_is_known_over_many_sealed_buckets_once_they_have_filters() {
    let Some((store, ())) = fresh(TINY) else { return };
    RUNTIME.block_on(async {
        let id = ConversationId::generate();
        let first = any_message(b"first");
        append_at_head(&store, id, vec![first.clone()]).await;
        // Old buckets are asked by each of these, so that they get filters and are asked through them.
        for _ in 0..80 {
            append_at_head(&store, id, vec![any_message(b"x"), any_message(b"y")]).await;
        }
        let head = store.log.head(id).await.unwrap();
        for expected in [Sequence::ZERO, Sequence::new(40), head] {
            let again = append(&store, id, expected, vec![any_message(b"fresh"), first.clone()]).await;
            assert_eq!(again, Appended::Duplicate { known: vec![(1, Sequence::new(1))] }, "ONCE, against {expected}");
        }
        store.engine.close().await.unwrap();
    });
}
