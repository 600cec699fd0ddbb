//! Bad requests, each with a clear error in the one shape, and the process alive after it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use hubbub_protocol::{ErrorBody, ErrorCode};
use hubbub_rest::Settings;
use serde_json::json;

use crate::app::{TestApp, message};

#[tokio::test]
async fn unknown_paths_and_methods_have_the_one_shape() {
    let app = TestApp::new();
    for path in ["/", "/nothing", "/api", "/api/nothing", "/users/me/x", "/auth", "//", "/swagger/nothing.js"] {
        app.get(path).send().await.refusal("not_found");
    }
    for path in ["/users/me", "/api/users/me"] {
        let answer = app.call(Method::DELETE, path).send().await;
        answer.refusal("method_not_allowed");
        assert!(answer.header("allow").contains("PATCH"), "{:?}", answer.headers);
    }
    app.call(Method::from_bytes(b"BREW").unwrap(), "/users/me").send().await.refusal("method_not_allowed");
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be_are_refused() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_inside = format!(r#"{{"name":"g","member_ids":{deep}}}"#);
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\"text\"",
        "{\"name\": 1}",
        "{\"name\": \"g\", \"member_ids\": {}}",
        "{\"name\": \"g\", \"member_ids\": [\"x\"]}",
        "{\"name\": \"g\", \"owner_id\": \"x\"}",
        "{\"name\": \"g\", \"name\": \"h\"}",
        "{\"name\": \"g\"} trailing",
        "{\"name\": \"\\ud800\"}",
        deep.as_str(),
        deep_inside.as_str(),
    ] {
        let answer = app.call(Method::POST, "/groups").by(&ada).raw("application/json", body.to_owned()).send().await;
        let error = answer.refusal("validation_failed");
        assert_eq!(error["params"]["field"], "body", "{body:.40}");
        assert!(error["message"].as_str().unwrap().len() < 300, "{error}");
    }
    let bytes = app.call(Method::POST, "/groups").by(&ada).raw("application/json", vec![0xff_u8, 0xfe]).send().await;
    bytes.refusal("validation_failed");
}

#[tokio::test]
async fn a_body_that_is_not_json_by_its_own_word_is_not_read() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    for content_type in ["text/plain", "text/json", "application/jsonp", "application/json2", "multipart/form-data"] {
        let call = app.call(Method::POST, "/groups").by(&ada).raw(content_type, r#"{"name":"g"}"#);
        call.send().await.refusal("unsupported_type");
    }
    let call = app.call(Method::POST, "/groups").by(&ada).raw("Application/JSON; charset=utf-8", r#"{"name":"g"}"#);
    call.send().await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn a_body_of_10_mb_is_refused_declared_or_not() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let large = vec![b' '; 10 * 1024 * 1024];
    let declared = app.call(Method::POST, "/groups").by(&ada).header("content-length", "10485760");
    let error = declared.raw("application/json", large.clone()).send().await.refusal("too_large");
    assert_eq!(error["params"], json!({"limit": "max_body_bytes", "max": 98304}));
    let pieces = futures_util::stream::iter(
        large.chunks(1000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>(),
    );
    let undeclared = app.call(Method::POST, "/groups").by(&ada).raw("application/json", Body::from_stream(pieces));
    undeclared.send().await.refusal("too_large");
    let keyed = app.call(Method::POST, "/groups").by(&ada).header("idempotency-key", "k");
    keyed.raw("application/json", large).send().await.refusal("too_large");
    app.get("/auth/me").by(&ada).send().await.expect(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let app = TestApp::new();
    let endless = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let answer = app.call(Method::POST, "/auth/login").raw("application/json", endless).send().await;
    answer.refusal("request_timeout");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_outcome_in_time_says_so() {
    let settings = Settings { deadline: Duration::ZERO, ..Settings::default() };
    let app = TestApp::with(settings);
    let endless = || Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let answer = app.call(Method::POST, "/auth/login").raw("application/json", endless()).send().await;
    let error = answer.refusal("unknown_outcome");
    assert_eq!(error["retryable"], true, "HONEST: whether it was stored is not known");
}

#[tokio::test]
async fn a_panic_ends_one_request() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    app.port.panics.store(true, Ordering::SeqCst);
    let answer = app.post("/groups", &json!({"name": "g"})).by(&ada).send().await;
    let error = answer.refusal("internal");
    assert!(!answer.text().contains("planted"), "no inner words: {error}");
    app.port.panics.store(false, Ordering::SeqCst);
    app.post("/groups", &json!({"name": "g"})).by(&ada).send().await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn every_code_of_the_hub_keeps_its_status_and_retry_time() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let id = app.group(&ada, &[]).await;
    for (number, code) in ErrorCode::ALL.iter().enumerate() {
        *app.port.next_error.lock().unwrap() = Some(ErrorBody::new(*code, "as told"));
        let path = format!("/conversations/{id}/messages");
        let answer = app.post(&path, &message(number as u128 + 1)).by(&ada).send().await;
        let error = answer.refusal(code.as_str());
        assert_eq!(error["retryable"], code.retryable());
        assert_eq!(
            answer.header("retry-after").is_empty(),
            answer.status != 503 && error["code"] != "request_in_progress"
        );
    }
}

#[tokio::test]
async fn ids_that_are_none_are_refused_before_anything_is_looked_up() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    for path in ["/users/x", "/conversations/1", "/groups/%00", "/conversations/%ff/messages", "/groups/x/members"] {
        let error = app.get(path).by(&ada).send().await.refusal("validation_failed");
        assert_eq!(error["params"]["field"], "path");
    }
    app.call(Method::POST, "/messages/x/recall").by(&ada).send().await.refusal("validation_failed");
    app.get("/conversations/1").send().await.refusal("missing_token");
}

#[tokio::test]
async fn every_answer_carries_the_headers_of_an_api() {
    let app = TestApp::new();
    for (method, path) in [
        (Method::GET, "/health"),
        (Method::GET, "/nothing"),
        (Method::GET, "/users/me"),
        (Method::DELETE, "/users/me"),
        (Method::GET, "/openapi.json"),
        (Method::GET, "/swagger/"),
        (Method::OPTIONS, "/users/me"),
    ] {
        let answer = app.call(method, path).send().await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
    }
}
