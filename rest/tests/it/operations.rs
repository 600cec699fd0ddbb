//! Health, numbers, limits and the description of it all.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use hubbub_protocol::limits::Limits;
use hubbub_rest::Settings;
use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn a_serving_process_is_live_and_ready() {
    let app = TestApp::new();
    for path in ["/health", "/health/live", "/health/ready", "/api/health/ready"] {
        app.get(path).at_address("203.0.113.1").send().await.expect(StatusCode::OK);
    }
    let health = app.get("/health").send().await.expect(StatusCode::OK);
    assert_eq!(health["data"], json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "connections": 3}));
    let health = app.get("/health").at_address("203.0.113.1").send().await.expect(StatusCode::OK);
    assert!(health["data"].get("connections").is_none(), "not everybody's business");
}

#[tokio::test]
async fn readiness_ends_with_the_drain_and_with_the_store_and_liveness_does_not() {
    let app = TestApp::new();
    app.port.draining.store(true, Ordering::SeqCst);
    let error = app.get("/health/ready").send().await.refusal("draining");
    assert_eq!(error["params"]["reasons"], "draining");
    app.store.engine.close().await.unwrap();
    let error = app.get("/health/ready").send().await.refusal("draining");
    assert_eq!(error["params"]["reasons"], "draining, store_stopped");
    app.port.draining.store(false, Ordering::SeqCst);
    app.get("/health/ready").send().await.refusal("store_unavailable");
    app.get("/health/live").send().await.expect(StatusCode::OK);
    assert_eq!(app.get("/health").send().await.expect(StatusCode::OK)["data"]["status"], "degraded");
}

#[tokio::test]
async fn numbers_are_told_on_the_same_machine_alone() {
    let app = TestApp::new();
    for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        let answer = app.get("/metrics").at_address(peer).send().await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
        assert_eq!(answer.text(), "hubbub_test 1\n");
    }
    app.get("/metrics").at_address("203.0.113.1").send().await.refusal("not_found");
    app.get("/api/metrics").at_address("10.0.0.1").send().await.refusal("not_found");
    app.get("/metrics").header("x-forwarded-for", "127.0.0.1").send().await.refusal("not_found");
}

#[tokio::test]
async fn numbers_are_told_to_the_networks_that_the_operator_names() {
    let metrics_from = ["10.1.0.0/16", "fd00::7"].map(|text| text.parse().unwrap()).into();
    let app = TestApp::with(Settings { metrics_from, ..Settings::default() });
    for peer in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::7", "127.0.0.1"] {
        let answer = app.get("/metrics").at_address(peer).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{peer}");
    }
    for peer in ["10.2.2.3", "fd00::8", "203.0.113.1"] {
        app.get("/metrics").at_address(peer).send().await.refusal("not_found");
    }
    // A proxy in such a network serves others.
    let forwarded = app.get("/metrics").at_address("10.1.2.3").header("x-forwarded-for", "10.1.2.3");
    forwarded.send().await.refusal("not_found");
}

#[tokio::test]
async fn the_limits_are_those_of_the_protocol() {
    let app = TestApp::new();
    let told = app.get("/limits").send().await.expect(StatusCode::OK);
    assert_eq!(told["data"], serde_json::to_value(Limits::default()).unwrap());
}

#[tokio::test]
async fn swagger_works_from_inside_the_binary_under_both_paths() {
    let app = TestApp::new();
    for base in ["", "/api"] {
        let moved = app.get(&format!("{base}/swagger")).send().await;
        assert_eq!(moved.status, StatusCode::PERMANENT_REDIRECT);
        assert_eq!(moved.header("location"), "swagger/", "relative");
        let page = app.get(&format!("{base}/swagger/")).send().await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(page.header("content-security-policy").contains("script-src 'self'"));
        assert!(!page.text().contains("http://") && !page.text().contains("https://"), "nothing from elsewhere");
        let script = app.get(&format!("{base}/swagger/swagger-initializer.js")).send().await;
        assert!(script.text().contains("../openapi.json"), "{}", script.text());
        let bundle = app.get(&format!("{base}/swagger/swagger-ui-bundle.js")).send().await;
        assert_eq!(bundle.status, StatusCode::OK);
        assert!(bundle.bytes.len() > 100_000);
    }
}
