//! Recall's properties: what the log forgets, and what it keeps.

use hubbub_protocol::record::Recalled;
use hubbub_protocol::{ConversationId, RecordBody, Sequence};

use super::log::{START, at, new_record, payload, read, stored};
use super::{any_message, append, append_at_head, message, person};
use crate::log::{Appended, NewRecord};
use crate::store::Store;

fn recall(target: Sequence) -> NewRecord {
    new_record(RecordBody::Recalled(Recalled { target }))
}

/// After a recall the payload is gone; who sent what kind of message when stays, and so does its client id.
pub async fn a_recall_erases_the_payload_and_nothing_else(store: Store) {
    let id = ConversationId::generate();
    let secret = any_message(b"secret");
    append_at_head(&store, id, vec![any_message(b"before"), secret.clone(), any_message(b"after")]).await;
    append_at_head(&store, id, vec![recall(at(2))]).await;
    let records = read(&store, id, START, 10).await;
    assert_eq!(payload(&records[1]), b"", "a recalled payload is served");
    assert_eq!(records[1], stored(id, at(2), message(person(1), secret.client_message_id, b"")));
    assert_eq!((payload(&records[0]), payload(&records[2])), (&b"before"[..], &b"after"[..]));
    let retry = append(&store, id, at(4), vec![secret]).await;
    assert_eq!(retry, Appended::Duplicate { known: vec![(0, at(2))] }, "ONCE: a recalled message can come back");
    append_at_head(&store, id, vec![recall(at(2))]).await;
    assert_eq!(payload(&read(&store, id, START, 10).await[1]), b"", "a second recall changes nothing");
}

/// A message and its recall may be handed over together.
pub async fn a_recall_reaches_a_message_of_its_own_append(store: Store) {
    let id = ConversationId::generate();
    append_at_head(&store, id, vec![any_message(b"1"), any_message(b"2"), recall(at(2))]).await;
    let records = read(&store, id, START, 10).await;
    assert_eq!(records.iter().map(payload).collect::<Vec<_>>(), [&b"1"[..], b"", b""]);
}

/// Whether a recall makes sense is decided above; the store keeps the record and erases what there is.
pub async fn a_recall_of_no_message_is_stored_and_erases_nothing(store: Store) {
    let id = ConversationId::generate();
    append_at_head(&store, id, vec![any_message(b"1"), recall(at(1)), any_message(b"3")]).await;
    let before = read(&store, id, START, 10).await;
    for target in [at(0), at(2), at(900), at(u64::MAX)] {
        append_at_head(&store, id, vec![recall(target)]).await;
    }
    assert_eq!(read(&store, id, START, 3).await, before);
    assert_eq!(store.log.head(id).await, Ok(at(7)));
}
