//! How often one may ask.

use axum::http::StatusCode;
use hubbub_rest::{RateLimits, Settings};
use serde_json::json;

use crate::app::TestApp;

fn app(auth: Option<u32>, general: Option<u32>) -> TestApp {
    let rate_limits = RateLimits { auth_per_minute: auth, general_per_minute: general, exempt_loopback: false };
    TestApp::with(Settings { rate_limits, ..Settings::default() })
}

#[tokio::test]
async fn logins_are_counted_by_address_and_the_refusal_says_when() {
    let app = app(Some(3), None);
    let login = |peer: &'static str| {
        let body = json!({"refresh_token": "nonsense"});
        app.post("/auth/refresh", &body).at_address(peer).send()
    };
    for _ in 0..3 {
        login("203.0.113.1").await.refusal("invalid_token");
    }
    let answer = login("203.0.113.1").await;
    let error = answer.refusal("rate_limited");
    assert_eq!(error["params"]["limit"], "auth_per_minute");
    assert_eq!(error["params"]["max"], 3);
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&seconds), "a third of a minute heals it: {seconds}");
    login("203.0.113.2").await.refusal("invalid_token");
    app.get("/health").at_address("203.0.113.1").send().await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_persons_requests_are_counted_and_anothers_are_not() {
    let app = app(None, Some(5));
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for _ in 0..5 {
        app.get("/users/me").by(&ada).send().await.expect(StatusCode::OK);
    }
    let answer = app.get("/users/me").by(&ada).at_address("203.0.113.1").send().await;
    assert_eq!(answer.refusal("rate_limited")["params"]["limit"], "general_per_minute");
    app.get("/users/me").by(&bob).send().await.expect(StatusCode::OK);
    let keyed = app.post("/groups", &json!({"name": "g"})).by(&bob).header("idempotency-key", "k");
    keyed.send().await.expect(StatusCode::CREATED);
    app.get("/users/me").by(&bob).send().await.expect(StatusCode::OK);
    app.get("/users/me").by(&bob).send().await.expect(StatusCode::OK);
    app.get("/users/me").by(&bob).send().await.expect(StatusCode::OK);
    app.get("/users/me").by(&bob).send().await.refusal("rate_limited");
}

#[tokio::test]
async fn guessing_tokens_is_counted_by_address() {
    let app = app(None, Some(5));
    let guess = || app.get("/users/me").header("authorization", "Bearer nonsense").send();
    for _ in 0..5 {
        guess().await.refusal("invalid_token");
    }
    guess().await.refusal("rate_limited");
}

#[tokio::test]
async fn one_machine_alone_may_ask_itself_as_often_as_it_likes() {
    let rate_limits = RateLimits { auth_per_minute: Some(1), general_per_minute: Some(1), exempt_loopback: true };
    let app = TestApp::with(Settings { rate_limits, ..Settings::default() });
    let refresh = |peer: &'static str| {
        let body = json!({"refresh_token": "nonsense"});
        app.post("/auth/refresh", &body).at_address(peer).send()
    };
    for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.0.0.1"] {
        refresh(peer).await.refusal("invalid_token");
    }
    refresh("203.0.113.1").await.refusal("invalid_token");
    refresh("203.0.113.1").await.refusal("rate_limited");
}
