//! Acts over a store: stored whole and once, refused honestly, retried safely.

use hubbub_domain::conversation::{Act, Command, Recall, direct_conversation_id, not_found};
use hubbub_protocol::limits::RECALL_WINDOW_MS;
use hubbub_protocol::{ErrorCode, Sequence};
use hubbub_storage::faulty::{Fault, Plan, over};
use hubbub_storage::memory;

use crate::support::{
    act, add, client_id, conversation, open_direct, open_group, place, place_over, remove, text, user, whole_log,
};

fn named(act: Act, number: u64) -> Act {
    Act { client_message_id: Some(client_id(number)), ..act }
}

#[tokio::test]
async fn a_retry_gets_the_first_sequence_whatever_happened_since() {
    let place = place();
    let id = conversation(1);
    place.conversations.submit(id, act(user(1), open_group([user(2)]))).await.unwrap();
    let send = named(act(user(2), text("once")), 7);
    let first = place.conversations.submit(id, send.clone()).await.unwrap();
    assert_eq!((first.first, first.last, first.duplicate), (Sequence::new(2), Sequence::new(2), false));
    place.clock.advance_ms(1_000);
    let again = place.conversations.submit(id, send.clone()).await.unwrap();
    assert_eq!((again.first, again.created_at, again.duplicate), (first.first, first.created_at, true), "ONCE");
    // Even after the sender was removed: it is stored, and a refusal would say that it is not (HONEST).
    place.conversations.submit(id, act(user(1), remove(user(2)))).await.unwrap();
    let after = place.conversations.submit(id, send).await.unwrap();
    assert_eq!((after.first, after.duplicate), (first.first, true), "HONEST");
    // What was never stored is refused all the same.
    let never = place.conversations.submit(id, named(act(user(2), text("more")), 8)).await;
    assert_eq!(never, Err(not_found()));
    assert_eq!(whole_log(&place.store, id).await.len(), 3);
}

#[tokio::test]
async fn a_recall_that_was_stored_is_not_called_too_late_when_it_is_retried() {
    let place = place();
    let id = conversation(1);
    place.conversations.submit(id, act(user(1), open_direct(user(2)))).await.unwrap();
    place.conversations.submit(id, act(user(1), text("oops"))).await.unwrap();
    let recall = named(act(user(1), Command::Recall(Recall { target: Sequence::new(2) })), 1);
    let first = place.conversations.submit(id, recall.clone()).await.unwrap();
    place.conversations.submit(id, act(user(2), text("what was it?"))).await.unwrap();
    place.clock.advance_ms(RECALL_WINDOW_MS * 2);
    let again = place.conversations.submit(id, recall).await.unwrap();
    assert_eq!((again.first, again.duplicate), (first.first, true), "HONEST");
    let recalled = place.conversations.target(id, Sequence::new(2)).await.unwrap().unwrap();
    let hubbub_protocol::RecordBody::Message(message) = recalled.body else { panic!("{recalled:?}") };
    assert!(message.payload.is_empty(), "a recalled payload is erased");
}

#[tokio::test]
async fn one_client_id_for_two_acts_is_refused_and_not_called_stored() {
    let place = place();
    let id = conversation(1);
    place.conversations.submit(id, act(user(1), open_group([user(2)]))).await.unwrap();
    place.conversations.submit(id, named(act(user(1), text("one")), 1)).await.unwrap();
    let error = place.conversations.submit(id, named(act(user(1), text("two")), 1)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::IdempotencyMismatch, "HONEST");
    // Another sender's ids are their own.
    let other = place.conversations.submit(id, named(act(user(2), text("two")), 1)).await.unwrap();
    assert!(!other.duplicate);
    assert_eq!(whole_log(&place.store, id).await.len(), 3);
}

#[tokio::test]
async fn an_unknown_outcome_is_told_and_settled_by_the_same_id() {
    let (store, switch) = over(memory::open(), Plan::none());
    let place = place_over(store);
    let id = conversation(1);
    place.conversations.submit(id, act(user(1), open_group([user(2)]))).await.unwrap();
    let send = named(act(user(2), text("lost?")), 1);
    switch.follow(Plan::scripted([Some(Fault::UnknownDone)]));
    let error = place.conversations.submit(id, send.clone()).await.unwrap_err();
    assert_eq!((error.code, error.retryable), (ErrorCode::UnknownOutcome, true), "HONEST");
    let settled = place.conversations.submit(id, send).await.unwrap();
    assert_eq!((settled.first, settled.duplicate), (Sequence::new(2), true), "ONCE");
}

#[tokio::test]
async fn a_direct_conversation_is_opened_once_by_either() {
    let place = place();
    let id = direct_conversation_id(user(1), user(2));
    let opened = place.conversations.submit(id, act(user(1), open_direct(user(2)))).await.unwrap();
    assert_eq!((opened.first, opened.duplicate), (Sequence::new(1), false));
    let again = place.conversations.submit(id, act(user(2), open_direct(user(1)))).await.unwrap();
    assert_eq!((again.first, again.duplicate), (Sequence::new(1), true));
    assert_eq!(whole_log(&place.store, id).await.len(), 1);
}

#[tokio::test]
async fn adding_many_is_one_act_with_dense_sequences() {
    let place = place();
    let id = conversation(1);
    place.conversations.submit(id, act(user(1), open_group([]))).await.unwrap();
    let many: Vec<_> = (10..210).map(user).collect();
    let stored = place.conversations.submit(id, act(user(1), add(many.clone()))).await.unwrap();
    assert_eq!((stored.first, stored.last), (Sequence::new(2), Sequence::new(201)));
    for user in many {
        assert_eq!(place.conversations.candidates(user).await.unwrap(), [id], "who joins finds it on their list");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_refused_like_what_one_is_not_in() {
    let place = place();
    place.conversations.submit(conversation(1), act(user(1), open_group([]))).await.unwrap();
    let foreign = place.conversations.submit(conversation(1), act(user(9), text("let me in"))).await;
    let missing = place.conversations.submit(conversation(2), act(user(9), text("let me in"))).await;
    assert_eq!(foreign, missing);
    assert_eq!(foreign, Err(not_found()));
}
