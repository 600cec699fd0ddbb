//! What members read: history, lists, marks, and states from snapshots.

use hubbub_domain::conversation::{Command, FORM, UpdateGroup, not_found};
use hubbub_domain::conversations::{HistoryQuery, MarkOutcome};
use hubbub_protocol::limits::{DEFAULT_PAGE, MAX_PAGE};
use hubbub_protocol::member::{Member, Role};
use hubbub_protocol::{ErrorCode, Payload, Sequence};
use hubbub_storage::families::memberships::{Candidate, Memberships};
use hubbub_storage::families::snapshots::{Snapshot, Snapshots};
use hubbub_storage::records::{Expect, Table};

use crate::support::{Place, START, act, add, conversation, open_direct, open_group, place, remove, text, user};

async fn page(place: &Place, reader: u8, query: HistoryQuery) -> Vec<u64> {
    let history = place.conversations.history(user(reader), conversation(1), query).await.unwrap();
    history.records.iter().map(|record| record.sequence.get()).collect()
}

const fn seq(number: u64) -> Sequence {
    Sequence::new(number)
}

async fn group_with_messages(messages: u64) -> Place {
    let place = place();
    place.conversations.submit(conversation(1), act(user(1), open_group([user(2)]))).await.unwrap();
    for _ in 0..messages {
        place.conversations.submit(conversation(1), act(user(1), text("hello"))).await.unwrap();
    }
    place
}

#[tokio::test]
async fn history_is_paged_from_either_side() {
    let place = group_with_messages(299).await;
    let whole = HistoryQuery::default();
    assert_eq!(page(&place, 1, whole).await, (301 - DEFAULT_PAGE as u64..=300).collect::<Vec<_>>());
    assert_eq!(page(&place, 1, HistoryQuery { after: Some(seq(10)), limit: Some(3), ..whole }).await, [11, 12, 13]);
    assert_eq!(page(&place, 1, HistoryQuery { before: Some(seq(10)), limit: Some(3), ..whole }).await, [7, 8, 9]);
    assert_eq!(page(&place, 1, HistoryQuery { limit: Some(usize::MAX), ..whole }).await.len(), MAX_PAGE, "BOUNDED");
    assert_eq!(page(&place, 1, HistoryQuery { after: Some(seq(300)), ..whole }).await, [0_u64; 0]);
    assert_eq!(page(&place, 1, HistoryQuery { before: Some(seq(u64::MAX)), limit: Some(1), ..whole }).await, [300]);
    assert_eq!(page(&place, 1, HistoryQuery { after: Some(seq(u64::MAX)), ..whole }).await, [0_u64; 0]);
    let both = HistoryQuery { before: Some(seq(9)), after: Some(seq(3)), limit: None };
    let error = place.conversations.history(user(1), conversation(1), both).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ValidationFailed);
}

#[tokio::test]
async fn members_read_from_their_joining_on_and_ex_members_nothing() {
    let place = group_with_messages(3).await;
    let submit = |command| place.conversations.submit(conversation(1), act(user(1), command));
    submit(add([user(3)])).await.unwrap();
    submit(text("welcome")).await.unwrap();
    assert_eq!(page(&place, 3, HistoryQuery::default()).await, [5, 6], "MEMBERS-ONLY");
    assert_eq!(
        page(&place, 3, HistoryQuery { after: Some(seq(0)), ..HistoryQuery::default() }).await,
        [5, 6],
        "MEMBERS-ONLY"
    );
    assert_eq!(
        page(&place, 3, HistoryQuery { before: Some(seq(4)), ..HistoryQuery::default() }).await,
        [0_u64; 0],
        "MEMBERS-ONLY"
    );
    submit(remove(user(3))).await.unwrap();
    for reader in [3, 9] {
        let history = place.conversations.history(user(reader), conversation(1), HistoryQuery::default()).await;
        assert_eq!(history, Err(not_found()), "MEMBERS-ONLY");
        assert_eq!(place.conversations.summary(user(reader), conversation(1)).await, Err(not_found()), "MEMBERS-ONLY");
        assert_eq!(place.conversations.members(user(reader), conversation(1)).await, Err(not_found()), "MEMBERS-ONLY");
    }
    // Back again: from the second joining on.
    submit(add([user(3)])).await.unwrap();
    assert_eq!(page(&place, 3, HistoryQuery::default()).await, [8]);
}

#[tokio::test]
async fn a_summary_shows_what_a_list_needs() {
    let place = group_with_messages(2).await;
    place.conversations.mark_read(conversation(1), user(2), Sequence::new(2)).await.unwrap();
    let summary = place.conversations.summary(user(2), conversation(1)).await.unwrap();
    assert_eq!((summary.name.as_str(), summary.role, summary.member_count), ("group", Role::Member, 2));
    assert_eq!((summary.head, summary.read_seq, summary.peer), (Sequence::new(3), Sequence::new(2), None));
    assert_eq!(summary.last.map(|record| record.sequence), Some(seq(3)));
    let members = place.conversations.members(user(2), conversation(1)).await.unwrap();
    let expected = [(1, Role::Owner), (2, Role::Member)].map(|(number, role)| Member { user_id: user(number), role });
    assert_eq!(members, expected);
    place.conversations.submit(conversation(2), act(user(1), open_direct(user(2)))).await.unwrap();
    assert_eq!(place.conversations.summary(user(2), conversation(2)).await.unwrap().peer, Some(user(1)));
}

#[tokio::test]
async fn a_mark_only_moves_forward() {
    let place = group_with_messages(5).await;
    let mark = |number| place.conversations.mark_read(conversation(1), user(2), Sequence::new(number));
    let at = |number, moved| MarkOutcome { read_seq: seq(number), moved };
    assert_eq!(mark(3).await.unwrap(), at(3, true));
    assert_eq!(mark(2).await.unwrap(), at(3, false));
    assert_eq!(mark(3).await.unwrap(), at(3, false));
    assert_eq!(mark(6).await.unwrap(), at(6, true));
}

#[tokio::test]
async fn lists_are_paged_and_pass_over_what_the_log_denies() {
    let place = place();
    for number in 1..=5 {
        place.conversations.submit(conversation(number), act(user(1), open_group([user(2)]))).await.unwrap();
    }
    // A crash before the log said so: a row and no membership.
    let rows: Table<Memberships> = Table::new(place.store.records.clone());
    rows.put(&user(2), &conversation(9), &Candidate { since: START }, Expect::Absent).await.unwrap();
    place.conversations.submit(conversation(3), act(user(1), remove(user(2)))).await.unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = place.conversations.list(user(2), after, 2).await.unwrap();
        assert!(page.len() <= 2);
        found.extend(page.into_iter().map(|summary| summary.id));
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, [1, 2, 4, 5].map(conversation), "MEMBERS-ONLY");
    // Young rows may be of a join under way, and stay; old ones are cleaned by whoever meets them.
    assert_eq!(place.conversations.candidates(user(2)).await.unwrap().len(), 6);
    place.clock.advance_ms(120_000);
    place.conversations.list(user(2), None, 50).await.unwrap();
    assert_eq!(place.conversations.candidates(user(2)).await.unwrap(), [1, 2, 4, 5].map(conversation));
}

#[tokio::test]
async fn an_old_membership_leaves_the_list_with_its_removal_and_a_rejoin_keeps_its_row() {
    let place = group_with_messages(0).await;
    place.clock.advance_ms(120_000);
    place.conversations.submit(conversation(1), act(user(1), remove(user(2)))).await.unwrap();
    assert_eq!(place.conversations.candidates(user(2)).await.unwrap(), []);
    place.conversations.submit(conversation(1), act(user(1), add([user(2)]))).await.unwrap();
    // The cleaning of the first removal comes late, after the second joining.
    let removal = place.conversations.target(conversation(1), Sequence::new(2)).await.unwrap().unwrap();
    let late = hubbub_storage::log::NewRecord {
        author: removal.author,
        created_at: removal.created_at,
        client_message_id: None,
        body: removal.body,
    };
    place.conversations.after_commit(conversation(1), &[late]).await.unwrap();
    assert_eq!(
        place.conversations.candidates(user(2)).await.unwrap(),
        [conversation(1)],
        "never a membership without a row"
    );
}

#[tokio::test]
async fn a_snapshot_saves_folding_and_never_changes_the_state() {
    let place = group_with_messages(20).await;
    let id = conversation(1);
    let state = place.conversations.load(id).await.unwrap();
    place.conversations.save_snapshot(id, &state).await.unwrap();
    place.conversations.submit(id, act(user(1), add([user(3)]))).await.unwrap();
    let loaded = place.conversations.load(id).await.unwrap();
    assert_eq!(loaded.head(), Sequence::new(22));
    assert!(loaded.is_member(user(3)) && loaded.is_member(user(2)));
    let rows: Table<Snapshots> = Table::new(place.store.records.clone());
    let row = rows.get(&id, &()).await.unwrap().unwrap();
    assert_eq!((row.value.form, row.value.head), (FORM, Sequence::new(21)));
    // One that tells of the same records otherwise shows that they are not folded again.
    let other = group_with_messages(0).await;
    let face = UpdateGroup { name: None, description: Some("from the snapshot".to_owned()) };
    other.conversations.submit(id, act(user(1), Command::UpdateGroup(face))).await.unwrap();
    let told = other.conversations.load(id).await.unwrap();
    place.conversations.save_snapshot(id, &told).await.unwrap();
    assert_eq!(place.conversations.load(id).await.unwrap().description(), "from the snapshot");
}

#[tokio::test]
async fn a_snapshot_of_another_form_or_damaged_or_ahead_of_the_log_is_ignored() {
    let place = group_with_messages(4).await;
    let id = conversation(1);
    let state = place.conversations.load(id).await.unwrap();
    let good = rmp_serde::to_vec(&state).unwrap();
    // Of a longer log than this one, with a member whom this one denies.
    let other = group_with_messages(9).await;
    other.conversations.submit(id, act(user(1), add([user(7)]))).await.unwrap();
    let ahead = other.conversations.load(id).await.unwrap();
    let cases = [
        ("another form", Snapshot { form: FORM + 1, head: state.head(), state: Payload::from(good.clone()) }),
        ("damaged", Snapshot { form: FORM, head: state.head(), state: Payload::from(vec![0xc1, 2, 3]) }),
        ("another head", Snapshot { form: FORM, head: Sequence::new(2), state: Payload::from(good) }),
        ("ahead", Snapshot { form: FORM, head: ahead.head(), state: rmp_serde::to_vec(&ahead).unwrap().into() }),
    ];
    let rows: Table<Snapshots> = Table::new(place.store.records.clone());
    for (name, snapshot) in cases {
        rows.put(&id, &(), &snapshot, Expect::Any).await.unwrap();
        assert_eq!(place.conversations.load(id).await.unwrap(), state, "{name}");
    }
}

#[tokio::test]
async fn whoever_folds_a_long_log_leaves_a_snapshot() {
    let place = group_with_messages(1_100).await;
    place.conversations.load(conversation(1)).await.unwrap();
    let rows: Table<Snapshots> = Table::new(place.store.records.clone());
    assert!(rows.get(&conversation(1), &()).await.unwrap().is_some());
}
