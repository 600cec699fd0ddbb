//! Wishes and confirmations in every order.

use hubbub_protocol::ConversationId;
use proptest::prelude::*;

use super::*;

fn topic(number: u8) -> Topic {
    Topic::Conversation(ConversationId::from_bytes([number; 16]))
}

fn topics() -> Topics {
    Topics::new(TopicLimits { topics: 4, waiting: 4 })
}

fn soon(watching: Watching) -> oneshot::Receiver<()> {
    match watching {
        Watching::Soon(confirmed) => confirmed,
        Watching::Already => panic!("it is not watched yet"),
        Watching::Full => panic!("there is room"),
    }
}

#[test]
fn who_watches_is_answered_when_it_is_confirmed_and_not_before() {
    let mut topics = topics();
    let mut answer = soon(topics.watch(topic(1)));
    let batch = topics.next_batch(512);
    assert_eq!(batch, Batch { watch: vec![topic(1)], unwatch: vec![] });
    assert!(answer.try_recv().is_err());
    assert!(!topics.is_settled());
    let mut second = soon(topics.watch(topic(1)));
    topics.confirmed(&batch.watch);
    assert_eq!((answer.try_recv(), second.try_recv()), (Ok(()), Ok(())));
    assert!(matches!(topics.watch(topic(1)), Watching::Already));
    assert!(topics.is_settled());
}

#[test]
fn a_wish_taken_back_while_it_is_asked_for_is_undone_after_it() {
    let mut topics = topics();
    let mut answer = soon(topics.watch(topic(1)));
    let batch = topics.next_batch(512);
    topics.unwatch(topic(1));
    assert_eq!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    assert_eq!(topics.next_batch(512), Batch::default(), "not before it is confirmed");
    topics.confirmed(&batch.watch);
    assert_eq!(topics.next_batch(512), Batch { watch: vec![], unwatch: vec![topic(1)] });
    assert_eq!(topics.len(), 0, "BOUNDED");
}

#[test]
fn after_a_loss_all_that_is_wanted_is_asked_for_again() {
    let mut topics = topics();
    let answers = [soon(topics.watch(topic(1))), soon(topics.watch(topic(2)))];
    let batch = topics.next_batch(1);
    topics.confirmed(&batch.watch);
    topics.unwatch(topic(1));
    topics.lost();
    assert_eq!(topics.next_batch(512), Batch { watch: vec![topic(2)], unwatch: vec![] });
    assert_eq!(answers.map(|mut answer| answer.try_recv().is_ok()), [true, false]);
}

#[test]
fn a_confirmation_after_a_refusal_is_told_of() {
    let mut topics = topics();
    drop(soon(topics.watch(topic(1))));
    assert!(topics.refuse(topic(1)));
    topics.lost();
    let batch = topics.next_batch(512);
    assert!(topics.confirmed(&batch.watch), "somebody believes that it is not watched");
    assert!(!topics.refuse(topic(1)));
}

#[test]
fn bounded_topics_and_waiting_have_limits() {
    let mut topics = topics();
    let answers: Vec<_> = (0..4).map(|number| soon(topics.watch(topic(number)))).collect();
    assert!(matches!(topics.watch(topic(4)), Watching::Full), "BOUNDED");
    assert!(matches!(topics.watch(topic(0)), Watching::Full), "BOUNDED");
    topics.unwatch(topic(0));
    topics.next_batch(512);
    soon(topics.watch(topic(4)));
    drop(answers);
}

#[derive(Debug, Clone)]
enum Step {
    Watch(u8),
    Unwatch(u8),
    Ask(usize),
    Confirm,
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_u8).prop_map(Step::Watch),
        4 => (0..4_u8).prop_map(Step::Unwatch),
        3 => (1..3_usize).prop_map(Step::Ask),
        3 => Just(Step::Confirm),
        1 => Just(Step::Lose),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// Whatever happens in whatever order: once worked off, Redis carries what is wanted, no less and no more.
    #[test]
    fn what_is_confirmed_comes_to_be_what_is_wanted(steps in steps()) {
        let (mut topics, mut asked) = (topics(), Vec::new());
        let (mut wanted, mut carried) = (std::collections::HashSet::new(), std::collections::HashSet::new());
        let end = [Step::Confirm, Step::Ask(512), Step::Confirm, Step::Ask(512), Step::Confirm];
        for step in steps.into_iter().chain(end) {
            match step {
                Step::Watch(number) => {
                    if !matches!(topics.watch(topic(number)), Watching::Full) {
                        wanted.insert(topic(number));
                    }
                }
                Step::Unwatch(number) => {
                    topics.unwatch(topic(number));
                    wanted.remove(&topic(number));
                }
                Step::Ask(_) if !asked.is_empty() => {}
                Step::Ask(most) => {
                    let batch = topics.next_batch(most);
                    for gone in &batch.unwatch {
                        prop_assert!(carried.remove(gone), "was not watched");
                    }
                    asked = batch.watch;
                }
                Step::Confirm => {
                    topics.confirmed(&asked);
                    for topic in asked.drain(..) {
                        prop_assert!(carried.insert(topic), "was watched already");
                    }
                }
                Step::Lose => {
                    topics.lost();
                    carried.clear();
                    asked.clear();
                }
            }
        }
        prop_assert!(topics.is_settled());
        prop_assert_eq!(carried, wanted);
        let waiting: usize = topics.states.values().map(|state| state.waiting.len()).sum();
        prop_assert_eq!((topics.waiting, topics.asked), (waiting, 0));
    }
}
