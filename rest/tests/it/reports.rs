//! What a request leaves behind: one log line and a few numbers, neither with anything of its content.

use std::io::{self, Write};
use std::sync::{Mutex, Once};

use axum::http::Method;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};

use crate::app::{PASSWORD, TestApp, message};

/// What all tests of this process have logged, at every level.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Every test logs, so that the search for secrets covers them all.
pub(crate) fn keep_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE);
        tracing::subscriber::set_global_default(subscriber.with_writer(|| Log).finish()).unwrap();
    });
}

fn log() -> String {
    String::from_utf8(LOG.lock().unwrap().clone()).unwrap()
}

#[tokio::test]
async fn the_log_has_one_line_a_request_and_no_secret() {
    let app = TestApp::new();
    let ada = app.person("canary").await;
    let id = app.group(&ada, &[]).await;
    let mut sent = message(1);
    sent["encrypted_payload"] = json!("Y2FuYXJ5");
    let wrong = json!({"email": "canary@example.org", "account_password": "canary canary"});
    let answers = [
        app.post(&format!("/conversations/{id}/messages"), &sent).by(&ada).send().await,
        app.get("/users/search?q=canary").by(&ada).send().await,
        app.get("/nothing/canary?canary=canary").header("cookie", "hubbub_refresh=canary").send().await,
        app.post("/auth/login", &wrong).send().await,
        app.post("/groups", &json!({"canary": "canary"})).by(&ada).send().await,
    ];
    let text = log();
    for secret in ["canary", "Y2FuYXJ5", &ada.token, &ada.refresh_token, PASSWORD] {
        assert!(!text.contains(secret), "{secret:.8} was logged");
    }
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        ("POST", "/conversations/{id}/messages", 201, Value::Null),
        ("GET", "/users/search", 200, Value::Null),
        ("GET", "unmatched", 404, json!("not_found")),
        ("POST", "/auth/login", 401, json!("invalid_credentials")),
        ("POST", "/groups", 400, json!("validation_failed")),
    ];
    for (answer, (method, route, status, error)) in answers.iter().zip(expected) {
        let id = answer.header("x-request-id");
        let own: Vec<_> = lines.iter().filter(|line| line["fields"]["request.id"] == id).collect();
        assert_eq!(own.len(), 1, "one line a request, found by the id that the client was told");
        let fields = &own[0]["fields"];
        assert_eq!((&fields["method"], &fields["route"]), (&json!(method), &json!(route)));
        assert_eq!((&fields["status"], &fields["error"]), (&json!(status), &error));
    }
}

#[tokio::test]
async fn numbers_are_counted_by_route_and_their_labels_are_bounded() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let guard = metrics::set_default_local_recorder(&recorder);
    let app = TestApp::new();
    for number in 0..20 {
        app.get(&format!("/users/{}", uuid::Uuid::from_u128(number))).send().await.refusal("missing_token");
        app.get(&format!("/api/users/{}", uuid::Uuid::from_u128(number))).send().await.refusal("missing_token");
        app.get(&format!("/nothing/{number}")).send().await.refusal("not_found");
        let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        app.call(method, "/users/me").send().await.refusal("method_not_allowed");
    }
    drop(guard);
    let text = handle.render();
    for line in [
        r#"hubbub_http_requests_total{method="GET",route="/users/{id}",status="401"} 40"#,
        r#"hubbub_http_requests_total{method="GET",route="unmatched",status="404"} 20"#,
        r#"hubbub_http_requests_total{method="other",route="/users/me",status="405"} 20"#,
        r#"hubbub_http_request_seconds_count{method="GET",route="/users/{id}"} 40"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let series = text.lines().filter(|line| line.starts_with("hubbub_http_requests_total{")).count();
    assert_eq!(series, 3, "BOUNDED: no label for each id, path or method");
}
