//! Random histories of commands against the rules.

use std::collections::HashSet;

use hubbub_domain::conversation::{
    Act, ChangeRole, Command, ConversationState, React, Recall, UpdateGroup, audience, evolve, repeats,
};
use hubbub_protocol::member::{ConversationKind, Role};
use hubbub_protocol::record::ReactionChange;
use hubbub_protocol::{ErrorCode, Record, Sequence, UserId};
use proptest::prelude::*;

use crate::support::{Table, act, add, client_id, open_direct, open_group, remove, text, user};

const PEOPLE: u8 = 12;

/// What happens next: somebody tries something, some time after the last.
#[derive(Debug, Clone)]
struct Step {
    act: Act,
    later_ms: i64,
}

fn any_user() -> impl Strategy<Value = UserId> {
    (1..=PEOPLE).prop_map(user)
}

fn any_target() -> impl Strategy<Value = Sequence> {
    (0..40_u64).prop_map(Sequence::new)
}

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)]
}

fn any_command() -> impl Strategy<Value = Command> {
    let change = prop_oneof![Just(ReactionChange::Added), Just(ReactionChange::Removed)];
    prop_oneof![
        4 => "[a-z]{1,8}".prop_map(|words| text(&words)),
        1 => any_target().prop_map(|target| Command::Recall(Recall { target })),
        1 => (any_target(), change)
            .prop_map(|(target, change)| Command::React(React { target, emoji: "👍".to_owned(), change })),
        3 => proptest::collection::vec(any_user(), 1..10).prop_map(add),
        3 => any_user().prop_map(remove),
        2 => (any_user(), any_role()).prop_map(|(user_id, role)| Command::ChangeRole(ChangeRole { user_id, role })),
        1 => "[a-z]{0,4}"
            .prop_map(|name| Command::UpdateGroup(UpdateGroup { name: Some(name.clone()), description: Some(name) })),
        1 => any_user().prop_map(|other| open_group([other])),
        1 => any_user().prop_map(open_direct),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    (any_user(), any_command(), 0..60_000_i64)
        .prop_map(|(by, command, later_ms)| Step { act: act(by, command), later_ms })
}

fn any_opening() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => proptest::collection::vec(any_user(), 0..12).prop_map(open_group),
        1 => (2..=PEOPLE).prop_map(|other| open_direct(user(other))),
    ]
}

fn any_history() -> impl Strategy<Value = (Command, Vec<Step>)> {
    (any_opening(), proptest::collection::vec(any_step(), 0..80))
}

/// Plays it, asking `check` after each act that was accepted, with the state and the log's length before it.
fn play(opening: &Command, steps: &[Step], mut check: impl FnMut(&ConversationState, usize, &Table, &Act)) -> Table {
    let mut table = Table::default();
    table.submit(&act(user(1), opening.clone())).unwrap();
    for (number, step) in steps.iter().enumerate() {
        let act = Act { client_message_id: Some(client_id(number as u64)), ..step.act.clone() };
        table.now_ms += step.later_ms;
        let (before, length) = (table.state.clone(), table.log.len());
        if table.submit(&act).is_ok() {
            check(&before, length, &table, &act);
        } else {
            assert_eq!((&before, length), (&table.state, table.log.len()), "HONEST: a refusal changes nothing");
        }
    }
    table
}

fn fold(from: ConversationState, log: &[Record]) -> ConversationState {
    log.iter().fold(from, |mut state, record| {
        evolve(&mut state, record.sequence, &record.author, &record.body);
        state
    })
}

fn members(state: &ConversationState) -> HashSet<UserId> {
    state.members().map(|(user, _)| user).collect()
}

proptest! {
    #[test]
    fn replaying_the_log_gives_the_state_that_was_decided_on((opening, steps) in any_history()) {
        let table = play(&opening, &steps, |_, _, _, _| {});
        prop_assert_eq!(&fold(ConversationState::default(), &table.log), &table.state);
        prop_assert_eq!(table.state.head().get(), table.log.len() as u64, "GAPLESS");
    }

    #[test]
    fn a_snapshot_and_the_tail_give_the_same_state((opening, steps) in any_history(), cut in any::<prop::sample::Index>()) {
        let table = play(&opening, &steps, |_, _, _, _| {});
        let (old, tail) = table.log.split_at(cut.index(table.log.len() + 1));
        let written = rmp_serde::to_vec(&fold(ConversationState::default(), old)).unwrap();
        let read: ConversationState = rmp_serde::from_slice(&written).unwrap();
        prop_assert_eq!(rmp_serde::to_vec(&read).unwrap(), written, "equal states have equal bytes");
        prop_assert_eq!(fold(read, tail), table.state);
    }

    #[test]
    fn nothing_of_who_is_no_member_is_ever_accepted((opening, steps) in any_history()) {
        // Membership counted apart from the rules: from the log's own words.
        play(&opening, &steps, |before, length, table, act| {
            let mut present = HashSet::new();
            for record in &table.log[..length] {
                let change = audience(&record.body);
                present.extend(change.joins);
                present.retain(|user| !change.leaves.contains(user));
            }
            assert_eq!(present, members(before), "the audience and the state are of the same people");
            let reopened = matches!(&act.command, Command::Open(_));
            assert!(present.contains(&act.author.sender_id) || reopened && table.log.len() == length,
                "MEMBERS-ONLY: {act:?} was accepted of who is no member");
        });
    }

    #[test]
    fn a_stranger_hears_what_they_would_hear_of_nothing((opening, steps) in any_history(), step in any_step()) {
        let table = play(&opening, &steps, |_, _, _, _| {});
        let stranger = !table.state.is_member(step.act.author.sender_id);
        if stranger && !matches!(step.act.command, Command::Open(_)) {
            let here = table.decide(&step.act).unwrap_err();
            prop_assert_eq!(here.code, ErrorCode::NotFound);
            prop_assert_eq!(here, Table::default().decide(&step.act).unwrap_err());
        }
    }

    #[test]
    fn a_group_has_one_owner_and_a_direct_conversation_keeps_its_two((opening, steps) in any_history()) {
        let mut first = None;
        play(&opening, &steps, |before, _, table, _| {
            let first = first.get_or_insert_with(|| members(before));
            let owners = table.state.members().filter(|(_, member)| member.role == Role::Owner).count();
            match table.state.kind() {
                Some(ConversationKind::Direct) => assert_eq!((&members(&table.state), owners), (&*first, 0)),
                _ => assert_eq!(owners, usize::from(table.state.member_count() > 0)),
            }
        });
    }

    #[test]
    fn an_act_is_recognised_by_its_first_record_alone((opening, steps) in any_history()) {
        play(&opening, &steps, |_, length, table, act| {
            let stored = &table.log[length..];
            for (place, record) in stored.iter().enumerate() {
                let expected = act.client_message_id.filter(|_| place == 0);
                assert_eq!(record.client_message_id, expected, "ONCE: the client's id is given to the first record");
                assert_eq!((record.author, record.created_at), (act.author, table.now()));
            }
            assert!(stored.first().is_none_or(|record| repeats(record, act)));
            assert!(stored.first().is_none_or(|record| !repeats(record, &Act { command: text("another"), ..act.clone() })));
        });
    }

    #[test]
    fn members_read_from_the_record_by_which_they_last_joined((opening, steps) in any_history()) {
        play(&opening, &steps, |before, length, table, _| {
            for (user, member) in table.state.members() {
                let joined = table.log[length..].iter().find(|record| audience(&record.body).joins.contains(&user));
                let expected = joined.map(|record| record.sequence).or(before.member(user).map(|held| held.joined));
                assert_eq!(Some(member.joined), expected);
            }
        });
    }
}
