//! Accounts: unique names, passwords, locks, profiles and the search.

use std::sync::Arc;

use hubbub_domain::accounts::{Accounts, LOCK_MS, MAX_FAILED_LOGINS, ProfileChange, Registration};
use hubbub_protocol::error::Param;
use hubbub_protocol::{ErrorBody, ErrorCode, UserId};
use hubbub_storage::clock::ManualClock;
use hubbub_storage::families::accounts::{EMAIL, HANDLE};
use hubbub_storage::memory;
use hubbub_storage::records::Claimed;
use hubbub_storage::store::Store;
use tokio::task::JoinSet;

use crate::restless::restless;
use crate::support::{START, user};

const PASSWORD: &str = "correct horse";

struct Place {
    accounts: Accounts,
    clock: Arc<ManualClock>,
    store: Store,
}

fn place() -> Place {
    let (store, clock) = (restless(&memory::open()), Arc::new(ManualClock::at(START)));
    Place { accounts: Accounts::new(store.clone(), Arc::clone(&clock) as _), clock, store }
}

fn registration(email: &str, handle: Option<&str>) -> Registration {
    Registration {
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        display_name: "Ada".to_owned(),
        handle: handle.map(str::to_owned),
        locale: None,
    }
}

fn field(error: &ErrorBody) -> Option<&Param> {
    error.params.get("field")
}

#[tokio::test]
async fn who_registers_can_log_in_and_be_seen() {
    let place = place();
    let made = place.accounts.register(registration(" Ada@Example.org ", Some("Ada.L"))).await.unwrap();
    assert_eq!((made.email.as_str(), made.public.handle.as_str()), ("ada@example.org", "ada.l"));
    let back = place.accounts.login("ADA@example.org", PASSWORD).await.unwrap();
    assert!(back == made);
    assert!(place.accounts.profile(made.public.user_id).await.unwrap() == made);
    assert_eq!(place.accounts.public(made.public.user_id).await.unwrap(), made.public);
    assert!(place.accounts.exists(made.public.user_id).await.unwrap());
    assert!(!place.accounts.exists(user(9)).await.unwrap());
    assert_eq!(place.accounts.public(user(9)).await.unwrap_err().code, ErrorCode::NotFound);
    assert!(!format!("{made:?}").contains("example.org"), "an address is in no log");
}

#[tokio::test]
async fn a_handle_is_given_to_who_names_none() {
    let place = place();
    let made = place.accounts.register(registration("a@example.org", None)).await.unwrap();
    let handle = made.public.handle;
    assert!(handle.len() == 15 && handle.starts_with("user-"), "{handle}");
    let found = place.accounts.search(&handle[..8], 10).await.unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn addresses_and_handles_are_one_accounts() {
    let place = place();
    place.accounts.register(registration("a@example.org", Some("ada"))).await.unwrap();
    let error = place.accounts.register(registration("A@example.org", Some("bob"))).await.unwrap_err();
    assert_eq!((error.code, field(&error)), (ErrorCode::Conflict, Some(&Param::from("email"))));
    let error = place.accounts.register(registration("b@example.org", Some("ADA"))).await.unwrap_err();
    assert_eq!((error.code, field(&error)), (ErrorCode::Conflict, Some(&Param::from("handle"))));
    // What the refused ones had claimed is free again.
    place.accounts.register(registration("b@example.org", Some("bob"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_register_one_address_at_once_one_does() {
    let place = place();
    let mut tasks = JoinSet::new();
    for number in 0..12 {
        let accounts = place.accounts.clone();
        let handle = format!("racer-{number}");
        tasks.spawn(async move { accounts.register(registration("same@example.org", Some(&handle))).await.is_ok() });
    }
    let made = tasks.join_all().await.into_iter().filter(|made| *made).count();
    assert_eq!(made, 1);
    place.accounts.login("same@example.org", PASSWORD).await.unwrap();
    assert_eq!(place.accounts.search("racer", 50).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_claim_left_by_a_crash_is_taken_over_once_it_is_old() {
    let place = place();
    let owner = [&UserId::generate().as_bytes()[..], &START.as_ms().to_be_bytes()].concat();
    for (name, value) in [(EMAIL, "a@example.org"), (HANDLE, "ada")] {
        let claimed = place.store.records.claim(name, value.as_bytes().to_vec(), owner.clone()).await.unwrap();
        assert_eq!(claimed, Claimed::Yours);
    }
    // It may be a registration under way.
    let error = place.accounts.register(registration("a@example.org", Some("ada"))).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    // Nobody can log in to it meanwhile.
    assert_eq!(place.accounts.login("a@example.org", PASSWORD).await.unwrap_err().code, ErrorCode::InvalidCredentials);
    place.clock.advance_ms(120_000);
    place.accounts.register(registration("a@example.org", Some("ada"))).await.unwrap();
    // What an account bears out is not taken over, however old.
    place.clock.advance_ms(1_000_000_000);
    assert!(place.accounts.register(registration("a@example.org", Some("bob"))).await.is_err());
    assert!(place.accounts.register(registration("b@example.org", Some("ada"))).await.is_err());
}

#[tokio::test]
async fn unknown_addresses_and_wrong_passwords_are_answered_alike() {
    let place = place();
    place.accounts.register(registration("a@example.org", None)).await.unwrap();
    for round in 0..=MAX_FAILED_LOGINS {
        let wrong = place.accounts.login("a@example.org", "wrong password").await.unwrap_err();
        let unknown = place.accounts.login("nobody@example.org", "wrong password").await.unwrap_err();
        assert_eq!(wrong, unknown, "round {round}");
        let expected = if round < MAX_FAILED_LOGINS { ErrorCode::InvalidCredentials } else { ErrorCode::AccountLocked };
        assert_eq!(wrong.code, expected, "round {round}");
    }
}

#[tokio::test]
async fn a_locked_account_refuses_the_right_password_until_the_time_is_over() {
    let place = place();
    place.accounts.register(registration("a@example.org", None)).await.unwrap();
    for _ in 0..MAX_FAILED_LOGINS {
        place.accounts.login("a@example.org", "wrong password").await.unwrap_err();
    }
    place.clock.advance_ms(60_000);
    let error = place.accounts.login("a@example.org", PASSWORD).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::AccountLocked);
    assert_eq!(error.params.get("retry_after"), Some(&Param::Number(14 * 60)));
    place.clock.advance_ms(LOCK_MS - 60_000);
    place.accounts.login("a@example.org", PASSWORD).await.unwrap();
    // And the count began anew.
    for _ in 0..MAX_FAILED_LOGINS - 1 {
        place.accounts.login("a@example.org", "wrong password").await.unwrap_err();
    }
    place.accounts.login("a@example.org", PASSWORD).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guesses_at_once_are_no_more_than_guesses_in_a_row() {
    let place = place();
    place.accounts.register(registration("a@example.org", None)).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..40 {
        let accounts = place.accounts.clone();
        tasks.spawn(async move { accounts.login("a@example.org", "wrong password").await.unwrap_err().code });
    }
    let answers = tasks.join_all().await;
    let heard = answers.iter().filter(|code| **code == ErrorCode::InvalidCredentials).count();
    assert_eq!(heard, MAX_FAILED_LOGINS as usize, "the others learn nothing of their guess");
    assert_eq!(place.accounts.login("a@example.org", PASSWORD).await.unwrap_err().code, ErrorCode::AccountLocked);
}

/// What is wrong with a registration.
type Change = fn(&mut Registration);

#[tokio::test]
async fn what_cannot_be_registered_is_named() {
    let place = place();
    let cases: [(&str, ErrorCode, Change); 14] = [
        ("email", ErrorCode::ValidationFailed, |it| it.email = "nobody".to_owned()),
        ("email", ErrorCode::ValidationFailed, |it| it.email = "@example.org".to_owned()),
        ("email", ErrorCode::ValidationFailed, |it| it.email = "a b@example.org".to_owned()),
        ("email", ErrorCode::ValidationFailed, |it| it.email = "a@b@example.org".to_owned()),
        ("email", ErrorCode::ValidationFailed, |it| it.email = "a@example.org.".to_owned()),
        ("email", ErrorCode::TooLarge, |it| it.email = format!("a@{}", "x".repeat(254))),
        ("account_password", ErrorCode::ValidationFailed, |it| it.password = "seven77".to_owned()),
        ("account_password", ErrorCode::TooLarge, |it| it.password = "x".repeat(1025)),
        ("display_name", ErrorCode::ValidationFailed, |it| it.display_name = "  ".to_owned()),
        ("display_name", ErrorCode::ValidationFailed, |it| it.display_name = "a\nb".to_owned()),
        ("display_name", ErrorCode::TooLarge, |it| it.display_name = "x".repeat(129)),
        ("handle", ErrorCode::ValidationFailed, |it| it.handle = Some("ab".to_owned())),
        ("handle", ErrorCode::ValidationFailed, |it| it.handle = Some("white space".to_owned())),
        ("locale", ErrorCode::ValidationFailed, |it| it.locale = Some("<script>".to_owned())),
    ];
    for (name, code, change) in cases {
        let mut wanted = registration("a@example.org", Some("ada"));
        change(&mut wanted);
        let error = place.accounts.register(wanted).await.unwrap_err();
        assert_eq!((error.code, field(&error)), (code, Some(&Param::from(name))), "{error}");
        assert!(!error.message.contains("seven77"), "a password is in no message");
    }
    place.accounts.register(registration("a@example.org", Some("ada"))).await.unwrap();
}

#[tokio::test]
async fn a_profile_is_changed_whole_or_not_at_all() {
    let place = place();
    let made = place.accounts.register(registration("a@example.org", Some("ada"))).await.unwrap();
    let id = made.public.user_id;
    let change = ProfileChange {
        display_name: Some("Countess".to_owned()),
        description: Some("of Lovelace".to_owned()),
        avatar_url: Some("https://example.org/a.png".to_owned()),
        locale: Some("en-GB".to_owned()),
        handle: None,
    };
    let changed = place.accounts.update(id, change).await.unwrap();
    assert_eq!(
        (changed.public.display_name.as_str(), changed.public.description.as_str()),
        ("Countess", "of Lovelace")
    );
    assert_eq!(changed.locale.as_deref(), Some("en-GB"));
    let bad = ProfileChange {
        description: Some("other".to_owned()),
        avatar_url: Some("javascript:alert(1)".to_owned()),
        ..ProfileChange::default()
    };
    assert_eq!(place.accounts.update(id, bad).await.unwrap_err().code, ErrorCode::ValidationFailed);
    let away = ProfileChange { avatar_url: Some(String::new()), ..ProfileChange::default() };
    let left = place.accounts.update(id, away).await.unwrap();
    assert_eq!((left.public.description.as_str(), left.public.avatar_url), ("of Lovelace", None));
    assert_eq!(place.accounts.update(user(9), ProfileChange::default()).await.unwrap_err().code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_new_handle_is_found_and_the_old_one_is_free() {
    let place = place();
    let made = place.accounts.register(registration("a@example.org", Some("ada"))).await.unwrap();
    place.accounts.register(registration("b@example.org", Some("bob"))).await.unwrap();
    let rename = |handle: &str| ProfileChange { handle: Some(handle.to_owned()), ..ProfileChange::default() };
    let error = place.accounts.update(made.public.user_id, rename("bob")).await.unwrap_err();
    assert_eq!((error.code, field(&error)), (ErrorCode::Conflict, Some(&Param::from("handle"))));
    place.accounts.update(made.public.user_id, rename("Lovelace")).await.unwrap();
    let handles = |found: Vec<hubbub_domain::accounts::PublicProfile>| -> Vec<_> {
        found.into_iter().map(|person| person.handle).collect()
    };
    assert_eq!(handles(place.accounts.search("ada", 10).await.unwrap()), [""; 0]);
    assert_eq!(handles(place.accounts.search("@LOVE", 10).await.unwrap()), ["lovelace"]);
    place.accounts.register(registration("c@example.org", Some("ada"))).await.unwrap();
    assert_eq!(handles(place.accounts.search("a", 10).await.unwrap()), ["ada"]);
}

#[tokio::test]
async fn a_search_is_by_the_beginning_and_bounded() {
    let place = place();
    for handle in ["anna", "anne", "annemarie", "bert"] {
        place.accounts.register(registration(&format!("{handle}@example.org"), Some(handle))).await.unwrap();
    }
    let search = async |query: &str, limit| {
        let found = place.accounts.search(query, limit).await.unwrap();
        found.into_iter().map(|person| person.handle).collect::<Vec<_>>()
    };
    assert_eq!(search("ann", 10).await, ["anna", "anne", "annemarie"]);
    assert_eq!(search("anne", 10).await, ["anne", "annemarie"]);
    assert_eq!(search("ann", 2).await, ["anna", "anne"], "BOUNDED");
    assert_eq!(search("nn", 10).await, [""; 0]);
    assert_eq!(search("a%", 10).await, [""; 0]);
    assert_eq!(place.accounts.search(" ", 10).await.unwrap_err().code, ErrorCode::ValidationFailed);
}
