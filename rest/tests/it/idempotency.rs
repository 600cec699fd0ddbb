//! `Idempotency-Key`: the table of `layers/idempotency.rs`, row by row.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use futures_util::future::join_all;
use hubbub_protocol::{ErrorBody, ErrorCode};
use serde_json::{Value, json};

use crate::app::{Answer, Call, Person, TestApp};

const REPLAYED: &str = "idempotency-replayed";

fn create(app: &TestApp, by: &Person, key: &str, name: &str) -> Call {
    app.post("/groups", &json!({"name": name})).by(by).header("idempotency-key", key)
}

fn id_of(answer: &Value) -> String {
    answer["data"]["conversation_id"].as_str().unwrap().to_owned()
}

async fn groups_of(app: &TestApp, person: &Person) -> usize {
    let list = app.get("/conversations").by(person).send().await.expect(StatusCode::OK);
    list["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_repetition_gets_the_first_answer_and_does_nothing() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let first = create(&app, &ada, "k", "g").send().await;
    assert_eq!(first.header(REPLAYED), "");
    let first = first.expect(StatusCode::CREATED);
    let again = create(&app, &ada, "k", "g").send().await;
    assert_eq!(again.header(REPLAYED), "true");
    assert_eq!(again.header("content-type"), "application/json");
    assert_eq!(again.expect(StatusCode::CREATED), first);
    let under_api = app.post("/api/groups", &json!({"name": "g"})).by(&ada).header("idempotency-key", "k");
    assert_eq!(under_api.send().await.expect(StatusCode::CREATED), first, "the same resource under both paths");
    assert_eq!(app.port.submitted.load(Ordering::SeqCst), 1, "ONCE");
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    create(&app, &ada, "k", "g").send().await.expect(StatusCode::CREATED);
    create(&app, &ada, "k", "h").send().await.refusal("idempotency_mismatch");
    assert_eq!(groups_of(&app, &ada).await, 1);
}

#[tokio::test]
async fn a_key_is_its_owners_and_its_paths() {
    let app = TestApp::new();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let first = id_of(&create(&app, &ada, "k", "g").send().await.expect(StatusCode::CREATED));
    let other = id_of(&create(&app, &bob, "k", "g").send().await.expect(StatusCode::CREATED));
    assert_ne!(first, other, "nobody is answered with another's answer");
    let direct = app.post("/conversations", &json!({"user_id": bob.id})).by(&ada).header("idempotency-key", "k");
    direct.send().await.expect(StatusCode::CREATED);
    let anonymous = app.post("/groups", &json!({"name": "g"})).header("idempotency-key", "k");
    anonymous.send().await.refusal("missing_token");
}

#[tokio::test]
async fn without_a_key_each_request_is_its_own() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    app.group(&ada, &[]).await;
    app.group(&ada, &[]).await;
    assert_eq!(groups_of(&app, &ada).await, 2);
}

#[tokio::test]
async fn a_lasting_refusal_is_kept_and_gets_a_request_id_of_its_own() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let long = "x".repeat(129);
    let first = create(&app, &ada, "k", &long).send().await.refusal("too_large");
    let again = create(&app, &ada, "k", &long).send().await;
    assert_eq!(again.header(REPLAYED), "true");
    let error = again.refusal("too_large");
    assert_eq!(error["params"], first["params"]);
    assert_ne!(error["request_id"], first["request_id"]);
}

#[tokio::test]
async fn a_failure_that_can_pass_frees_the_key() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    *app.port.next_error.lock().unwrap() = Some(ErrorBody::new(ErrorCode::UnknownOutcome, "perhaps"));
    create(&app, &ada, "k", "g").send().await.refusal("unknown_outcome");
    let again = create(&app, &ada, "k", "g").send().await;
    assert_eq!(again.header(REPLAYED), "");
    again.expect(StatusCode::OK);
    assert_eq!(groups_of(&app, &ada).await, 1, "ONCE: the first had been stored, and the second met it");
}

#[tokio::test]
async fn of_a_hundred_at_once_one_is_done() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let answers: Vec<Answer> = join_all((0..100).map(|_| create(&app, &ada, "k", "g").send())).await;
    let mut ids: Vec<_> = Vec::new();
    for answer in answers {
        if answer.status == StatusCode::CREATED {
            ids.push(id_of(&answer.json()));
        } else {
            answer.refusal("request_in_progress");
            assert_eq!(answer.header("retry-after"), "1");
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(app.port.submitted.load(Ordering::SeqCst), 1, "ONCE");
}

#[tokio::test]
async fn a_claim_whose_process_died_is_free_after_its_lease() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    app.port.panics.store(true, Ordering::SeqCst);
    create(&app, &ada, "k", "g").send().await.refusal("internal");
    app.port.panics.store(false, Ordering::SeqCst);
    create(&app, &ada, "k", "g").send().await.refusal("request_in_progress");
    app.clock.advance_ms(59_000);
    create(&app, &ada, "k", "g").send().await.refusal("request_in_progress");
    app.clock.advance_ms(2_000);
    create(&app, &ada, "k", "g").send().await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let first = id_of(&create(&app, &ada, "k", "g").send().await.expect(StatusCode::CREATED));
    app.clock.advance_ms(25 * 3_600_000);
    let renewed = app.post("/auth/refresh", &json!({"refresh_token": ada.refresh_token})).send().await;
    let ada = Person::of(&renewed.expect(StatusCode::OK));
    let other = id_of(&create(&app, &ada, "k", "h").send().await.expect(StatusCode::CREATED));
    assert_ne!(first, other);
}

#[tokio::test]
async fn keys_have_a_form() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let long = "k".repeat(256);
    for key in ["", "two words", "tab\tbed", "ümlaut", &long] {
        let error = create(&app, &ada, key, "g").send().await.refusal("validation_failed");
        assert_eq!(error["params"]["field"], "Idempotency-Key");
    }
    create(&app, &ada, &"k".repeat(255), "g").send().await.expect(StatusCode::CREATED);
}
