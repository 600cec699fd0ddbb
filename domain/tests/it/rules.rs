//! Each rule once: what is refused, in which words, and what is not.

use hubbub_domain::conversation::{
    Act, ChangeRole, Command, Open, React, Recall, Records, UpdateGroup, direct_conversation_id, not_found,
};
use hubbub_protocol::error::Param;
use hubbub_protocol::limits::{
    MAX_CONTENT_TYPE_BYTES, MAX_DESCRIPTION_BYTES, MAX_EMOJI_BYTES, MAX_GROUP_MEMBERS, MAX_MEMBERS_PER_REQUEST,
    MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, RECALL_WINDOW_MS,
};
use hubbub_protocol::member::{ConversationKind, Role};
use hubbub_protocol::record::{Message, ReactionChange};
use hubbub_protocol::{ErrorCode, Payload, RecordBody, Sequence, UserId};

use crate::support::{Table, act, add, group_of, open_direct, open_group, remove, text, user};

fn send(change: impl FnOnce(&mut Message)) -> Command {
    let mut send =
        Message { content_type: "text".to_owned(), payload: Payload::from(vec![1]), reply_to: None, epoch: None };
    change(&mut send);
    Command::Send(send.into())
}

fn react(target: u64, emoji: &str) -> Command {
    let change = ReactionChange::Added;
    Command::React(React { target: Sequence::new(target), emoji: emoji.to_owned(), change })
}

fn recall(target: u64) -> Command {
    Command::Recall(Recall { target: Sequence::new(target) })
}

fn rank(user_id: UserId, role: Role) -> Command {
    Command::ChangeRole(ChangeRole { user_id, role })
}

fn update(name: Option<String>, description: Option<String>) -> Command {
    Command::UpdateGroup(UpdateGroup { name, description })
}

fn code_of(table: &Table, by: u8, command: Command) -> ErrorCode {
    table.decide(&act(user(by), command)).unwrap_err().code
}

#[test]
fn the_direct_conversation_of_two_is_one_whoever_asks() {
    let (a, b) = (user(3), user(9));
    let id = direct_conversation_id(a, b);
    assert_eq!(id, direct_conversation_id(b, a));
    assert_ne!(id, direct_conversation_id(a, user(4)));
    // It never changes: every direct conversation's log is found by it.
    assert_eq!(id.to_string(), "c5e383ad-6b96-840b-bb3e-3298bd7615b0");
}

/// A command that is this long in one place.
type Make = Box<dyn Fn(usize) -> Command>;

#[test]
fn what_is_too_long_is_refused_with_its_limit_and_one_byte_less_is_not() {
    let mut table = group_of([2]);
    table.submit(&act(user(1), text("hello"))).unwrap();
    let long = |bytes: usize| "x".repeat(bytes);
    let cases: Vec<(&str, &str, usize, Make)> = vec![
        (
            "encrypted_payload",
            "max_payload_bytes",
            MAX_PAYLOAD_BYTES,
            Box::new(|bytes| send(|it| it.payload = vec![7; bytes].into())),
        ),
        (
            "content_type",
            "max_content_type_bytes",
            MAX_CONTENT_TYPE_BYTES,
            Box::new(move |bytes| send(|it| it.content_type = long(bytes))),
        ),
        ("emoji", "max_emoji_bytes", MAX_EMOJI_BYTES, Box::new(move |bytes| react(2, &long(bytes)))),
        ("name", "max_name_bytes", MAX_NAME_BYTES, Box::new(move |bytes| update(Some(long(bytes)), None))),
        (
            "description",
            "max_description_bytes",
            MAX_DESCRIPTION_BYTES,
            Box::new(move |bytes| update(None, Some(long(bytes)))),
        ),
        ("user_ids", "max_members_per_request", MAX_MEMBERS_PER_REQUEST, Box::new(|count| add((0..count).map(number)))),
    ];
    for (field, limit, max, make) in cases {
        let error = table.decide(&act(user(1), make(max + 1))).unwrap_err();
        assert_eq!(error.code, ErrorCode::TooLarge, "{field}");
        let expected = [("field", Param::from(field)), ("limit", Param::from(limit)), ("max", Param::from(max))];
        for (name, value) in expected {
            assert_eq!(error.params.get(name), Some(&value), "{field}");
        }
        assert!(error.message.contains(field), "{}", error.message);
        let fits = table.decide(&act(user(1), make(max)));
        assert!(fits.is_ok_and(|records| !records.is_empty()), "{field}");
    }
}

fn number(number: usize) -> UserId {
    UserId::from_bytes((number as u128 + 1_000).to_be_bytes())
}

#[test]
fn what_has_no_sense_is_refused_and_named() {
    let table = group_of([2]);
    let cases = [
        ("encrypted_payload", send(|it| it.payload = Payload::default())),
        ("content_type", send(|it| it.content_type = String::new())),
        ("content_type", send(|it| it.content_type = "two words".to_owned())),
        ("content_type", send(|it| it.content_type = "text\n".to_owned())),
        ("reply_to", send(|it| it.reply_to = Some(Sequence::ZERO))),
        ("reply_to", send(|it| it.reply_to = Some(Sequence::new(2)))),
        ("emoji", react(1, "")),
        ("emoji", react(1, "\u{7}")),
        ("message_id", react(1, "👍")),
        ("message_id", recall(1)),
        ("user_ids", add([])),
        ("name", update(Some("\u{1b}[31m".to_owned()), None)),
    ];
    for (field, command) in cases {
        let error = table.decide(&act(user(1), command.clone())).unwrap_err();
        assert_eq!(error.code, ErrorCode::ValidationFailed, "{command:?}");
        assert_eq!(error.params.get("field"), Some(&Param::from(field)), "{command:?}");
    }
}

#[test]
fn openings_have_the_members_their_kind_has() {
    let table = Table::default();
    let open = |kind, name: &str, others: Vec<UserId>| {
        table.decide(&act(user(1), Command::Open(Open { kind, name: name.to_owned(), others })))
    };
    for others in [vec![], vec![user(1)], vec![user(2), user(3)]] {
        assert_eq!(open(ConversationKind::Direct, "", others).unwrap_err().code, ErrorCode::ValidationFailed);
    }
    assert_eq!(open(ConversationKind::Direct, "a name", vec![user(2)]).unwrap_err().code, ErrorCode::ValidationFailed);
    let records = open(ConversationKind::Group, "g", vec![user(2), user(1), user(2)]).unwrap();
    let RecordBody::Opened(opened) = &records[0].body else { panic!("not an opening: {records:?}") };
    let roles: Vec<_> = opened.members.iter().map(|member| (member.user_id, member.role)).collect();
    assert_eq!(roles, [(user(1), Role::Owner), (user(2), Role::Member)], "each once, the author as owner");
}

#[test]
fn opening_a_direct_conversation_again_is_already_so_and_a_group_is_not() {
    let mut table = Table::default();
    table.submit(&act(user(1), open_direct(user(2)))).unwrap();
    assert_eq!(table.decide(&act(user(2), open_direct(user(1)))), Ok(Records::new()));
    assert_eq!(code_of(&table, 3, open_direct(user(1))), ErrorCode::Conflict);
    assert_eq!(code_of(&group_of([2]), 1, open_group([user(2)])), ErrorCode::Conflict);
}

#[test]
fn a_direct_conversation_keeps_its_members_and_has_no_face() {
    let mut table = Table::default();
    table.submit(&act(user(1), open_direct(user(2)))).unwrap();
    for command in [
        add([user(3)]),
        remove(user(2)),
        remove(user(1)),
        rank(user(2), Role::Admin),
        update(Some("n".to_owned()), None),
    ] {
        assert_eq!(code_of(&table, 1, command.clone()), ErrorCode::Conflict, "{command:?}");
    }
}

#[test]
fn ranks_allow_what_they_allow() {
    let mut table = group_of([2, 3, 4]);
    table.submit(&act(user(1), rank(user(2), Role::Admin))).unwrap();
    table.submit(&act(user(1), rank(user(3), Role::Admin))).unwrap();
    // (who, what, whether)
    let cases = [
        (4, add([user(9)]), false),
        (2, add([user(9)]), true),
        (1, add([user(9)]), true),
        (4, remove(user(3)), false),
        (4, remove(user(4)), true),
        (2, remove(user(4)), true),
        (2, remove(user(3)), false),
        (2, remove(user(1)), false),
        (1, remove(user(3)), true),
        (4, update(Some("n".to_owned()), None), false),
        (2, update(Some("n".to_owned()), None), true),
        (2, rank(user(4), Role::Admin), false),
        (1, rank(user(4), Role::Admin), true),
        (1, rank(user(4), Role::Owner), true),
    ];
    for (by, command, allowed) in cases {
        let decided = table.decide(&act(user(by), command.clone()));
        match decided {
            Ok(records) => assert!(allowed && !records.is_empty(), "{by} may {command:?}"),
            Err(error) => assert!(!allowed && error.code == ErrorCode::Forbidden, "{by}: {command:?}: {error}"),
        }
    }
}

#[test]
fn the_owner_hands_over_before_leaving_unless_alone() {
    let mut table = group_of([2]);
    assert_eq!(code_of(&table, 1, remove(user(1))), ErrorCode::Conflict);
    assert_eq!(code_of(&table, 1, rank(user(1), Role::Member)), ErrorCode::Conflict);
    assert_eq!(code_of(&table, 1, rank(user(7), Role::Admin)), ErrorCode::NotFound);
    table.submit(&act(user(1), rank(user(2), Role::Owner))).unwrap();
    let role = |table: &Table, number| table.state.member(user(number)).map(|member| member.role);
    assert_eq!((role(&table, 1), role(&table, 2)), (Some(Role::Admin), Some(Role::Owner)));
    table.submit(&act(user(1), remove(user(1)))).unwrap();
    table.submit(&act(user(2), remove(user(2)))).unwrap();
    assert_eq!(table.state.member_count(), 0);
    assert_eq!(table.decide(&act(user(2), text("anybody?"))), Err(not_found()));
}

#[test]
fn what_is_so_already_stores_nothing() {
    let table = group_of([2]);
    for command in [
        add([user(2), user(1)]),
        remove(user(9)),
        rank(user(2), Role::Member),
        update(Some("group".to_owned()), None),
        update(None, None),
    ] {
        assert_eq!(table.decide(&act(user(1), command.clone())), Ok(Records::new()), "{command:?}");
    }
}

#[test]
fn a_full_group_takes_nobody_more() {
    let mut table = group_of([]);
    let everybody: Vec<_> = (0..MAX_GROUP_MEMBERS - 1).map(number).collect();
    for some in everybody.chunks(MAX_MEMBERS_PER_REQUEST) {
        table.submit(&act(user(1), add(some.iter().copied()))).unwrap();
    }
    assert_eq!(table.state.member_count(), MAX_GROUP_MEMBERS);
    let error = table.decide(&act(user(1), add([user(2)]))).unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitReached);
    assert_eq!(error.params.get("max"), Some(&Param::from(MAX_GROUP_MEMBERS)));
    // Who is in it already takes no place.
    assert_eq!(table.decide(&act(user(1), add([number(5)]))), Ok(Records::new()));
    table.submit(&act(user(1), remove(number(5)))).unwrap();
    table.submit(&act(user(1), add([user(2)]))).unwrap();
}

#[test]
fn the_sender_recalls_within_the_window_and_moderators_at_any_time() {
    let mut table = group_of([2, 3]);
    table.submit(&act(user(2), text("hello"))).unwrap();
    assert_eq!(code_of(&table, 3, recall(2)), ErrorCode::Forbidden);
    table.now_ms = RECALL_WINDOW_MS;
    assert!(table.decide(&act(user(2), recall(2))).is_ok());
    table.now_ms += 1;
    let error = table.decide(&act(user(2), recall(2))).unwrap_err();
    assert_eq!(error.code, ErrorCode::Expired);
    assert_eq!(error.params.get("max"), Some(&Param::from(RECALL_WINDOW_MS.unsigned_abs())));
    assert_eq!(table.submit(&act(user(1), recall(2))), Ok(1));
    // It stays recalled, whoever asks again, and takes no reactions.
    assert_eq!(table.decide(&act(user(2), recall(2))), Ok(Records::new()));
    assert_eq!(code_of(&table, 3, react(2, "👍")), ErrorCode::Conflict);
}

/// The page says so: a repeat is harmless, as the last change is what stands.
#[test]
fn a_reaction_that_is_repeated_is_a_second_record_that_says_the_same() {
    let mut table = group_of([2]);
    table.submit(&act(user(1), text("hello"))).unwrap();
    for change in [ReactionChange::Added, ReactionChange::Removed] {
        let react = Command::React(React { target: Sequence::new(2), emoji: "👍".to_owned(), change });
        for _ in 0..2 {
            assert_eq!(table.submit(&act(user(2), react.clone())), Ok(1));
            let RecordBody::Reaction(told) = &table.log[table.log.len() - 1].body else { panic!("{:?}", table.log) };
            assert_eq!((told.target, told.emoji.as_str(), told.change), (Sequence::new(2), "👍", change));
        }
    }
}

#[test]
fn in_a_direct_conversation_nobody_recalls_for_the_other() {
    let mut table = Table::default();
    table.submit(&act(user(1), open_direct(user(2)))).unwrap();
    table.submit(&act(user(1), text("hello"))).unwrap();
    assert_eq!(code_of(&table, 2, recall(2)), ErrorCode::Forbidden);
    assert_eq!(table.submit(&act(user(1), recall(2))), Ok(1));
}

#[test]
fn what_was_before_somebody_joined_is_not_there_for_them() {
    let mut table = group_of([]);
    table.submit(&act(user(1), text("before"))).unwrap();
    table.submit(&act(user(1), add([user(2)]))).unwrap();
    table.submit(&act(user(1), text("after"))).unwrap();
    assert_eq!(code_of(&table, 2, react(2, "👍")), ErrorCode::NotFound);
    assert_eq!(code_of(&table, 2, react(9, "👍")), ErrorCode::NotFound);
    assert_eq!(code_of(&table, 2, send(|it| it.reply_to = Some(Sequence::new(2)))), ErrorCode::ValidationFailed);
    assert!(table.decide(&act(user(2), react(4, "👍"))).is_ok());
    assert!(table.decide(&act(user(2), send(|it| it.reply_to = Some(Sequence::new(4))))).is_ok());
}

#[test]
fn an_ex_member_is_told_what_a_stranger_is_told() {
    let mut table = group_of([2]);
    table.submit(&act(user(1), remove(user(2)))).unwrap();
    let everything: [Command; 8] = [
        text("still here"),
        recall(1),
        react(1, "👍"),
        add([user(2)]),
        remove(user(2)),
        remove(user(1)),
        rank(user(2), Role::Owner),
        update(Some("mine".to_owned()), None),
    ];
    for command in everything {
        let ask = |by| table.decide(&Act { command: command.clone(), ..act(user(by), text("")) });
        assert_eq!(ask(2), Err(not_found()), "MEMBERS-ONLY: {command:?}");
        assert_eq!(ask(2), ask(77));
    }
}
