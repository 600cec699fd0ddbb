//! Accounts and sessions by HTTP.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::app::{PASSWORD, Person, TestApp};

#[tokio::test]
async fn a_registration_logs_in_and_the_login_finds_the_same_person() {
    let app = TestApp::new();
    let body = json!({"email": "ada@example.org", "account_password": PASSWORD, "display_name": "Ada"});
    let answer = app.post("/auth/register", &body).send().await.expect(StatusCode::CREATED);
    let registered = Person::of(&answer);
    assert_eq!(answer["data"]["expires_in_seconds"], 300);
    assert_eq!(registered.refresh_token, "", "the refresh token is in the cookie alone");

    let body = json!({"email": "ada@example.org", "account_password": PASSWORD});
    let answer = app.post("/auth/login", &body).send().await.expect(StatusCode::OK);
    let logged_in = Person::of(&answer);
    assert_eq!(logged_in.id, registered.id);
    assert_ne!(logged_in.session_id, registered.session_id);

    let me = app.get("/auth/me").by(&logged_in).send().await.expect(StatusCode::OK);
    assert_eq!(me["data"]["email"], "ada@example.org");
    assert_eq!(me["data"]["session_id"], logged_in.session_id);
    assert!(me["data"].as_object().unwrap().keys().all(|key| !key.contains("password")), "{me}");
}

#[tokio::test]
async fn other_systems_names_of_fields_are_read_too() {
    let app = TestApp::new();
    let body = json!({"email": "ada@example.org", "password": PASSWORD, "name": "Ada", "locale": "de"});
    let answer = app.post("/api/auth/register", &body).send().await.expect(StatusCode::CREATED);
    let me = app.get("/api/auth/me").by(&Person::of(&answer)).send().await.expect(StatusCode::OK);
    assert_eq!(me["data"]["display_name"], "Ada");
    assert_eq!(me["data"]["device_locale"], "de");
    app.post("/auth/login", &json!({"login": "ada@example.org", "password": PASSWORD}))
        .send()
        .await
        .expect(StatusCode::OK);
}

#[tokio::test]
async fn a_device_keeps_its_id_over_logins() {
    let app = TestApp::new();
    app.person("ada").await;
    let device = "01890a5d-ac96-774b-bcce-b302099a8057";
    let body = json!({"email": "ada@example.org", "account_password": PASSWORD,
        "device_id": device, "device_name": "phone"});
    let answer = app.post("/auth/login", &body).send().await.expect(StatusCode::OK);
    assert_eq!(answer["data"]["device_id"], device);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_told_alike() {
    let app = TestApp::new();
    app.person("ada").await;
    let mut told = Vec::new();
    for (email, password) in [("ada@example.org", "wrong password"), ("bob@example.org", PASSWORD)] {
        let body = json!({"email": email, "account_password": password});
        let mut error = app.post("/auth/login", &body).send().await.refusal("invalid_credentials");
        error["request_id"] = json!(null);
        told.push(error);
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn too_many_failures_lock_and_say_for_how_long() {
    let app = TestApp::new();
    app.person("ada").await;
    let wrong = json!({"email": "ada@example.org", "account_password": "wrong password"});
    let mut last = app.post("/auth/login", &wrong).send().await;
    for _ in 0..5 {
        last = app.post("/auth/login", &wrong).send().await;
    }
    let error = last.refusal("account_locked");
    assert_eq!(last.header("retry-after"), error["params"]["retry_after"].to_string());
}

#[tokio::test]
async fn an_address_is_one_accounts() {
    let app = TestApp::new();
    app.person("ada").await;
    let body = json!({"email": "ADA@example.org", "account_password": PASSWORD, "display_name": "Ada"});
    app.post("/auth/register", &body).send().await.refusal("conflict");
    let body = json!({"email": "bob@example.org", "account_password": PASSWORD, "display_name": "B", "handle": "ada"});
    app.post("/auth/register", &body).send().await.refusal("conflict");
}

#[tokio::test]
async fn logging_out_ends_the_session_its_tokens_and_its_sockets() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let answer = app.call(Method::POST, "/auth/logout").by(&ada).send().await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(app.port.ended.lock().unwrap()[..], [ada.session_id.parse().unwrap()], "sockets are closed too");
    app.get("/auth/me").by(&ada).send().await.refusal("invalid_token");
    let body = json!({"refresh_token": ada.refresh_token});
    app.post("/auth/refresh", &body).send().await.refusal("invalid_token");
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_a_refresh_gives_another() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    app.clock.advance_ms(310_000);
    app.get("/auth/me").by(&ada).send().await.refusal("expired_token");
    let body = json!({"refresh_token": ada.refresh_token});
    let answer = app.post("/auth/refresh", &body).send().await.expect(StatusCode::OK);
    let renewed = Person::of(&answer);
    assert_eq!(renewed.session_id, ada.session_id);
    assert_ne!(renewed.refresh_token, ada.refresh_token, "each refresh token works once");
    app.get("/auth/me").by(&renewed).send().await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_and_a_stolen_token_ends_the_session() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let first = json!({"refresh_token": ada.refresh_token});
    let once = Person::of(&app.post("/auth/refresh", &first).send().await.expect(StatusCode::OK));
    let again = Person::of(&app.post("/auth/refresh", &first).send().await.expect(StatusCode::OK));
    assert_eq!(once.refresh_token, again.refresh_token, "a retry within the grace gets the same successor");

    app.clock.advance_ms(31_000);
    app.post("/auth/refresh", &first).send().await.refusal("invalid_token");
    assert_eq!(app.port.ended.lock().unwrap()[..], [ada.session_id.parse().unwrap()], "its sockets are closed");
    app.get("/auth/me").by(&once).send().await.refusal("invalid_token");
    let successor = json!({"refresh_token": once.refresh_token});
    app.post("/auth/refresh", &successor).send().await.refusal("invalid_token");
}

#[tokio::test]
async fn tokens_that_were_not_made_here_are_refused() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    app.get("/auth/me").send().await.refusal("missing_token");
    for (header, code) in [
        ("Basic YTpi".to_owned(), "missing_token"),
        ("Bearer ".to_owned(), "missing_token"),
        (ada.token.clone(), "missing_token"),
        ("Bearer nonsense".to_owned(), "invalid_token"),
        (format!("Bearer {}x", ada.token), "invalid_token"),
        (format!("Bearer {}", ada.refresh_token), "invalid_token"),
        (format!("Bearer {}", "a".repeat(5000)), "invalid_token"),
    ] {
        let answer = app.get("/auth/me").header("authorization", &header).send().await;
        answer.refusal(code);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let lower = format!("bearer {}", ada.token);
    app.get("/auth/me").header("authorization", &lower).send().await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_refresh_needs_a_token_that_was_made_here() {
    let app = TestApp::new();
    app.post("/auth/refresh", &json!({})).send().await.refusal("missing_token");
    app.post("/auth/refresh", &json!({"refresh_token": "nonsense"})).send().await.refusal("invalid_token");
    let ada = app.person("ada").await;
    let body = json!({"refresh_token": ada.token});
    app.post("/auth/refresh", &body).send().await.refusal("invalid_token");
}
