//! Several services over one store, all at once.

use hubbub_domain::conversation::{Act, direct_conversation_id};
use hubbub_domain::conversations::Conversations;
use hubbub_protocol::record::MemberRemoved;
use hubbub_protocol::{ErrorCode, RecordBody, Sequence};
use hubbub_storage::memory;
use hubbub_storage::store::Store;
use tokio::task::JoinSet;

use crate::restless::restless;
use crate::support::{
    Place, act, client_id, conversation, open_direct, open_group, place_over, remove, text, user, whole_log,
};

/// Two services that share nothing but the store, as two nodes do.
fn two_nodes() -> (Store, [Conversations; 2]) {
    let store = memory::open();
    let node = || place_over(restless(&store)).conversations;
    let nodes = [node(), node()];
    (store, nodes)
}

#[tokio::test]
async fn nothing_of_a_removed_member_comes_after_the_removal() {
    let mut removals = 0;
    for round in 0..40 {
        let (store, [one, other]) = two_nodes();
        let id = conversation(1);
        one.submit(id, act(user(1), open_group([user(2)]))).await.unwrap();
        let mut tasks = JoinSet::new();
        for number in 0..24 {
            let other = other.clone();
            tasks.spawn(async move {
                let send = Act { client_message_id: Some(client_id(number)), ..act(user(2), text("hello")) };
                other.submit(id, send).await.map(|stored| stored.first)
            });
        }
        tasks.spawn(async move {
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            one.submit(id, act(user(1), remove(user(2)))).await.map(|stored| stored.first)
        });
        let answers = tasks.join_all().await;
        let log = whole_log(&store, id).await;
        let dense = log.iter().zip(1..).all(|(record, number)| record.sequence == Sequence::new(number));
        assert!(dense, "GAPLESS");
        let removal = RecordBody::MemberRemoved(MemberRemoved { user_id: user(2) });
        if let Some(removed) = log.iter().position(|record| record.body == removal) {
            removals += 1;
            let after = &log[removed + 1..];
            assert!(after.is_empty(), "MEMBERS-ONLY: {after:?} came after the sender's removal");
        }
        let stored = answers.iter().flatten().count();
        assert_eq!(stored + 1, log.len(), "HONEST: what was answered is what is stored");
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
        for error in refused {
            assert!(matches!(error.code, ErrorCode::NotFound | ErrorCode::Overloaded), "{error}");
        }
    }
    assert!(removals > 0, "no removal was ever stored: nothing was shown");
}

#[tokio::test]
async fn one_client_id_sent_many_times_at_once_is_stored_once() {
    let (store, nodes) = two_nodes();
    let id = conversation(1);
    nodes[0].submit(id, act(user(1), open_group([user(2)]))).await.unwrap();
    let send = Act { client_message_id: Some(client_id(1)), ..act(user(1), text("once")) };
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let (node, send) = (nodes[number % 2].clone(), send.clone());
        tasks.spawn(async move { node.submit(id, send).await });
    }
    let answers = tasks.join_all().await;
    let firsts: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap().first).collect();
    assert!(firsts.iter().all(|first| *first == Sequence::new(2)), "ONCE: {firsts:?}");
    let stored = answers.iter().flatten().filter(|stored| !stored.duplicate).count();
    assert_eq!((stored, whole_log(&store, id).await.len()), (1, 2), "ONCE");
}

#[tokio::test]
async fn two_who_open_the_same_direct_conversation_at_once_meet_in_it() {
    for _ in 0..20 {
        let (store, [one, other]) = two_nodes();
        let id = direct_conversation_id(user(1), user(2));
        let (first, second) = tokio::join!(
            one.submit(id, act(user(1), open_direct(user(2)))),
            other.submit(id, act(user(2), open_direct(user(1))))
        );
        assert_eq!((first.unwrap().first, second.unwrap().first), (Sequence::new(1), Sequence::new(1)));
        assert_eq!(whole_log(&store, id).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_place_in_a_crowd_of_writers_is_given_in_one_order_for_all() {
    let (store, nodes) = two_nodes();
    let id = conversation(1);
    nodes[0].submit(id, act(user(1), open_group((2..10).map(user)))).await.unwrap();
    let mut tasks = JoinSet::new();
    for writer in 1..10_u8 {
        let node = nodes[usize::from(writer) % 2].clone();
        tasks.spawn(async move {
            let mut stored = Vec::new();
            for number in 0..20 {
                let send = Act { client_message_id: Some(client_id(number)), ..act(user(writer), text("hello")) };
                // Overloaded is an honest answer in a crowd: the same id again.
                loop {
                    match node.submit(id, send.clone()).await {
                        Ok(answer) => break stored.push(answer.first),
                        Err(error) => assert_eq!(error.code, ErrorCode::Overloaded),
                    }
                }
            }
            stored
        });
    }
    let mut answered: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    answered.sort_unstable();
    let expected: Vec<_> = (2..182).map(Sequence::new).collect();
    assert_eq!(answered, expected, "GAPLESS and ONCE: every act has its own sequence and none is left out");
    let Place { conversations, .. } = place_over(store.clone());
    assert_eq!(conversations.load(id).await.unwrap().head(), Sequence::new(181));
}
