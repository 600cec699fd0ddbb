//! Claims about what settings do: each reaches the part that it is about, and is felt from outside.

use std::time::Duration;

use hubbub_hub::HubConfig;
use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::server::ServerFrame;
use hubbub_server::config::{
    ClusterSection, Config, CookieSecure, CqlSection, KeySource, KeysSection, RedisSection, RestSection, Secret,
    Setting, Sources, StopSection, TlsSection,
};
use rustix::process::Signal;
use serde_json::Value;

use crate::raw::Raw;
use crate::support::{Hubbub, new_data};
use crate::wire::Host;

const ASK: &str = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A connection that was answered with this status, and stays where it was taken.
async fn answered(host: &Host, status: &str) -> Raw {
    let mut raw = Raw::connect(host.target.address).await;
    let answer = raw.ask(ASK).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    raw
}

#[test]
fn every_setting_of_the_hub_of_rest_of_tls_and_of_the_stop_reaches_its_own_field() {
    let given = [
        ("allowed_origins", "https://a.example"),
        ("hub.shards", "3"),
        ("hub.max_connections", "1001"),
        ("hub.max_connections_per_address", "1002"),
        ("hub.max_connections_per_user", "1003"),
        ("hub.max_pending", "1004"),
        ("hub.max_outbox_bytes", "200005"),
        ("hub.max_idle_conversations", "1006"),
        ("hub.exempt_loopback", "false"),
        ("hub.head_deadline_ms", "1007"),
        ("hub.login_deadline_ms", "1008"),
        ("hub.heartbeat_ms", "1009"),
        ("hub.dead_after_ms", "1010"),
        ("hub.reconnect_window_ms", "1011"),
        ("hub.handover_window_ms", "1018"),
        ("rest.auth_per_minute", "1012"),
        ("rest.general_per_minute", "1013"),
        ("rest.deadline_ms", "1015"),
        ("rest.body_deadline_ms", "1014"),
        ("rest.cookie_secure", "always"),
        ("stop.drain_ms", "1016"),
        ("stop.grace_ms", "1017"),
        ("tls.certificate_file", "c"),
        ("tls.key_file", "k"),
        ("tls.allow_plain", "true"),
    ];
    let sources = given.iter().fold(Sources::default(), |sources, (key, value)| sources.flag("--set", key, *value));
    let (config, settings) = Config::load(sources).unwrap();
    // All fields are written out, so that a new one is missed here.
    let hub = HubConfig {
        shards: 3,
        max_connections: 1_001,
        max_connections_per_address: 1_002,
        exempt_loopback: false,
        max_connections_per_user: 1_003,
        max_pending: 1_004,
        allowed_origins: vec!["https://a.example".to_owned()],
        head_deadline: Duration::from_millis(1_007),
        login_deadline: Duration::from_millis(1_008),
        heartbeat: Duration::from_millis(1_009),
        dead_after: Duration::from_millis(1_010),
        max_outbox_bytes: 200_005,
        reconnect_window: Duration::from_millis(1_011),
        handover_window: Duration::from_millis(1_018),
        max_idle_conversations: 1_006,
    };
    let rest = RestSection {
        auth_per_minute: Some(1_012),
        general_per_minute: Some(1_013),
        deadline: Duration::from_millis(1_015),
        body_deadline: Duration::from_millis(1_014),
        cookie_secure: CookieSecure::Always,
    };
    let stop = StopSection { drain: Duration::from_millis(1_016), grace: Duration::from_millis(1_017) };
    let tls = TlsSection { certificate_file: Some("c".into()), key_file: Some("k".into()), allow_plain: true };
    assert_eq!((config.hub, config.rest, config.stop, config.tls), (hub, rest, stop, tls));
    assert_all_held(&settings, &given, &["cluster", "cql", "keys", "log", "redis"]);
}

/// A new setting of a section that others do not hold is missed.
fn assert_all_held(settings: &[Setting], given: &[(&str, &str)], of_others: &[&str]) {
    for setting in settings {
        let held = given.iter().any(|(key, _)| *key == setting.key);
        let (section, _) = setting.key.split_once('.').unwrap_or(("log", ""));
        assert!(held || of_others.contains(&section), "{} is not held by this test", setting.key);
    }
}

#[test]
fn every_setting_of_a_cluster_reaches_its_own_field() {
    let given = [
        ("store", "cql"),
        ("cql.nodes", "a, b:9043"),
        ("cql.keyspace", "k"),
        ("cql.replication", "2"),
        ("cql.datacenter", "d"),
        ("cql.user", "u"),
        ("cql.password", ""),
        ("cql.password_file", "p"),
        ("cql.wait_ms", "1001"),
        ("redis.url", "redis://r"),
        ("redis.prefix", "x"),
        ("cluster.secret_file", "s"),
        ("keys.file", "f"),
        ("keys.previous_file", "g"),
        ("keys.jwks", "http://h/i, j"),
        ("keys.wait_ms", "1002"),
    ];
    let sources = given.iter().fold(Sources::default(), |sources, (key, value)| sources.flag("--set", key, *value));
    let (config, settings) = Config::load(sources).unwrap();
    let cql = CqlSection {
        nodes: vec!["a".to_owned(), "b:9043".to_owned()],
        keyspace: "k".to_owned(),
        replication: Some(2),
        datacenter: Some("d".to_owned()),
        user: Some("u".to_owned()),
        password: None,
        password_file: Some("p".into()),
        wait: Duration::from_millis(1_001),
    };
    let redis = RedisSection { url: Some(Secret::new("redis://r".to_owned())), prefix: "x".to_owned() };
    let cluster = ClusterSection { secret_file: Some("s".into()) };
    let keys = KeysSection {
        file: Some("f".into()),
        previous_file: Some("g".into()),
        jwks: vec![KeySource::Http { authority: "h".to_owned(), path: "/i".to_owned() }, KeySource::File("j".into())],
        wait: Duration::from_millis(1_002),
    };
    assert_eq!((config.cql, config.redis, config.cluster, config.keys), (cql, redis, cluster, keys));
    assert_all_held(&settings, &given, &["hub", "log", "rest", "stop", "tls"]);
}

#[tokio::test]
async fn bounded_the_connection_above_hub_max_connections_is_answered_503_and_a_free_place_is_given_anew() {
    let host = Host::with(&["hub.max_connections=2"]);
    let (_one, mut other) = (answered(&host, "200").await, answered(&host, "200").await);
    answered(&host, "503").await;
    let last = other.ask(&ASK.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
    assert!(last.contains("HTTP/1.1 200"), "after the body of the answer before: {last}");
    other.ended().await;
    // The place is free a moment after the end was heard.
    while !Raw::connect(host.target.address).await.ask(ASK).await.starts_with("HTTP/1.1 200") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn bounded_an_address_has_its_limits_and_this_machine_has_them_unless_it_is_exempt() {
    let limits = ["hub.max_connections_per_address=1", "rest.auth_per_minute=1"];
    let exempt = Host::with(&limits);
    let _kept = [answered(&exempt, "200").await, answered(&exempt, "200").await];
    for _ in 0..2 {
        let refused = exempt.server.post("/auth/refresh", r#"{"refresh_token":"nonsense"}"#);
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    }

    let host = Host::with(&[limits[0], limits[1], "hub.exempt_loopback=false"]);
    let body = r#"{"refresh_token":"nonsense"}"#;
    let head = "POST /auth/refresh HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let refresh = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let mut only = answered(&host, "200").await;
    answered(&host, "503").await;
    for (status, code) in [("401", "invalid_token"), ("429", "rate_limited")] {
        let answer = only.ask(&refresh).await;
        // The body of the answer before comes first.
        assert!(answer.contains(&format!("HTTP/1.1 {status}")), "{code}: {answer}");
    }
}

#[tokio::test]
async fn bounded_who_comes_above_hub_max_pending_waits_until_a_place_is_free() {
    let host = Host::with(&["hub.max_pending=1", "hub.head_deadline_ms=600000"]);
    // Connections are accepted in the order in which they came.
    let silent = Raw::connect(host.target.address).await;
    let waits = tokio::spawn({
        let mut raw = Raw::connect(host.target.address).await;
        async move { raw.ask(ASK).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waits.is_finished(), "BOUNDED: one is pending, and no more");
    silent.reset();
    let answer = waits.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn bounded_a_socket_that_is_silent_for_hub_dead_after_ms_is_closed() {
    let host = Host::with(&["hub.heartbeat_ms=100", "hub.dead_after_ms=400"]);
    let ann = host.person("ann").await;
    let mut raw = Raw::login(&host.target, Format::Json, &ann.account.token()).await;
    // Never a pong.
    let (_, code) = raw.out().await;
    assert_eq!(code, 4006, "BOUNDED: whoever is silent is taken for dead");
}

#[tokio::test]
async fn drained_clients_are_asked_back_within_hub_reconnect_window_ms() {
    const WINDOW_MS: u64 = 100;
    let host = Host::with(&["hub.reconnect_window_ms=100"]);
    let ann = host.person("ann").await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(Raw::login(&host.target, Format::Json, &ann.account.token()).await);
    }
    host.server.signal(Signal::TERM);
    for mut raw in sockets {
        let (frames, _) = raw.out().await;
        let waits = frames.into_iter().find_map(|frame| match frame {
            ServerFrame::GoingAway(going) => Some(going.reconnect_after_ms),
            _ => None,
        });
        assert!(waits.expect("DRAINED: it is told") < WINDOW_MS);
    }
}

#[tokio::test]
async fn as_many_shards_run_as_hub_shards_says() {
    for shards in ["1", "3"] {
        let host = Host::with(&[&format!("hub.shards={shards}")]);
        let threads = std::fs::read_dir(format!("/proc/{}/task", host.server.pid())).unwrap();
        let names = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
        assert_eq!(names.filter(|name| name.starts_with("shard-")).count().to_string(), shards);
    }
}

#[tokio::test]
async fn the_limits_that_can_be_set_are_told_as_they_were_set() {
    let host = Host::with(&[
        "hub.max_outbox_bytes=200001",
        "hub.head_deadline_ms=2002",
        "hub.login_deadline_ms=2003",
        "hub.heartbeat_ms=2004",
    ]);
    let answer = host.server.get("/limits");
    let told: Value = serde_json::from_str(answer.rsplit("\r\n\r\n").next().unwrap()).unwrap();
    for (limit, value) in [
        ("max_outbox_bytes", 200_001),
        ("head_deadline_ms", 2_002),
        ("login_deadline_ms", 2_003),
        ("heartbeat_ms", 2_004),
    ] {
        assert_eq!(told["data"][limit], value, "{limit}");
    }
}

#[test]
fn deadlines_rates_and_the_cookie_of_rest_are_as_they_were_set() {
    let (_folder, data) = new_data();
    let server = Hubbub::serve(&data)
        .set("rest.body_deadline_ms=100")
        .set("rest.general_per_minute=1")
        .set("rest.cookie_secure=always")
        .start();
    let slow = "POST /auth/login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
                content-length: 50\r\n\r\n";
    let answer = server.http(slow);
    assert!(answer.contains("request_timeout"), "{answer}");
    let body = r#"{"email":"ann@example.org","password":"correct horse battery","display_name":"Ann"}"#;
    let answer = server.post("/auth/register", body);
    assert!(answer.contains("set-cookie: __Host-hubbub_refresh="), "{answer}");
    let body: Value = serde_json::from_str(answer.rsplit("\r\n\r\n").next().unwrap()).unwrap();
    let token = body["data"]["access_token"].as_str().unwrap();
    let asked = format!(
        "GET /users/me HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    for status in ["200", "429"] {
        let answer = server.http(&asked);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}
