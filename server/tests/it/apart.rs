//! Claims about processes that run apart over one CQL store: which serves what, and what passes between them.
//!
//! Needs the CQL server that `HUBBUB_TEST_CQL` names (`host:port`) and a redis-server; without them these tests are skipped,
//! loudly, and where `CI` is `true` they fail. One keyspace serves all, as making its tables takes longer than any test:
//! people's addresses are drawn anew each time.

mod kit;

use std::fs;
use std::time::{Duration, Instant};

use hubbub_domain::tokens::{KeyRing, PublicKeys};
use hubbub_loadtest::client::ClientError;
use hubbub_loadtest::client::http::Answer;
use hubbub_loadtest::client::socket::SocketOptions;
use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::client::Ping;
use hubbub_protocol::frame::server::ServerFrame;
use serde_json::{Value, json};

use self::kit::{Cluster, Process, now};
use crate::raw::upgrade;
use crate::support::answer;
use crate::wire::{Peer, event_of, message, sequences};

/// What the end of a session may take to reach its sockets on another node.
const REACHES_WITHIN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn people_who_registered_over_rest_talk_over_two_hubs_and_rest_and_are_let_out_everywhere() {
    let Some(cluster) = Cluster::start() else { return };
    let rest = cluster.rest().start();
    let (one, other) = (cluster.hub(&[&rest]).launch(), cluster.hub(&[&rest]).launch());
    let (one, other) = (one.ready(), other.ready());

    let (ann, bob) = (rest.person("ann").await, rest.person("bob").await);
    let mut at_one = ann.at(&one.target).connect(Format::Json).await;
    let mut at_other = bob.at(&other.target).connect(Format::MessagePack).await;
    let room = ann.group(&[&bob]).await;

    // Over a hub, over the other, and over REST, which has no socket: all hear all, in one order.
    let first = at_one.send(message(room, "over one")).await.unwrap();
    let second = at_other.send(message(room, "over the other")).await.unwrap();
    let third = rest.send_by_rest(&ann, room, "over REST").await;
    assert_eq!(second.get(), first.get() + 1, "GAPLESS");
    assert_eq!(third, second.get() + 1, "GAPLESS");
    for (name, peer) in [("one", &mut at_one), ("other", &mut at_other)] {
        let mut heard = Vec::new();
        while heard.len() < 3 {
            heard.extend(event_of(peer.hear().await, room).filter(|event| event.place().sequence >= first));
        }
        assert_eq!(sequences(&heard), [first.get(), second.get(), third], "IN-ORDER at {name}");
    }

    // A logout over REST reaches the socket on a hub.
    let since = Instant::now();
    rest.http().call(http::Method::POST, "/auth/logout", Some(&ann.account.token()), &json!({})).await.unwrap();
    let (frames, ending) = at_one.hear_to_the_end().await;
    assert!(since.elapsed() < REACHES_WITHIN, "MEMBERS-ONLY: it took {:?}", since.elapsed());
    assert_eq!(ending.code, Some(4004), "{ending:?} after {frames:?}");
    let id = at_other.command();
    assert!(matches!(at_other.ask(Ping { id }).await, ServerFrame::Pong(_)), "another person's goes on");
    for process in [one, other, rest] {
        let (status, log) = process.running.stop();
        assert!(status.success(), "DRAINED: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_refuses_what_is_the_others_and_says_where_it_is() {
    let Some(cluster) = Cluster::start() else { return };
    let rest = cluster.rest().start();
    let hub = cluster.hub(&[&rest]).start();
    assert!(rest.running.ready_line.contains("(role: rest, store: cql, keyspace: "), "{}", rest.running.ready_line);
    assert!(hub.running.ready_line.contains("(role: hub, store: cql, keyspace: "), "{}", hub.running.ready_line);
    for (process, path, status, words) in [
        (&hub, "/health/ready", 200, "\"ready\""),
        (&hub, "/health", 200, "\"connections\":0"),
        (&hub, "/metrics", 200, "hubbub_"),
        (&hub, "/auth/login", 404, "`rest` or `all`"),
        (&hub, "/conversations", 404, "`rest` or `all`"),
        (&hub, "/.well-known/jwks.json", 404, "`rest` or `all`"),
        (&hub, "/openapi.json", 404, "`rest` or `all`"),
        (&rest, "/health/ready", 200, "\"ready\""),
        (&rest, "/.well-known/jwks.json", 200, "\"Ed25519\""),
        (&rest, "/metrics", 200, "hubbub_"),
        (&rest, "/ws", 404, "`hub` or `all`"),
    ] {
        let answer = process.running.get(path);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(words), "{path}: {answer}");
    }
    for door in ["/ws", "/ws/human", "/ws/agent"] {
        let mut stream = rest.running.connect();
        std::io::Write::write_all(&mut stream, upgrade(door, "").as_bytes()).unwrap();
        drop(stream.shutdown(std::net::Shutdown::Write));
        let answer = answer(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("`hub` or `all`"), "{answer}");
    }
    // A hub has no key that signs: neither made nor read.
    assert!(!hub.data().exists(), "a hub keeps nothing in a folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_starts_first_waits_for_the_keys_and_one_that_waits_in_vain_says_so() {
    let Some(cluster) = Cluster::start() else { return };
    let address = format!("127.0.0.1:{}", free_port());
    let jwks = format!("keys.jwks=http://{address}/.well-known/jwks.json");
    let vain = cluster.process("hub").set(&jwks).set("keys.wait_ms=300").run();
    assert_eq!(vain.code, Some(1));
    let last = vain.stderr.lines().last().unwrap();
    assert!(last.contains("public keys of logins cannot be had") && last.contains(&address), "{}", vain.stderr);

    let hub = cluster.process("hub").set(&jwks).launch();
    hub.running.wait_for_log("cannot be had yet");
    let rest = cluster.rest().listen(&address).start();
    let hub = hub.ready();
    let ann = rest.person("ann").await;
    ann.at(&hub.target).connect(Format::Json).await.close().await;
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn enters(hub: &Process, token: &str) -> Result<(), String> {
    let options = SocketOptions { format: Format::Json, ..SocketOptions::default() };
    match Peer::login(&hub.target, &options, token, &[]).await {
        Ok(peer) => {
            peer.close().await;
            Ok(())
        }
        Err(ClientError::LoginRefused(reason)) => Err(reason),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_logins_is_changed_under_a_hub_that_runs_and_nobody_is_logged_out() {
    let Some(cluster) = Cluster::start() else { return };
    let old = cluster.secret("old.key");
    let new = cluster.secret("new.key");
    let rest_with = |file: &str, previous: &str| {
        cluster.process("rest").set(&format!("keys.file={file}")).set(&format!("keys.previous_file={previous}"))
    };
    let first = rest_with(&old, "").start();
    let address = first.running.address().to_owned();
    let hub = cluster.hub(&[&first]).start();
    let ann = first.login("ann").await;
    assert_eq!(enters(&hub, &ann.access).await, Ok(()));
    assert!(first.running.stop().0.success());

    // The new key signs, and the old one's logins are taken: access tokens at the hub and at REST, and refresh tokens.
    let second = rest_with(&new, &old).listen(&address).start();
    assert_eq!(enters(&hub, &ann.access).await, Ok(()), "a login of before");
    let me: Answer<Value> = second.http().get("/auth/me", Some(&ann.access)).await.unwrap();
    assert_eq!(me.data["user_id"], ann.answer["user_id"]);
    let renewed = second.refresh(&ann).await.unwrap();
    assert_eq!(enters(&hub, &renewed.access).await, Ok(()), "under a key that the hub meets here, and fetches at once");
    assert!(second.running.stop().0.success());

    // The old key is gone, once the hub has looked again.
    let third = rest_with(&new, "").listen(&address).start();
    assert_eq!(enters(&hub, &ann.access).await, Ok(()), "good until the set is looked at again");
    let stranger = KeyRing::generate().unwrap();
    let unknown = stranger.issue(&renewed.caller(), now()).unwrap();
    assert_eq!(
        enters(&hub, &unknown).await,
        Err("invalid_token".to_owned()),
        "a stranger's key, for which it looks again"
    );
    assert_eq!(enters(&hub, &ann.access).await, Err("invalid_token".to_owned()), "gone from the set");
    assert_eq!(enters(&hub, &renewed.access).await, Ok(()));
    // Without anybody to ask, what is known stays good, and what is not may be.
    assert!(third.running.stop().0.success());
    assert_eq!(enters(&hub, &renewed.access).await, Ok(()));
    assert_eq!(enters(&hub, &unknown).await, Err("overloaded".to_owned()), "HONEST");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_takes_its_keys_from_a_file_too() {
    let Some(cluster) = Cluster::start() else { return };
    let rest = cluster.rest().start();
    let served = rest.running.get("/.well-known/jwks.json");
    let set = served.split("\r\n\r\n").nth(1).unwrap();
    PublicKeys::from_jwks(set.as_bytes()).unwrap();
    let file = cluster.folder().join("jwks.json");
    fs::write(&file, set).unwrap();
    let hub = cluster.process("hub").set(&format!("keys.jwks={}", file.display())).start();
    let ann = rest.login("ann").await;
    assert_eq!(enters(&hub, &ann.access).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_all_are_degraded_and_ready_and_sends_go_on() {
    let Some(mut cluster) = Cluster::start() else { return };
    let rest = cluster.rest().start();
    let hub = cluster.hub(&[&rest]).start();
    let ann = rest.person("ann").await;
    let room = ann.group(&[]).await;
    let mut peer = ann.at(&hub.target).connect(Format::Json).await;
    for process in [&rest, &hub] {
        process.wait_until_ready_says("\"ready\"");
    }
    cluster.redis.kill().unwrap();
    for process in [&rest, &hub] {
        let answer = process.wait_until_ready_says("\"degraded\"");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("[\"bus_down\"]"), "{answer}");
    }
    peer.send(message(room, "without")).await.expect("REDIS-FREE TRUTH: sends go on");
    rest.send_by_rest(&ann, room, "without, by REST").await;
    cluster.redis.restart().unwrap();
    for process in [&rest, &hub] {
        process.wait_until_ready_says("\"ready\"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_starts_without_redis_serves_and_joins_when_it_can() {
    let Some(mut cluster) = Cluster::start() else { return };
    cluster.redis.kill().unwrap();
    let rest = cluster.rest().start();
    rest.wait_until_ready_says("\"degraded\"");
    rest.person("ann").await;
    cluster.redis.restart().unwrap();
    rest.wait_until_ready_says("\"ready\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_rest_processes_keep_one_limit_of_rates_and_each_its_own_without_redis() {
    let Some(mut cluster) = Cluster::start() else { return };
    let limited = || cluster.rest().set("rest.auth_per_minute=6").set("hub.exempt_loopback=false");
    let (one, other) = (limited().launch(), limited().launch());
    let (one, other) = (one.ready(), other.ready());
    for process in [&one, &other] {
        process.wait_until_ready_says("\"ready\"");
    }
    let mut let_in = 0;
    for _ in 0..6 {
        for process in [&one, &other] {
            let_in += u32::from(guess(process).await == 401);
        }
    }
    // Six, but for those whose count was not told in time.
    assert!((6..12).contains(&let_in), "{let_in} were let in, of twelve that each alone would let in");
    cluster.redis.kill().unwrap();
    let begun = Instant::now();
    assert!([401, 429].contains(&guess(&one).await));
    assert!(begun.elapsed() < Duration::from_secs(1), "no answer of Redis is waited for: {:?}", begun.elapsed());
}

/// Tries a refresh token that is none; answers the status.
async fn guess(process: &Process) -> u16 {
    let body = json!({"refresh_token": "nonsense"});
    let guessed: Result<Answer<Value>, _> = process.http().post("/auth/refresh", None, &body).await;
    match guessed {
        Err(ClientError::Refused { status, .. }) => status,
        other => panic!("{:?}", other.map(|answer| answer.data)),
    }
}
