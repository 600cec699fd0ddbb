//! How many conversations one person can be in (BOUNDED): who is refused, who is not, and what a refusal leaves behind.

use std::sync::Arc;

use hubbub_domain::conversation::{Act, direct_conversation_id};
use hubbub_domain::conversations::Conversations;
use hubbub_protocol::error::Param;
use hubbub_protocol::limits::MAX_CONVERSATIONS_PER_USER;
use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, Sequence, UserId};
use hubbub_storage::families::memberships::{Candidate, Memberships};
use hubbub_storage::records::{Expect, Table};

use crate::support::{
    Place, START, act, add, client_id, conversation, open_direct, open_group, place, remove, text, user, whole_log,
};

const MAX: usize = 2;

/// A place where a person can be in two conversations, and person 2 is in both of these: 1 and 2, of the owner 1.
async fn full_for_2() -> Place {
    let place = place();
    let conversations = place.conversations.clone().with_max_per_user(MAX);
    for id in [1, 2] {
        conversations.submit(conversation(id), act(user(id), open_group([user(2)]))).await.unwrap();
        conversations.submit(conversation(id), act(user(id), text("hello"))).await.unwrap();
    }
    Place { conversations, ..place }
}

fn assert_full(refused: &ErrorBody, whose: UserId) {
    assert_eq!((refused.code, refused.retryable), (ErrorCode::LimitReached, false), "BOUNDED: {refused}");
    assert_eq!(refused.params["limit"], Param::from("max_conversations_per_user"));
    assert_eq!(refused.params["max"], Param::from(MAX));
    assert_eq!(refused.params["user_id"], Param::from(whose.to_string()));
}

async fn lists(conversations: &Conversations, users: impl IntoIterator<Item = u8>) -> Vec<usize> {
    let mut lengths = Vec::new();
    for number in users {
        lengths.push(conversations.candidates(user(number)).await.unwrap().len());
    }
    lengths
}

#[tokio::test]
async fn who_is_in_as_many_as_one_can_be_is_not_added_to_another_nor_is_anybody_with_them() {
    let place = full_for_2().await;
    let (service, id) = (&place.conversations, conversation(3));
    let refused = service.submit(id, act(user(5), open_group([user(4), user(2)]))).await.unwrap_err();
    assert_full(&refused, user(2));
    service.submit(id, act(user(5), open_group([]))).await.unwrap();
    let refused = service.submit(id, act(user(5), add([user(3), user(2), user(4)]))).await.unwrap_err();
    assert_full(&refused, user(2));
    assert_eq!(whole_log(&place.store, id).await.len(), 1, "HONEST: nothing of what was refused is stored");
    assert_eq!(lists(service, [2, 3, 4, 5]).await, [MAX, 0, 0, 1], "a refusal leaves no rows behind");
}

#[tokio::test]
async fn direct_conversations_count_too_for_either_of_the_two() {
    let place = full_for_2().await;
    let id = direct_conversation_id(user(2), user(3));
    for (from, to) in [(2, 3), (3, 2)] {
        let refused = place.conversations.submit(id, act(user(from), open_direct(user(to)))).await.unwrap_err();
        assert_full(&refused, user(2));
    }
    place
        .conversations
        .submit(direct_conversation_id(user(3), user(4)), act(user(3), open_direct(user(4))))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_list_hinders_nothing_in_the_conversations_that_are_on_it() {
    let place = full_for_2().await;
    let (service, id) = (&place.conversations, conversation(1));
    service.submit(id, act(user(2), text("still here"))).await.unwrap();
    service.submit(id, act(user(1), remove(user(2)))).await.unwrap();
    // The row is too young to be cleaned: it stands for this very conversation, so coming back is no further one.
    service.submit(id, act(user(1), add([user(2)]))).await.unwrap();
    assert!(service.load(id).await.unwrap().is_member(user(2)));
}

#[tokio::test]
async fn leaving_one_makes_room_for_another() {
    let place = full_for_2().await;
    let service = &place.conversations;
    place.clock.advance_ms(120_000);
    service.submit(conversation(1), act(user(2), remove(user(2)))).await.unwrap();
    service.submit(conversation(3), act(user(3), open_group([user(2)]))).await.unwrap();
    assert_eq!(service.candidates(user(2)).await.unwrap(), [2, 3].map(conversation));
}

#[tokio::test]
async fn a_stored_joining_that_is_retried_is_not_called_too_many() {
    let place = full_for_2().await;
    let (service, id) = (&place.conversations, conversation(1));
    let joining = Act { client_message_id: Some(client_id(1)), ..act(user(1), add([user(3)])) };
    let first = service.submit(id, joining.clone()).await.unwrap();
    assert_eq!(first.first, Sequence::new(3));
    // Removed since, and in as many others as can be: the first try is stored all the same.
    place.clock.advance_ms(120_000);
    service.submit(id, act(user(1), remove(user(3)))).await.unwrap();
    for other in [6, 7] {
        service.submit(conversation(other), act(user(other), open_group([user(3)]))).await.unwrap();
    }
    let again = service.submit(id, joining).await.unwrap();
    assert_eq!((again.first, again.duplicate), (first.first, true), "HONEST");
    let fresh = service.submit(id, act(user(1), add([user(3)]))).await.unwrap_err();
    assert_full(&fresh, user(3));
}

#[tokio::test]
async fn what_was_joined_past_the_limit_at_the_same_moment_is_not_missing_from_the_list() {
    let place = full_for_2().await;
    // As a service that asked for room before the two others were written.
    let elsewhere = place.conversations.clone().with_max_per_user(MAX + 1);
    elsewhere.submit(conversation(3), act(user(3), open_group([user(2)]))).await.unwrap();
    let found = place.conversations.candidates(user(2)).await.unwrap();
    assert_eq!(found, [1, 2, 3].map(conversation), "never a membership that a login does not find");
}

#[tokio::test]
async fn the_limit_is_the_one_that_clients_are_told_and_lists_are_read_up_to_it() {
    let place = place();
    let rows: Table<Memberships> = Table::new(Arc::clone(&place.store.records));
    for number in 1..MAX_CONVERSATIONS_PER_USER {
        let id = ConversationId::from_bytes((number as u128).to_be_bytes());
        rows.put(&user(2), &id, &Candidate { since: START }, Expect::Absent).await.unwrap();
    }
    place.conversations.submit(conversation(1), act(user(1), open_group([user(2)]))).await.unwrap();
    assert_eq!(lists(&place.conversations, [2]).await, [MAX_CONVERSATIONS_PER_USER]);
    let refused = place.conversations.submit(conversation(2), act(user(1), open_group([user(2)]))).await.unwrap_err();
    assert_eq!(refused.params["max"], Param::from(MAX_CONVERSATIONS_PER_USER), "BOUNDED");
}
