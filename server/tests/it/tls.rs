//! Claims about TLS: the same door, the same promises, with a client's TLS that is not the server's own code.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::server::{GoingAwayReason, ServerFrame};
use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};
use rustix::process::Signal;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::raw::{CLOSE, Raw, masked, narrow, opcode};
use crate::support::{Hubbub, PATIENCE, new_data};
use crate::wire::{Host, event_of, message};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
const ASK: &str = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A certificate in files, and clients that trust it.
pub(crate) struct Trust {
    folder: TempDir,
    certificate: CertificateDer<'static>,
}

impl Trust {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = renew(folder.path());
        Self { folder, certificate }
    }

    fn files(&self) -> [PathBuf; 2] {
        ["cert.pem", "key.pem"].map(|name| self.folder.path().join(name))
    }

    pub(crate) fn settings(&self) -> [String; 2] {
        let [certificate, key] = self.files().map(|path| path.display().to_string());
        [format!("tls.certificate_file={certificate}"), format!("tls.key_file={key}")]
    }

    fn host(&self, settings: &[&str]) -> Host {
        let own = self.settings();
        let settings: Vec<&str> = own.iter().map(String::as_str).chain(settings.iter().copied()).collect();
        Host::with(&settings)
    }

    pub(crate) fn client(&self, version: &'static SupportedProtocolVersion) -> TlsConnector {
        TlsConnector::from(Arc::new(self.client_config(version)))
    }

    /// One that makes a whole handshake every time.
    pub(crate) fn client_without_tickets(&self) -> TlsConnector {
        let mut config = self.client_config(&TLS13);
        config.resumption = Resumption::disabled();
        TlsConnector::from(Arc::new(config))
    }

    fn client_config(&self, version: &'static SupportedProtocolVersion) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }

    async fn connect(&self, host: &Host) -> Raw<TlsStream<TcpStream>> {
        over(&self.client(&TLS13), TcpStream::connect(host.target.address).await.unwrap()).await.expect("a handshake")
    }
}

pub(crate) async fn over(client: &TlsConnector, tcp: TcpStream) -> std::io::Result<Raw<TlsStream<TcpStream>>> {
    Ok(Raw::over(client.connect(ServerName::try_from("localhost").unwrap(), tcp).await?))
}

/// A new pair in this folder.
fn renew(folder: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    put(folder, "cert.pem", &cert.pem());
    put(folder, "key.pem", &signing_key.serialize_pem());
    cert.der().clone()
}

fn put(folder: &Path, name: &str, text: &str) {
    let (path, new) = (folder.join(name), folder.join("new"));
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::rename(&new, path).unwrap();
}

#[tokio::test]
async fn https_and_wss_come_in_by_the_port_of_plain_http_and_are_the_same_inside() {
    let trust = Trust::new();
    let host = trust.host(&[]);
    assert!(host.server.ready_line.contains("https://"), "{}", host.server.ready_line);
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let conversation = ann.group(&[&ben]).await;
    let mut plain = ann.connect(Format::Json).await;
    plain.replay(conversation).await;
    for (version, format) in [(BOTH[0], Format::Json), (BOTH[1], Format::MessagePack)] {
        let client = trust.client(version);
        let connect = || TcpStream::connect(host.target.address);
        let mut http = over(&client, connect().await.unwrap()).await.unwrap();
        assert_eq!(http.stream().get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert!(http.ask(ASK).await.starts_with("HTTP/1.1 200"));
        // Its ticket is read by now, and the next handshake is a short one.
        let again = over(&client, connect().await.unwrap()).await.unwrap();
        assert_eq!(again.stream().get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed), "{version:?}");

        let mut secure = again.enter(format, &ben.account.token()).await;
        while !matches!(secure.frame().await.expect("it goes live"), ServerFrame::Live(_)) {}
        secure.say(message(conversation, vec![7; 30_000])).await;
        let heard = plain.hear_until(|frame| event_of(frame, conversation)).await;
        let place = heard.place().sequence;
        while !matches!(
            secure.frame().await.expect("its own event"),
            ServerFrame::MessageNew(event) if event.conversation_seq == place
        ) {}
    }
}

#[tokio::test]
async fn a_login_over_tls_gets_a_secure_cookie_from_this_machine_too() {
    let trust = Trust::new();
    let host = trust.host(&[]);
    let register = |name: &str| {
        let body = format!(
            r#"{{"email":"{name}@example.org","account_password":"correct horse battery","display_name":"A"}}"#
        );
        format!(
            "POST /auth/register HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let secure = trust.connect(&host).await.ask(&register("tls")).await;
    assert!(secure.contains("__Host-hubbub_refresh=") && secure.contains("; Secure"), "{secure}");
    let plain = Raw::connect(host.target.address).await.ask(&register("plain")).await;
    assert!(plain.contains("set-cookie: hubbub_refresh="), "{plain}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounded_a_slow_reader_over_tls_is_closed_with_a_resume_point_and_no_frame_is_cut() {
    let trust = Trust::new();
    let host = trust.host(&["hub.max_outbox_bytes=300000"]);
    let (ann, sid) = (host.person("ann").await, host.person("sid").await);
    let conversation = ann.group(&[&sid]).await;
    let tcp = narrow(host.target.address, 4_096).await;
    let mut slow = over(&trust.client(&TLS13), tcp).await.unwrap().enter(Format::Json, &sid.account.token()).await;
    let mut sender = ann.connect(Format::Json).await;
    let give_up = Instant::now() + PATIENCE;
    while host.metric("hubbub_closed_total", "slow_reader") == 0 {
        assert!(Instant::now() < give_up, "BOUNDED: it was never closed");
        for _ in 0..20 {
            sender.send(message(conversation, vec![b'x'; 40_000])).await.expect("only the slow one is hurt");
        }
    }
    let (frames, code) = slow.out().await;
    assert_eq!(code, 4005, "{:?}", frames.last());
    let Some(ServerFrame::GoingAway(going)) = frames.last() else { panic!("{:?}", frames.last()) };
    assert_eq!(going.reason, GoingAwayReason::SlowReader);
    let heard: Vec<u64> = frames
        .iter()
        .filter_map(
            |frame| if let ServerFrame::MessageNew(event) = frame { Some(event.conversation_seq.get()) } else { None },
        )
        .collect();
    let first = heard[0];
    assert_eq!(heard, (first..first + heard.len() as u64).collect::<Vec<_>>(), "IN-ORDER: whole frames, none left out");
    assert_eq!(going.resume[0].after_seq.get(), first + heard.len() as u64 - 1, "RESUMABLE: right after that");
    slow.write(&masked(CLOSE, &code.to_be_bytes())).await;
    assert!(slow.ended_in_form().await, "its end is told from a cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drained_sockets_over_tls_are_told_when_to_come_back_and_closed_in_form() {
    let trust = Trust::new();
    let host = trust.host(&[]);
    let ann = host.person("ann").await;
    let mut sockets = Vec::new();
    for format in [Format::Json, Format::MessagePack, Format::Json] {
        sockets.push(trust.connect(&host).await.enter(format, &ann.account.token()).await);
    }
    let mut idle = trust.connect(&host).await;
    assert!(idle.ask(ASK).await.starts_with("HTTP/1.1 200"));
    host.server.signal(Signal::TERM);
    for socket in &mut sockets {
        let (frames, code) = socket.out().await;
        let told = frames
            .iter()
            .any(|frame| matches!(frame, ServerFrame::GoingAway(going) if going.reason == GoingAwayReason::Draining));
        assert_eq!((told, code), (true, 1012), "DRAINED");
        socket.write(&masked(CLOSE, &code.to_be_bytes())).await;
        assert!(socket.ended_in_form().await, "DRAINED: its end is told from a cut");
    }
    assert!(idle.ended_in_form().await, "DRAINED: HTTP's too");
    let Host { server, .. } = host;
    let (status, log) = server.wait();
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_taken_while_it_runs_and_a_broken_one_is_not() {
    let mut trust = Trust::new();
    let host = trust.host(&[]);
    let ann = host.person("ann").await;
    let mut before = trust.connect(&host).await.enter(Format::Json, &ann.account.token()).await;

    put(trust.folder.path(), "key.pem", "no key at all");
    let log = host.server.wait_for_log("stays in use");
    assert!(log.contains("key.pem"), "{log}");
    trust.connect(&host).await;

    let old = trust.client(&TLS13);
    trust.certificate = renew(trust.folder.path());
    host.server.wait_for_log("a new certificate is in use");
    let mut after = trust.connect(&host).await;
    assert!(after.ask(ASK).await.starts_with("HTTP/1.1 200"));
    let refused = over(&old, TcpStream::connect(host.target.address).await.unwrap()).await;
    assert!(refused.is_err(), "the old certificate is not shown any more");
    // Whoever was there notices nothing.
    let conversation = ann.group(&[]).await;
    before.say(message(conversation, "still here")).await;
    while !matches!(before.frame().await.expect("its event"), ServerFrame::MessageNew(_)) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounded_handshakes_count_among_those_that_are_not_logged_in_and_have_a_deadline() {
    let trust = Trust::new();
    let host = trust.host(&["hub.max_pending=2", "hub.head_deadline_ms=3000"]);
    let began = Instant::now();
    let mut silent = Vec::new();
    // A hello that goes on, and one that never begins.
    for said in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b""] {
        let mut raw = Raw::connect(host.target.address).await;
        raw.write(said).await;
        silent.push(raw);
    }
    let mut next = trust.connect(&host).await;
    assert!(next.ask(ASK).await.starts_with("HTTP/1.1 200"));
    assert!(began.elapsed() > Duration::from_secs(2), "BOUNDED: it waited for a place: {:?}", began.elapsed());
    for raw in &mut silent {
        raw.ended().await;
    }
    while host.metric("hubbub_tls_handshakes_total", "late") < 2 {
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn garbage_old_versions_and_cuts_end_their_own_connection_and_nothing_else() {
    let trust = Trust::new();
    let host = trust.host(&[]);
    let ann = host.person("ann").await;
    // A hello of SSL 3, a record of another kind inside, nonsense, and a record that is far too long.
    for garbage in [
        &b"\x16\x03\x00\x00\x2f\x01\x00\x00\x2b\x03\x00aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x00\x00\x04\x00\x2f\x00\x0a\x01\x00"[..],
        b"\x16\x03\x01\x00\x05hello",
        b"\x16GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\xff\xff\x01\x00",
    ] {
        let mut raw = Raw::connect(host.target.address).await;
        let since = Instant::now();
        raw.write(garbage).await;
        raw.ended().await;
        assert!(since.elapsed() < Duration::from_secs(4), "BOUNDED: at once, and not by the deadline: {garbage:?}");
    }
    // Over a session: a record that was not encrypted by it, and an end without a word.
    let mut forged = trust.connect(&host).await.enter(Format::Json, &ann.account.token()).await;
    forged.say(message(ann.group(&[]).await, "before")).await;
    drop(forged);
    let cut = trust.connect(&host).await.enter(Format::Json, &ann.account.token()).await;
    let (tcp, _) = cut.into_stream().into_inner();
    let mut raw = Raw::over(tcp);
    raw.write(b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb").await;
    raw.ended().await;
    while host.metric("hubbub_connections", "") > 0 {
        sleep(Duration::from_millis(50)).await;
    }
    assert!(host.metric("hubbub_tls_handshakes_total", "failed") >= 4);
    let mut fine = trust.connect(&host).await.enter(Format::MessagePack, &ann.account.token()).await;
    fine.say(message(ann.group(&[]).await, "after")).await;
    while let Some(frame) = fine.next().await {
        if frame.first == opcode(Format::MessagePack) {
            break;
        }
    }
}

/// What `serve --check` says with these files.
fn check(certificate: &Path, key: &Path) -> (Option<i32>, String) {
    let (_folder, data) = new_data();
    let ran = Hubbub::serve(&data)
        .arg("--check")
        .set(&format!("tls.certificate_file={}", certificate.display()))
        .set(&format!("tls.key_file={}", key.display()))
        .run();
    (ran.code, ran.stderr + &ran.stdout)
}

#[test]
fn a_check_says_what_is_wrong_with_a_certificate_or_its_key() {
    let (trust, other) = (Trust::new(), Trust::new());
    let [certificate, key] = trust.files();
    let [_, other_key] = other.files();
    let missing = PathBuf::from("/nowhere/cert.pem");
    for (certificate, key, code, words) in [
        (&certificate, &key, 0, "right"),
        (&missing, &key, 1, "/nowhere/cert.pem"),
        (&key, &key, 1, "no certificate"),
        (&certificate, &certificate, 1, "no key"),
        (&certificate, &other_key, 1, "does not go with"),
    ] {
        let (ended, said) = check(certificate, key);
        assert!(ended == Some(code) && said.contains(words), "{words}: {ended:?} {said}");
    }
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let (ended, said) = check(&certificate, &key);
    assert!(ended == Some(1) && said.contains("chmod 600"), "{said}");

    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
    let pair = KeyPair::generate().unwrap();
    put(trust.folder.path(), "cert.pem", &params.self_signed(&pair).unwrap().pem());
    put(trust.folder.path(), "key.pem", &pair.serialize_pem());
    let (ended, said) = check(&certificate, &key);
    assert!(ended == Some(0) && said.contains("has expired"), "{said}");

    let (_folder, data) = new_data();
    let half = Hubbub::serve(&data).arg("--check").set(&format!("tls.key_file={}", key.display())).run();
    assert!(half.code == Some(1) && half.stderr.contains("tls.certificate_file"), "{half:?}");
}
