//! A process beside others: what it counts with them, what it tells of them, what it serves to them, and what it has not.

use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use hubbub_domain::tokens::{KeyRing, PublicKeys};
use hubbub_rest::cluster::Cluster;
use hubbub_rest::vitals::Vitals;
use hubbub_rest::{RateLimits, Settings, vitals_router};
use serde_json::json;

use crate::app::{Call, TestApp};

/// The others, as a test plays them.
#[derive(Default)]
struct Others {
    counts: Mutex<HashMap<Vec<u8>, u64>>,
    down: AtomicBool,
    silent: AtomicBool,
}

impl Others {
    fn counted(&self) -> u64 {
        self.counts.lock().unwrap().values().sum()
    }
}

impl Cluster for Others {
    fn is_up(&self) -> bool {
        !self.down.load(Ordering::SeqCst)
    }

    fn count(&self, key: &[u8], window: Duration) -> BoxFuture<'static, Option<u64>> {
        assert_eq!(window, Duration::from_mins(1));
        if self.silent.load(Ordering::SeqCst) {
            return pending().boxed();
        }
        if !self.is_up() {
            return ready(None).boxed();
        }
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(key.to_vec()).or_default();
        *count += 1;
        ready(Some(*count)).boxed()
    }
}

/// Two processes that take five logins a minute from one address, and three requests of one person.
fn two() -> (TestApp, TestApp, Arc<Others>) {
    let others = Arc::new(Others::default());
    let app = || {
        let rate_limits = RateLimits { auth_per_minute: Some(5), general_per_minute: Some(3), exempt_loopback: true };
        TestApp::beside(Settings { rate_limits, ..Settings::default() }, Some(Arc::clone(&others) as _))
    };
    (app(), app(), others)
}

fn refresh(app: &TestApp, peer: &str) -> Call {
    app.post("/auth/refresh", &json!({"refresh_token": "nonsense"})).at_address(peer)
}

#[tokio::test]
async fn what_one_process_lets_in_counts_on_the_other() {
    let (one, other, others) = two();
    for app in [&one, &one, &one, &other, &other] {
        refresh(app, "203.0.113.1").send().await.refusal("invalid_token");
    }
    for app in [&one, &other] {
        let answer = refresh(app, "203.0.113.1").send().await;
        let error = answer.refusal("rate_limited");
        assert_eq!(
            (error["params"]["limit"].as_str(), error["params"]["max"].as_u64()),
            (Some("auth_per_minute"), Some(5))
        );
        assert_eq!(answer.header("retry-after"), "60");
    }
    refresh(&one, "203.0.113.2").send().await.refusal("invalid_token");
    let before = others.counted();
    refresh(&one, "127.0.0.1").send().await.refusal("invalid_token");
    assert_eq!(others.counted(), before, "who is free of the limit is not counted");
}

#[tokio::test]
async fn bounded_who_is_refused_here_is_not_counted_everywhere() {
    let (one, _other, others) = two();
    for _ in 0..5 {
        refresh(&one, "203.0.113.1").send().await.refusal("invalid_token");
    }
    for _ in 0..20 {
        refresh(&one, "203.0.113.1").send().await.refusal("rate_limited");
    }
    assert_eq!(others.counted(), 5, "BOUNDED: a flood stays where it is");
}

#[tokio::test]
async fn a_persons_requests_count_on_all_processes() {
    let (one, other, _others) = two();
    let guess =
        |app: &TestApp| app.get("/users/me").header("authorization", "Bearer nonsense").at_address("203.0.113.1");
    for app in [&one, &other, &one] {
        guess(app).send().await.refusal("invalid_token");
    }
    guess(&other).send().await.refusal("rate_limited");
    let ada = one.person("ada").await;
    for _ in 0..3 {
        one.get("/users/me").by(&ada).send().await.expect(StatusCode::OK);
    }
    one.get("/users/me").by(&ada).send().await.refusal("rate_limited");
}

#[tokio::test]
async fn without_the_others_each_keeps_its_own_limit() {
    let (one, other, others) = two();
    others.down.store(true, Ordering::SeqCst);
    for app in [&one, &other] {
        for _ in 0..5 {
            refresh(app, "203.0.113.1").send().await.refusal("invalid_token");
        }
        refresh(app, "203.0.113.1").send().await.refusal("rate_limited");
    }
}

#[tokio::test(start_paused = true)]
async fn bounded_others_that_do_not_answer_cost_a_twentieth_of_a_second() {
    let (one, _other, others) = two();
    others.silent.store(true, Ordering::SeqCst);
    let begun = tokio::time::Instant::now();
    refresh(&one, "203.0.113.1").send().await.refusal("invalid_token");
    assert_eq!(begun.elapsed(), Duration::from_millis(50), "BOUNDED");
}

#[tokio::test]
async fn without_its_bus_a_process_is_degraded_and_ready() {
    let (app, _other, others) = two();
    assert_eq!(app.get("/health/ready").send().await.expect(StatusCode::OK)["data"]["status"], "ready");
    others.down.store(true, Ordering::SeqCst);
    for path in ["/health", "/health/ready"] {
        let told = app.get(path).send().await.expect(StatusCode::OK);
        assert_eq!(
            (&told["data"]["status"], &told["data"]["reasons"]),
            (&json!("degraded"), &json!(["bus_down"])),
            "{path}"
        );
    }
    app.port.draining.store(true, Ordering::SeqCst);
    let error = app.get("/health/ready").send().await.refusal("draining");
    assert_eq!(error["params"]["reasons"], "draining", "REDIS-FREE TRUTH: the bus is no reason to turn anybody away");
    let told = app.get("/health").send().await.expect(StatusCode::OK);
    assert_eq!(told["data"]["reasons"], json!(["draining", "bus_down"]));
}

#[tokio::test]
async fn the_public_keys_are_served_to_whoever_asks_and_may_be_kept_for_a_while() {
    let app = TestApp::new();
    for path in ["/.well-known/jwks.json", "/api/.well-known/jwks.json"] {
        let answer = app.get(path).at_address("203.0.113.1").send().await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-type"), "application/jwk-set+json");
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        let ring = KeyRing::from_seed(&[7; 32]);
        assert_eq!(PublicKeys::from_jwks(&answer.bytes).as_ref(), Ok(ring.public_keys()));
    }
    app.post("/.well-known/jwks.json", &json!({})).send().await.refusal("method_not_allowed");
}

#[tokio::test]
async fn a_process_without_sockets_says_where_they_are() {
    let app = TestApp::with(Settings { sockets: false, ..Settings::default() });
    for path in ["/ws", "/ws/human", "/ws/agent"] {
        let upgrade = app.get(path).header("connection", "upgrade").header("upgrade", "websocket");
        let error = upgrade.send().await.refusal("not_found");
        assert!(error["message"].as_str().unwrap().contains("`hub` or `all`"), "{error}");
    }
    let error = TestApp::new().get("/ws").send().await.refusal("not_found");
    assert!(error["message"].as_str().unwrap().contains("connection of its own"), "{error}");
}

#[tokio::test]
async fn a_process_of_sockets_alone_tells_how_it_is_and_where_the_rest_is() {
    let app = TestApp::new();
    let vitals = Vitals {
        engine: Arc::clone(&app.store.engine),
        port: app.port.clone(),
        cluster: None,
        metrics: Arc::new(|| "hubbub_test 1\n".to_owned()),
    };
    let hub = TestApp { router: vitals_router(vitals, Settings::default()), ..app };
    for path in ["/health", "/health/live", "/health/ready", "/metrics"] {
        let answer = hub.get(path).send().await;
        assert_eq!((answer.status, answer.header("x-content-type-options")), (StatusCode::OK, "nosniff"), "{path}");
    }
    hub.get("/metrics").at_address("203.0.113.1").send().await.refusal("not_found");
    for path in ["/", "/users/me", "/auth/login", "/limits", "/openapi.json", "/.well-known/jwks.json", "/api/health"] {
        for method in [Method::GET, Method::POST] {
            let error = hub.call(method, path).send().await.refusal("not_found");
            assert!(error["message"].as_str().unwrap().contains("`rest` or `all`"), "{path}: {error}");
        }
    }
    hub.store.engine.close().await.unwrap();
    hub.get("/health/ready").send().await.refusal("store_unavailable");
}
