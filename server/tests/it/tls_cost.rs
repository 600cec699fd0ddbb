//! What TLS costs, beside plain sockets of the same server: memory of an idle socket, CPU of a connect and of a delivery.
//!
//! With the other tests it shows that both kinds are served beside each other, and that who comes back is known again. As a
//! measurement it is run by hand, on a machine that does nothing else, with a server as it is shipped:
//! `HUBBUB_TLS_COST=1500 HUBBUB_BINARY=target/release/hubbub cargo test -p hubbub-server --test it tls_cost -- --nocapture`

use std::time::{Duration, Instant};

use hubbub_loadtest::client::account::Account;
use hubbub_loadtest::client::http::Target;
use hubbub_protocol::codec::Format;
use rustls::HandshakeKind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use crate::raw::Raw;
use crate::support::{Hubbub, Running, new_data};
use crate::tls::{Trust, over};
use crate::wire::message;

/// Messages that each socket gets.
const MESSAGES: u32 = 60;
const PAYLOAD_BYTES: usize = 150;

/// Sockets of each kind: so many as are asked for, else a few.
fn sockets_each() -> u32 {
    std::env::var("HUBBUB_TLS_COST").map_or(20, |asked| asked.parse().expect("a number of sockets"))
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}
type Any = Raw<Box<dyn Stream>>;

/// User and system time of the server, and its resident bytes.
fn spent(server: &Running) -> (Duration, u64) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", server.pid())).unwrap();
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    let status = read("status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    (Duration::from_millis(ticks * 10), resident * 1024)
}

/// A socket, over TLS if there is somebody to speak it.
async fn socket(target: &Target, tls: Option<&TlsConnector>, token: &str) -> Any {
    let tcp = TcpStream::connect(target.address).await.unwrap();
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(tcp),
        Some(tls) => Box::new(over(tls, tcp).await.unwrap().into_stream()),
    };
    Raw::over(stream).enter(Format::MessagePack, token).await
}

/// Opens sockets and answers what they cost: CPU each, bytes each.
async fn open(server: &Running, target: &Target, tls: Option<&TlsConnector>, token: &str) -> (Vec<Any>, f64, u64) {
    let before = spent(server);
    let mut sockets = Vec::new();
    for _ in 0..sockets_each() {
        sockets.push(socket(target, tls, token).await);
    }
    sleep(Duration::from_millis(1_500)).await;
    let after = spent(server);
    let cpu = after.0.saturating_sub(before.0).as_secs_f64() * 1e6 / f64::from(sockets_each());
    (sockets, cpu, after.1.saturating_sub(before.1) / u64::from(sockets_each()))
}

/// Has all of them hear all messages; CPU of each delivery, in microseconds.
async fn deliver(server: &Running, account: &Account, target: &Target, sockets: Vec<Any>) -> f64 {
    let conversation = account.create_group(&mut account.http(), "Crew", &[]).await.unwrap();
    let (stop, stopped) = watch::channel(());
    let mut readers = JoinSet::new();
    for mut socket in sockets {
        let mut stopped = stopped.clone();
        readers.spawn(async move {
            let mut heard = 0;
            while heard < MESSAGES {
                let frame = socket.frame().await.expect("it goes on");
                heard += u32::from(matches!(frame, hubbub_protocol::frame::server::ServerFrame::MessageNew(_)));
            }
            drop(stopped.changed().await);
        });
    }
    let mut sender = socket(target, None, &account.token()).await;
    sleep(Duration::from_secs(2)).await;
    let before = spent(server);
    for _ in 0..MESSAGES {
        sender.say(message(conversation, vec![7; PAYLOAD_BYTES])).await;
        sleep(Duration::from_millis(60)).await;
    }
    sleep(Duration::from_secs(2)).await;
    let after = spent(server);
    drop(stop);
    while readers.join_next().await.is_some() {}
    after.0.saturating_sub(before.0).as_secs_f64() * 1e6 / f64::from(MESSAGES * sockets_each())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn plain_and_tls_are_served_beside_each_other_and_who_comes_back_is_known_by_a_ticket() {
    let trust = Trust::new();
    let (_folder, data) = new_data();
    let mut hubbub = Hubbub::serve(&data).args(&["--store", "memory"]);
    for setting in trust.settings().iter().map(String::as_str).chain([
        "rest.auth_per_minute=0",
        "rest.general_per_minute=0",
        "hub.max_connections_per_user=100000",
        "hub.heartbeat_ms=600000",
        "hub.dead_after_ms=1200000",
    ]) {
        hubbub = hubbub.set(setting);
    }
    if let Ok(binary) = std::env::var("HUBBUB_BINARY") {
        hubbub = hubbub.within(["sh".to_owned(), "-c".to_owned(), format!("exec '{binary}' \"$@\"")]);
    }
    let server = hubbub.start();
    let target = Target::from(server.address().parse::<std::net::SocketAddr>().unwrap());
    let began = Instant::now();
    let email = "memory@example.org";
    let account = Account::register(&target, None, email, "ann").await.unwrap();
    let (whole, mut kept) = (trust.client_without_tickets(), Vec::new());
    // Nothing is let go in between, so that no kind gets the other's memory; the first of each are not counted.
    for kind in ["plain at first", "tls at first", "plain", "tls"] {
        let client = kind.starts_with("tls").then_some(&whole);
        let (sockets, _, bytes) = open(&server, &target, client, &account.token()).await;
        kept.push(sockets);
        println!("{kind}: {bytes} bytes resident an idle socket");
    }
    drop(kept);
    // Once around before anything is counted, so that neither kind pays for the other's first touch.
    for round in 0..if sockets_each() > 100 { 3 } else { 1 } {
        for kind in ["plain", "tls", "tls, returning"] {
            let email = format!("{round}-{}@example.org", kind.replace([',', ' '], ""));
            let account = Account::register(&target, None, &email, "ann").await.unwrap();
            let client = match kind {
                "plain" => None,
                "tls" => Some(trust.client_without_tickets()),
                _ => Some(trust.client(&rustls::version::TLS13)),
            };
            if kind == "tls, returning" {
                let tcp = || TcpStream::connect(target.address);
                let first = over(client.as_ref().unwrap(), tcp().await.unwrap()).await.unwrap();
                drop(first.enter(Format::MessagePack, &account.token()).await);
                let second = over(client.as_ref().unwrap(), tcp().await.unwrap()).await.unwrap();
                assert_eq!(second.stream().get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
            }
            let (sockets, connect, _) = open(&server, &target, client.as_ref(), &account.token()).await;
            let delivery = deliver(&server, &account, &target, sockets).await;
            println!(
                "round {round}, {kind}: {connect:.0} us CPU a connect, {delivery:.2} us CPU a delivery ({:.0} s)",
                began.elapsed().as_secs_f64()
            );
            sleep(Duration::from_secs(1)).await;
        }
    }
}
