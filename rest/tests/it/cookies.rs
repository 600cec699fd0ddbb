//! The refresh cookie: its flags, and that no page of another site can use it.

use axum::http::StatusCode;
use hubbub_rest::{CookieSecure, RateLimits, Settings};
use serde_json::json;

use crate::app::{Answer, Call, PASSWORD, Person, TestApp};

const LISTED: &str = "https://chat.example";

fn app(cookie_secure: CookieSecure) -> TestApp {
    TestApp::with(Settings {
        rate_limits: RateLimits { auth_per_minute: None, general_per_minute: None, exempt_loopback: false },
        allowed_origins: vec![LISTED.to_owned()],
        cookie_secure,
        ..Settings::default()
    })
}

fn register(app: &TestApp) -> Call {
    let body = json!({"email": "ada@example.org", "account_password": PASSWORD, "display_name": "Ada"});
    app.post("/auth/register", &body)
}

/// `name=value` of the cookie that was set.
fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_cookie_is_out_of_the_reach_of_scripts_and_other_sites() {
    let app = app(CookieSecure::Always);
    let answer = register(&app).send().await;
    let line = answer.header("set-cookie").to_owned();
    let (value, flags) = line.split_once(';').unwrap();
    assert!(value.starts_with("__Host-hubbub_refresh="));
    assert_eq!(flags, " HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000; Secure");
    assert!(
        !answer.text().contains(value.trim_start_matches("__Host-hubbub_refresh=")),
        "the token is in the cookie alone"
    );
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
}

#[tokio::test]
async fn only_plain_loopback_goes_without_secure() {
    for (peer, host, forwarded, secure) in [
        ("127.0.0.1", "localhost:8080", None, false),
        ("::1", "[::1]:8080", None, false),
        ("127.0.0.1", "127.0.0.1:8080", None, false),
        ("203.0.113.9", "localhost:8080", None, true),
        ("127.0.0.1", "hub.example", None, true),
        ("127.0.0.1", "localhost.evil.example", None, true),
        ("127.0.0.1", "localhost", Some("https"), true),
    ] {
        let app = app(CookieSecure::UnlessLoopback);
        let body = json!({"email": "ada@example.org", "account_password": PASSWORD, "display_name": "Ada"});
        let request = axum::http::Request::builder().method("POST").uri("/auth/register").header("host", host);
        let call = app.post("/auth/register", &body).request(request).at_address(peer);
        let call = forwarded.into_iter().fold(call, |call, proto| call.header("x-forwarded-proto", proto));
        let answer = call.json(&body).send().await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let line = answer.header("set-cookie");
        assert_eq!(line.contains("; Secure"), secure, "{peer} {host} {forwarded:?}");
        assert_eq!(line.starts_with("__Host-"), secure, "{peer} {host} {forwarded:?}");
        assert!(line.trim_start_matches("__Host-").starts_with("hubbub_refresh="), "{line}");
    }
}

#[tokio::test]
async fn a_cookie_that_a_neighbouring_name_could_have_set_is_never_believed() {
    for (cookie_secure, believed, other) in [
        (CookieSecure::Always, "__Host-hubbub_refresh", "hubbub_refresh"),
        (CookieSecure::UnlessLoopback, "hubbub_refresh", "__Host-hubbub_refresh"),
    ] {
        let app = app(cookie_secure);
        let cookie = cookie_of(&register(&app).send().await);
        let (name, token) = cookie.split_once('=').unwrap();
        assert_eq!(name, believed);
        let refresh = |cookie: &str| app.post("/auth/refresh", &json!({})).header("cookie", cookie).send();
        for planted in [format!("{other}={token}"), format!("x{believed}={token}"), format!("theme=\"{cookie}\"")] {
            refresh(&planted).await.refusal("missing_token");
        }
        // What was planted before ours does not stand in its way either.
        refresh(&format!("{other}=nonsense; {cookie}")).await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn a_browser_refreshes_by_cookie_with_an_empty_body() {
    let app = app(CookieSecure::Always);
    let first = cookie_of(&register(&app).send().await);
    let answer = app.post("/auth/refresh", &json!({})).raw("application/json", "").header("cookie", &first);
    // The content type was set twice: the first counts, both are JSON.
    let answer = answer.send().await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let second = cookie_of(&answer);
    assert_ne!(first, second);
    assert_eq!(Person::of(&answer.json()).refresh_token, "", "what came by cookie stays in the cookie");
    let others = format!("theme=dark; {second}; lang=de");
    app.post("/auth/refresh", &json!({})).header("cookie", &others).send().await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_useless_cookie_is_taken_away() {
    let app = app(CookieSecure::Always);
    let answer = app.post("/auth/refresh", &json!({})).header("cookie", "__Host-hubbub_refresh=nonsense").send().await;
    answer.refusal("invalid_token");
    assert!(answer.header("set-cookie").starts_with("__Host-hubbub_refresh=; "));
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
}

#[tokio::test]
async fn no_page_of_another_site_can_refresh_log_in_or_register() {
    let app = app(CookieSecure::Always);
    let cookie = cookie_of(&register(&app).send().await);
    let refresh = || app.post("/auth/refresh", &json!({})).header("cookie", &cookie);
    refresh().header("origin", "https://evil.example").send().await.refusal("origin_refused");
    refresh().header("origin", "null").send().await.refusal("origin_refused");
    refresh().header("sec-fetch-site", "cross-site").send().await.refusal("origin_refused");
    refresh().header("sec-fetch-site", "same-site").send().await.refusal("origin_refused");
    register(&app).header("origin", "https://evil.example").send().await.refusal("origin_refused");

    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let call = app.call(axum::http::Method::POST, "/auth/refresh").header("cookie", &cookie);
        call.raw(content_type, "{}").send().await.refusal("unsupported_type");
    }

    let cookie = cookie_of(&refresh().header("origin", LISTED).send().await);
    let own = app.post("/auth/refresh", &json!({})).header("cookie", &cookie).header("origin", "http://localhost:8080");
    own.header("sec-fetch-site", "same-origin").send().await.expect(StatusCode::OK);
}

#[tokio::test]
async fn cors_knows_its_list_and_nothing_else() {
    let app = app(CookieSecure::Always);
    for (origin, allowed) in [
        (LISTED, true),
        ("https://evil.example", false),
        ("https://chat.example.evil.example", false),
        ("https://sub.chat.example", false),
        ("http://chat.example", false),
        ("https://chat.example:444", false),
        ("null", false),
        ("*", false),
    ] {
        let preflight = app.call(axum::http::Method::OPTIONS, "/users/me").header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "PATCH").send().await;
        let refused = app.get("/users/me").header("origin", origin).send().await;
        refused.refusal("missing_token");
        for answer in [preflight, refused] {
            let told = answer.header("access-control-allow-origin");
            assert_eq!(told, if allowed { origin } else { "" }, "exact, never * or reflected");
        }
    }
}
