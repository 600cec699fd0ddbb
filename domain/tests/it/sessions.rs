//! Logins: rotation, reuse, ends and limits.

use std::sync::Arc;

use hubbub_domain::sessions::{Device, Logins, MAX_SESSIONS_PER_USER, REFRESH_LIFE_MS, SESSION_LIFE_MS, Sessions};
use hubbub_domain::tokens::{ACCESS_LIFE_MS, KeyRing, Verifier};
use hubbub_protocol::{DeviceId, ErrorCode};
use hubbub_storage::clock::ManualClock;
use hubbub_storage::memory;
use hubbub_storage::store::Store;
use tokio::task::JoinSet;

use crate::restless::restless;
use crate::support::{START, user};

const GRACE_MS: i64 = 30_000;

/// Those who log in, and those who are let in: two halves over one store.
#[derive(Clone)]
struct Both {
    logins: Logins,
    sessions: Sessions,
}

fn both(store: &Store, clock: &Arc<ManualClock>, keys: KeyRing) -> Both {
    let verifier = Verifier::fixed(keys.public_keys().clone());
    let sessions = Sessions::new(store.clone(), Arc::clone(clock) as _, verifier);
    Both { logins: Logins::new(store.clone(), Arc::clone(clock) as _, Arc::new(keys)), sessions }
}

fn sessions() -> (Both, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START));
    (both(&restless(&memory::open()), &clock, KeyRing::from_seed(&[7; 32])), clock)
}

#[tokio::test]
async fn a_login_gives_tokens_that_name_its_person_session_and_device() {
    let (sessions, _) = sessions();
    let device = Device { id: Some(DeviceId::from_bytes([3; 16])), name: "phone".to_owned() };
    let tokens = sessions.logins.open(user(1), device).await.unwrap();
    let caller = sessions.sessions.authenticate(&tokens.access_token).await.unwrap();
    assert_eq!(caller, tokens.caller);
    assert_eq!((caller.user_id, caller.device_id), (user(1), DeviceId::from_bytes([3; 16])));
    assert_eq!(caller.author().device_id, Some(caller.device_id));
    assert_eq!(tokens.expires_in_seconds, 300);
    assert_eq!(caller.expires_at, START.plus_ms(ACCESS_LIFE_MS));
}

#[tokio::test]
async fn a_refresh_rotates_and_keeps_the_session() {
    let (sessions, clock) = sessions();
    let login = sessions.logins.open(user(1), Device::default()).await.unwrap();
    let mut last = login.clone();
    for _ in 0..5 {
        clock.advance_ms(ACCESS_LIFE_MS);
        let next = sessions.logins.refresh(&last.refresh_token).await.unwrap();
        assert_ne!(next.refresh_token, last.refresh_token);
        assert_eq!(next.caller.session_id, login.caller.session_id);
        assert_eq!(next.caller.device_id, login.caller.device_id);
        sessions.sessions.authenticate(&next.access_token).await.unwrap();
        last = next;
    }
}

#[tokio::test]
async fn a_lost_answer_is_given_again_within_the_grace() {
    let (sessions, clock) = sessions();
    let login = sessions.logins.open(user(1), Device::default()).await.unwrap();
    let next = sessions.logins.refresh(&login.refresh_token).await.unwrap();
    clock.advance_ms(GRACE_MS);
    let again = sessions.logins.refresh(&login.refresh_token).await.unwrap();
    assert_eq!(again.refresh_token, next.refresh_token, "the same successor");
    sessions.logins.refresh(&again.refresh_token).await.unwrap();
}

#[tokio::test]
async fn an_old_token_coming_back_after_the_grace_ends_the_session() {
    let (sessions, clock) = sessions();
    let login = sessions.logins.open(user(1), Device::default()).await.unwrap();
    let next = sessions.logins.refresh(&login.refresh_token).await.unwrap();
    clock.advance_ms(GRACE_MS + 1);
    let error = sessions.logins.refresh(&login.refresh_token).await.unwrap_err();
    assert_eq!((error.body.code, error.revoked), (ErrorCode::InvalidToken, Some(login.caller.session_id)));
    // The thief's and the owner's tokens are all dead.
    let dead = sessions.logins.refresh(&next.refresh_token).await.unwrap_err();
    assert_eq!((dead.body.code, dead.revoked), (ErrorCode::InvalidToken, None));
    let refused = sessions.sessions.authenticate(&next.access_token).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidToken, "MEMBERS-ONLY: an ended session is refused at once");
}

#[tokio::test]
async fn a_token_two_generations_old_is_reuse_even_at_once() {
    let (sessions, _) = sessions();
    let first = sessions.logins.open(user(1), Device::default()).await.unwrap();
    let second = sessions.logins.refresh(&first.refresh_token).await.unwrap();
    sessions.logins.refresh(&second.refresh_token).await.unwrap();
    let error = sessions.logins.refresh(&first.refresh_token).await.unwrap_err();
    assert_eq!(error.revoked, Some(first.caller.session_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_refreshes_with_one_token_all_get_the_same_successor() {
    for _ in 0..20 {
        let (sessions, _) = sessions();
        let login = sessions.logins.open(user(1), Device::default()).await.unwrap();
        let mut tasks = JoinSet::new();
        for _ in 0..50 {
            let (sessions, token) = (sessions.clone(), login.refresh_token.clone());
            tasks.spawn(async move { sessions.logins.refresh(&token).await.unwrap().refresh_token });
        }
        let mut successors = tasks.join_all().await;
        successors.dedup();
        assert_eq!(successors.len(), 1, "one successor for all");
        sessions.logins.refresh(&successors[0]).await.unwrap();
    }
}

#[tokio::test]
async fn a_logout_ends_every_token_and_may_be_repeated() {
    let (sessions, _) = sessions();
    let tokens = sessions.logins.open(user(1), Device::default()).await.unwrap();
    let other = sessions.logins.open(user(1), Device::default()).await.unwrap();
    sessions.logins.revoke(tokens.caller.session_id).await.unwrap();
    sessions.logins.revoke(tokens.caller.session_id).await.unwrap();
    assert_eq!(sessions.sessions.authenticate(&tokens.access_token).await.unwrap_err().code, ErrorCode::InvalidToken);
    assert_eq!(sessions.logins.refresh(&tokens.refresh_token).await.unwrap_err().body.code, ErrorCode::InvalidToken);
    sessions.sessions.authenticate(&other.access_token).await.unwrap();
}

#[tokio::test]
async fn a_logout_that_races_with_a_refresh_wins() {
    let (sessions, _) = sessions();
    let wait = async |turns| {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    for turns in 0..12 {
        let tokens = sessions.logins.open(user(1), Device::default()).await.unwrap();
        let revoke = async {
            wait(turns).await;
            sessions.logins.revoke(tokens.caller.session_id).await
        };
        let refresh = async {
            wait(6).await;
            sessions.logins.refresh(&tokens.refresh_token).await
        };
        let (revoked, refreshed) = tokio::join!(revoke, refresh);
        revoked.unwrap();
        let access = refreshed.map_or(tokens.access_token, |refreshed| refreshed.access_token);
        assert_eq!(sessions.sessions.authenticate(&access).await.unwrap_err().code, ErrorCode::InvalidToken);
    }
}

#[tokio::test]
async fn the_login_beyond_the_limit_ends_the_oldest() {
    let (sessions, clock) = sessions();
    let mut all = Vec::new();
    for _ in 0..MAX_SESSIONS_PER_USER {
        let tokens = sessions.logins.open(user(1), Device::default()).await.unwrap();
        assert_eq!(tokens.ended, []);
        all.push(tokens);
        clock.advance_ms(1);
    }
    let foreign = sessions.logins.open(user(2), Device::default()).await.unwrap();
    let newest = sessions.logins.open(user(1), Device::default()).await.unwrap();
    assert_eq!(newest.ended, [all[0].caller.session_id], "BOUNDED: told, so that its sockets can be ended");
    assert!(sessions.sessions.authenticate(&all[0].access_token).await.is_err());
    for tokens in all[1..].iter().chain([&newest, &foreign]) {
        sessions.sessions.authenticate(&tokens.access_token).await.unwrap();
    }
}

#[tokio::test]
async fn a_session_ends_by_disuse_and_at_last_by_age() {
    let (sessions, clock) = sessions();
    let unused = sessions.logins.open(user(1), Device::default()).await.unwrap();
    let mut used = sessions.logins.open(user(1), Device::default()).await.unwrap();
    clock.advance_ms(REFRESH_LIFE_MS - 1);
    used = sessions.logins.refresh(&used.refresh_token).await.unwrap();
    clock.advance_ms(1);
    assert_eq!(sessions.logins.refresh(&unused.refresh_token).await.unwrap_err().body.code, ErrorCode::ExpiredToken);
    for _ in 0..2 {
        clock.advance_ms(REFRESH_LIFE_MS - 60_000);
        used = sessions.logins.refresh(&used.refresh_token).await.unwrap();
    }
    // The last access token ends with the session.
    assert_eq!(used.caller.expires_at, START.plus_ms(SESSION_LIFE_MS));
    clock.advance_ms(120_000);
    assert_eq!(sessions.logins.refresh(&used.refresh_token).await.unwrap_err().body.code, ErrorCode::ExpiredToken);
    assert_eq!(sessions.sessions.authenticate(&used.access_token).await.unwrap_err().code, ErrorCode::ExpiredToken);
}

#[tokio::test]
async fn a_session_of_other_keys_is_nothing_here() {
    let store = memory::open();
    let clock = Arc::new(ManualClock::at(START));
    let of = |seed| both(&store, &clock, KeyRing::from_seed(&[seed; 32]));
    let tokens = of(1).logins.open(user(1), Device::default()).await.unwrap();
    of(1).sessions.authenticate(&tokens.access_token).await.unwrap();
    assert_eq!(of(2).sessions.authenticate(&tokens.access_token).await.unwrap_err().code, ErrorCode::InvalidToken);
    let error = of(2).logins.refresh(&tokens.refresh_token).await.unwrap_err();
    assert_eq!((error.body.code, error.revoked), (ErrorCode::InvalidToken, None));
    of(1).logins.refresh(&tokens.refresh_token).await.unwrap();
}

#[tokio::test]
async fn forged_refresh_tokens_neither_work_nor_end_anything() {
    let (sessions, _) = sessions();
    let tokens = sessions.logins.open(user(1), Device::default()).await.unwrap();
    let good = tokens.refresh_token.clone();
    let mut forged = vec![
        String::new(),
        "x".repeat(75),
        tokens.access_token.clone(),
        format!("{good}A"),
        good[1..].to_owned(),
        "é".repeat(40),
    ];
    for place in 0..good.len() {
        let other = if good.as_bytes()[place] == b'A' { "B" } else { "A" };
        forged.push(format!("{}{other}{}", &good[..place], &good[place + 1..]));
    }
    for token in forged {
        let error = sessions.logins.refresh(&token).await.unwrap_err();
        assert_eq!((error.body.code, error.revoked), (ErrorCode::InvalidToken, None), "{token}");
    }
    sessions.logins.refresh(&good).await.unwrap();
}

#[tokio::test]
async fn device_names_are_bounded_and_secrets_are_not_shown() {
    let (sessions, _) = sessions();
    let open = |name: String| sessions.logins.open(user(1), Device { id: None, name });
    assert_eq!(open("x".repeat(129)).await.unwrap_err().code, ErrorCode::TooLarge);
    assert_eq!(open("\u{1b}[2J".to_owned()).await.unwrap_err().code, ErrorCode::ValidationFailed);
    let tokens = open("x".repeat(128)).await.unwrap();
    let shown = format!("{tokens:?} {:?}", KeyRing::from_seed(&[7; 32]));
    assert!(!shown.contains(&tokens.access_token) && !shown.contains(&tokens.refresh_token));
}
