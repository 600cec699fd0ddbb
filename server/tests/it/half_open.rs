//! Claims about peers that never finish a sentence: all are gone when their deadline is, and honest ones do not notice.
//!
//! BOUNDED in time: 5 seconds to a whole request head, 5 more from the upgrade to a whole login.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::client::Ping;
use hubbub_protocol::frame::server::ServerFrame;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::raw::{Raw, auth_frame, masked, upgrade};
use crate::wire::{Host, Peer, alone};

/// Peers of each kind, all at once.
const EACH: usize = 100;
/// A deadline of 5 seconds, and a second to notice it on a busy machine.
const GONE_WITHIN: Duration = Duration::from_secs(6);
/// Between two bytes of a peer that drips: often enough that waiting for the next byte alone would never end it.
const DRIP: Duration = Duration::from_millis(100);

/// The ways not to finish.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Says nothing.
    Silent,
    /// Says half of a request's head.
    HalfHead,
    /// Says a head that never ends, byte by byte.
    DrippedHead,
    /// Begins HTTP/2, which nobody here speaks.
    Http2,
    /// Asks by HTTP, is answered, and says no more.
    IdleHttp,
    /// Upgrades and says nothing.
    SilentAfterUpgrade,
    /// Upgrades and says the login byte by byte.
    DrippedLogin,
    /// Upgrades, and then pings, which show life but no login.
    PingsForLogin,
}

const KINDS: [Kind; 8] = [
    Kind::Silent,
    Kind::HalfHead,
    Kind::DrippedHead,
    Kind::Http2,
    Kind::IdleHttp,
    Kind::SilentAfterUpgrade,
    Kind::DrippedLogin,
    Kind::PingsForLogin,
];

/// Behaves like that until the server ends it; how long that took from where its deadline begins.
async fn misbehave(kind: Kind, address: SocketAddr) -> Duration {
    let mut raw = Raw::connect(address).await;
    let mut began = Instant::now();
    let mut drip: Vec<u8> = Vec::new();
    match kind {
        Kind::Silent => {}
        Kind::HalfHead => raw.write(b"GET /ws HTTP/1.1\r\nhost: localhost\r\n").await,
        Kind::DrippedHead => drip = format!("GET /ws HTTP/1.1\r\nx: {}", "a".repeat(1_000)).into_bytes(),
        Kind::Http2 => raw.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await,
        Kind::IdleHttp => {
            let answer = raw.ask("GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        Kind::SilentAfterUpgrade | Kind::DrippedLogin | Kind::PingsForLogin => {
            raw = raw.upgrade(Format::Json).await;
            began = Instant::now();
            match kind {
                Kind::DrippedLogin => drip = auth_frame(Format::Json, &"t".repeat(1_000)),
                Kind::PingsForLogin => drip = masked(crate::raw::PING, b"").repeat(1_000),
                _ => {}
            }
        }
    }
    for byte in drip {
        // Once the server has ended it, a byte is refused sooner or later; the end is read below.
        if began.elapsed() > GONE_WITHIN || !raw.try_write(&[byte], GONE_WITHIN).await {
            break;
        }
        tokio::select! {
            () = raw.ended() => return began.elapsed(),
            () = sleep(DRIP) => {}
        }
    }
    raw.ended().await;
    began.elapsed()
}

/// How long an honest client waits for an answer, at worst, while the others are there.
async fn honest(peer: &mut Peer, others: &mut JoinSet<(Kind, Duration)>) -> (Duration, Vec<(Kind, Duration)>) {
    let (mut worst, mut gone) = (Duration::ZERO, Vec::new());
    loop {
        tokio::select! {
            ended = others.join_next() => match ended {
                Some(ended) => gone.push(ended.expect("it was ended as it should be")),
                None => return (worst, gone),
            },
            () = sleep(Duration::from_millis(50)) => {
                let began = Instant::now();
                let id = peer.command();
                assert!(matches!(peer.ask(Ping { id }).await, ServerFrame::Pong(_)));
                worst = worst.max(began.elapsed());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounded_silent_half_and_dripping_peers_are_gone_within_six_seconds_and_an_honest_one_is_served() {
    let _machine = alone().await;
    let host = Host::start();
    let ann = host.person("ann").await;
    let mut peer = ann.connect(Format::Json).await;
    let mut others = JoinSet::new();
    for kind in KINDS {
        for _ in 0..EACH {
            let address = host.target.address;
            others.spawn(async move { (kind, misbehave(kind, address).await) });
        }
    }
    let (worst, gone) = honest(&mut peer, &mut others).await;
    // A login in the middle of all would be refused if those who squat took its place.
    let _another = ann.connect(Format::MessagePack).await;
    println!("half open: {} peers; the honest one waited {} ms at most", gone.len(), worst.as_millis());
    for kind in KINDS {
        let times = gone.iter().filter(|(of, _)| *of as u8 == kind as u8).map(|(_, time)| *time);
        let (count, longest) = times.fold((0, Duration::ZERO), |(count, longest), time| (count + 1, longest.max(time)));
        println!("half open: {kind:?}: {count} gone after {} ms at most", longest.as_millis());
        assert_eq!(count, EACH);
        assert!(longest < GONE_WITHIN, "BOUNDED: {kind:?} stayed for {longest:?}");
    }
    assert!(worst < Duration::from_secs(1), "BOUNDED: an honest client waited {worst:?}");
}

#[tokio::test]
async fn who_is_late_is_told_by_http_before_the_upgrade_and_by_a_close_code_after_it() {
    let host = Host::with(&["hub.head_deadline_ms=300", "hub.login_deadline_ms=300"]);
    let late_head = Raw::connect(host.target.address).await.ask("GET /ws HTTP/1.1\r\n").await;
    assert!(late_head.starts_with("HTTP/1.1 408"), "{late_head}");
    let mut late_login = Raw::connect(host.target.address).await.upgrade(Format::Json).await;
    let (frames, code) = late_login.out().await;
    assert_eq!((frames, code), (Vec::new(), 4001));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_at_once() {
    let host = Host::start();
    let mut raw = Raw::connect(host.target.address).await;
    let answer = raw.ask(&upgrade("/ws", &format!("x-large: {}\r\n", "a".repeat(20_000)))).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}
