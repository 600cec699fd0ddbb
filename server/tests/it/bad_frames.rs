//! Claims about frames that are wrong: each gets the protocol's close code or error, and nobody else notices.
//!
//! BOUNDED in memory: what a peer merely claims to send costs nothing, and what it does send is capped.

use std::time::Duration;

use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::frame::client::{History, Ping};
use hubbub_protocol::frame::server::{CommandError, ServerFrame};
use hubbub_protocol::limits::MAX_FRAME_BYTES;
use serde_json::json;

use crate::raw::{BINARY, PING, PONG, Raw, TEXT, auth_frame, claim, header, masked};
use crate::wire::{Host, Person, message};

/// What a whole storm of wrong frames may add to the server's resident memory: the caps of all its sockets together are
/// well below.
const MAX_GROWTH_KIB: u64 = 48 * 1024;

/// A server with somebody on it.
async fn hosted() -> (Host, Person) {
    let host = Host::start();
    let ann = host.person("ann").await;
    (host, ann)
}

impl Host {
    /// A new socket still gets in and gets its answer.
    async fn assert_serves(&self, person: &Person, after: &str) {
        let mut peer = person.connect(Format::Json).await;
        let id = peer.command();
        assert!(matches!(peer.ask(Ping { id }).await, ServerFrame::Pong(_)), "it serves after {after}");
        peer.close().await;
    }
}

/// A socket that said `ping` with the id `after` gets its answer.
async fn assert_answers(raw: &mut Raw, after: &str) {
    loop {
        match raw.frame().await {
            Some(ServerFrame::Pong(answer)) if answer.id.as_deref() == Some("after") => return,
            Some(_) => {}
            None => panic!("the socket ended after {after}"),
        }
    }
}

/// Faults of framing, and how a socket ends that makes them.
fn broken_framing() -> Vec<(&'static str, Format, Vec<u8>, u16)> {
    let json = Format::Json;
    let mut unmasked = header(TEXT, 0, 15);
    unmasked.extend_from_slice(br#"{"type":"ping"}"#);
    vec![
        ("garbage", json, vec![0xff; 64], 1002),
        ("an unmasked frame", json, unmasked, 1002),
        ("a reserved bit", json, masked(0x40 | TEXT, b"{}"), 1002),
        ("a reserved data opcode", json, masked(0x83, b"{}"), 1002),
        ("a reserved control opcode", json, masked(0x8B, b"{}"), 1002),
        ("a control frame of 126 bytes", json, masked(PING, &[0; 126]), 1002),
        ("a control frame in pieces", json, masked(0x09, b"ping"), 1002),
        ("a continuation of nothing", json, masked(0x80, b"{}"), 1002),
        ("a message within a message", json, [masked(0x01, b"{"), masked(TEXT, b"{}")].concat(), 1002),
        ("a close of one byte", json, masked(0x88, b"x"), 1002),
        ("text that is not UTF-8", json, masked(TEXT, b"{\"type\":\"\xff\xfe\"}"), 1007),
        ("text on a MessagePack socket", Format::MessagePack, masked(TEXT, br#"{"type":"ping"}"#), 1003),
        ("binary on a JSON socket", json, masked(BINARY, b"\x81\xa4type\xa4ping"), 1003),
        ("a claim of 2^63 - 1 bytes", json, claim(TEXT, (1 << 63) - 1), 1009),
        ("a claim of 16 MiB", json, claim(TEXT, 16 << 20), 1009),
        ("a claim of the cap and one", json, claim(TEXT, MAX_FRAME_BYTES as u64 + 1), 1009),
        ("the cap and one", json, masked(TEXT, &vec![b' '; MAX_FRAME_BYTES + 1]), 1009),
    ]
}

#[tokio::test]
async fn bounded_broken_framing_ends_the_socket_with_its_code_and_no_other() {
    let (host, ann) = hosted().await;
    let mut bystander = ann.connect(Format::Json).await;
    for (fault, format, bytes, expected) in broken_framing() {
        let mut raw = Raw::login(&host.target, format, &ann.account.token()).await;
        // The end may come before all of it is written.
        raw.try_write(&bytes, Duration::from_secs(10)).await;
        let (frames, code) = raw.out().await;
        assert_eq!(code, expected, "{fault}: {frames:?}");
        let id = bystander.command();
        assert!(matches!(bystander.ask(Ping { id }).await, ServerFrame::Pong(_)), "another socket, after {fault}");
    }
    host.assert_serves(&ann, "broken framing").await;
}

#[tokio::test]
async fn a_frame_of_exactly_the_cap_is_read_whole_or_in_pieces() {
    let (host, ann) = hosted().await;
    let mut raw = Raw::login(&host.target, Format::Json, &ann.account.token()).await;
    let mut frame = br#"{"type":"ping","id":"whole"}"#.to_vec();
    frame.resize(MAX_FRAME_BYTES, b' ');
    raw.write(&masked(TEXT, &frame)).await;
    assert!(matches!(raw.frame().await, Some(ServerFrame::Pong(pong)) if pong.id.as_deref() == Some("whole")));
    let frame = frame.iter().map(|byte| if *byte == b'w' { b'W' } else { *byte }).collect::<Vec<_>>();
    let pieces: Vec<&[u8]> = frame.chunks(10_000).collect();
    for (number, piece) in pieces.iter().enumerate() {
        let opcode = u8::from(number == 0);
        let last = if number + 1 == pieces.len() { 0x80 } else { 0 };
        raw.write(&masked(last | opcode, piece)).await;
        // Control frames may come between the pieces.
        raw.write(&masked(PING, b"still there?")).await;
        let pong = raw.next().await.unwrap();
        // The last piece is answered first.
        let pong = if pong.first == TEXT { raw.next().await.unwrap() } else { pong };
        assert_eq!((pong.first, pong.payload.as_slice()), (PONG, &b"still there?"[..]));
    }
}

#[tokio::test]
async fn bounded_claims_and_endless_fragments_do_not_grow_memory() {
    const SOCKETS: usize = 60;
    let (host, ann) = hosted().await;
    let before = host.resident_kib();
    let token = ann.account.token();
    let mut sockets = Vec::new();
    for number in 0..SOCKETS {
        let mut raw = Raw::login(&host.target, Format::Json, &token).await;
        if number % 2 == 0 {
            // One that claims the most it may, and never sends it.
            raw.write(&claim(TEXT, MAX_FRAME_BYTES as u64)).await;
        } else {
            // One that sends pieces without an end: 16 MiB of them, if it were let.
            let mut pieces = masked(0x01, &[b' '; 1_000]);
            pieces.extend(masked(0x00, &[b' '; 1_000]).repeat(16_000));
            raw.try_write(&pieces, Duration::from_secs(10)).await;
        }
        sockets.push(raw);
    }
    let grown = host.resident_kib().saturating_sub(before);
    println!("bad frames: {SOCKETS} sockets that claim or never end grew the server by {grown} KiB");
    assert!(grown < MAX_GROWTH_KIB, "BOUNDED: {grown} KiB more");
    for raw in sockets.iter_mut().skip(1).step_by(2) {
        assert_eq!(raw.out().await.1, 1009, "BOUNDED: endless fragments end at the cap");
    }
    host.assert_serves(&ann, "claims and fragments").await;
}

#[tokio::test]
async fn bounded_a_flood_of_pings_is_answered_and_one_whose_pongs_are_not_read_stops_itself() {
    const PINGS: usize = 20_000;
    let (host, ann) = hosted().await;
    let token = ann.account.token();
    let before = host.resident_kib();
    let storm = masked(PING, &[b'p'; 125]);

    let mut reads = Raw::login(&host.target, Format::Json, &token).await;
    let mut pongs = 0;
    for _ in 0..PINGS / 100 {
        reads.write(&storm.repeat(100)).await;
        // RFC 6455 section 5.5.3 lets a peer answer the latest of several alone.
        let pong = reads.next().await.expect("the socket is open");
        pongs += usize::from(pong.first == PONG);
    }
    assert!(pongs > 0);
    reads.write(&masked(TEXT, br#"{"type":"ping","id":"after"}"#)).await;
    assert_answers(&mut reads, "a flood of pings").await;

    let mut reads_not = Raw::connect_narrow(host.target.address, 4_096).await.upgrade(Format::Json).await;
    reads_not.write(&auth_frame(Format::Json, &token)).await;
    // 16 MiB of pings, whose pongs nobody takes: it is closed, or not read any more.
    let took_all = reads_not.try_write(&storm.repeat(16 << 20 >> 7), Duration::from_secs(5)).await;
    let grown = host.resident_kib().saturating_sub(before);
    println!("bad frames: a ping flood grew the server by {grown} KiB; all of it was taken: {took_all}");
    assert!(grown < MAX_GROWTH_KIB, "BOUNDED: {grown} KiB more");
    host.assert_serves(&ann, "a flood of pings").await;
}

/// What is no login, and how it is answered: the reason of `auth.error`, and the close code.
fn wrong_logins() -> Vec<(&'static str, Vec<u8>, &'static str, u16)> {
    let text = |text: &str| masked(TEXT, text.as_bytes());
    let large = format!(r#"{{"type":"auth","token":"{}"}}"#, "t".repeat(16_384));
    let cursor = json!({"conversation_id": "01890a5d-ac96-774b-bcce-b302099a8057", "after_seq": 1});
    let cursors = json!({"type": "auth", "token": "t", "resume": vec![cursor; 501]}).to_string();
    vec![
        ("a command", text(r#"{"type":"ping"}"#), "missing_token", 4002),
        ("no frame", text("hello"), "validation_failed", 4002),
        ("no token", text(r#"{"type":"auth"}"#), "validation_failed", 4002),
        ("an unknown type", text(r#"{"type":"open_sesame"}"#), "validation_failed", 4002),
        ("a token of nobody", text(r#"{"type":"auth","token":"eyJ0.eyJ0.c2ln"}"#), "invalid_token", 4002),
        ("an empty token", text(r#"{"type":"auth","token":""}"#), "invalid_token", 4002),
        ("over 16 KiB", text(&large), "validation_failed", 1009),
        ("501 cursors", text(&cursors), "validation_failed", 1009),
        ("binary on JSON", masked(BINARY, b"\x80"), "validation_failed", 1003),
        ("unmasked", [header(TEXT, 0, 2), b"{}".to_vec()].concat(), "validation_failed", 1002),
    ]
}

#[tokio::test]
async fn members_only_a_first_frame_that_is_no_login_is_refused_and_closed() {
    let (host, ann) = hosted().await;
    for (wrong, bytes, reason, expected) in wrong_logins() {
        let mut raw = Raw::connect(host.target.address).await.upgrade(Format::Json).await;
        raw.write(&bytes).await;
        let (frames, code) = raw.out().await;
        assert_eq!(code, expected, "{wrong}: {frames:?}");
        let [ServerFrame::AuthError(error)] = &frames[..] else { panic!("{wrong}: {frames:?}") };
        assert_eq!(error.reason, reason, "{wrong}");
    }
    host.assert_serves(&ann, "wrong logins").await;
}

/// A frame that can be told apart and not read, and the error it is answered with: its code, and the id in it.
struct Unreadable {
    what: &'static str,
    format: Format,
    bytes: Vec<u8>,
    /// Empty where it may be read after all.
    code: &'static str,
    id: Option<&'static str>,
}

/// Many of them.
fn unreadable() -> Vec<Unreadable> {
    let json = |text: &str| (Format::Json, text.as_bytes().to_vec());
    let pack = |bytes: &[u8]| (Format::MessagePack, bytes.to_vec());
    let deep = format!(r#"{{"type":"ping","id":"d","x":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let deep_pack = [&b"\x83\xa4type\xa4ping\xa2id\xa1d\xa1x"[..], &[0x91; 5_000], &[0x01]].concat();
    let long_id = format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(65));
    [
        ("an unknown type", json(r#"{"type":"teleport","id":"7"}"#), "unknown_type", Some("7")),
        ("an unknown type, packed", pack(b"\x82\xa4type\xa8teleport\xa2id\xa17"), "unknown_type", Some("7")),
        ("no type", json(r#"{"id":"7"}"#), "validation_failed", None),
        ("nothing", json(""), "validation_failed", None),
        ("half a frame", json(r#"{"type":"ping","#), "validation_failed", None),
        ("more than a frame", json(r#"{"type":"ping"} {}"#), "validation_failed", None),
        ("a list", json("[]"), "validation_failed", None),
        ("a field missing", json(r#"{"type":"read","id":"7"}"#), "validation_failed", Some("7")),
        ("a key twice", json(r#"{"type":"ping","id":"7","id":"8"}"#), "validation_failed", None),
        ("nesting where nobody looks", json(&deep), "", None),
        ("nesting, packed", pack(&deep_pack), "validation_failed", None),
        ("an id over its cap", json(&long_id), "validation_failed", None),
        ("a number without end", json(&format!(r#"{{"type":"ping","x":{}}}"#, "9".repeat(9_999))), "", None),
        (
            "a list that claims 4 Gi",
            pack(b"\x82\xa4type\xa6resume\xadconversations\xdd\xff\xff\xff\xff"),
            "validation_failed",
            None,
        ),
        ("a map that claims 4 Gi", pack(b"\xdf\xff\xff\xff\xff\xa4type\xa4ping"), "validation_failed", None),
        ("bytes that claim 4 Gi", pack(b"\x82\xa4type\xa4ping\xa2id\xc6\xff\xff\xff\xff"), "validation_failed", None),
        ("text that claims 4 Gi", pack(b"\x82\xa4type\xa4ping\xa2id\xdb\xff\xff\xff\xff"), "validation_failed", None),
    ]
    .map(|(what, (format, bytes), code, id)| Unreadable { what, format, bytes, code, id })
    .into()
}

#[tokio::test]
async fn frames_that_cannot_be_read_are_answered_with_their_code_and_the_socket_stays() {
    let (host, ann) = hosted().await;
    let token = ann.account.token();
    let before = host.resident_kib();
    for Unreadable { what, format, bytes, code, id } in unreadable() {
        let mut raw = Raw::login(&host.target, format, &token).await;
        let opcode = crate::raw::opcode(format);
        raw.write(&masked(opcode, &bytes)).await;
        let ping = codec::encode(&Ping { id: Some("after".to_owned()) }, format).unwrap();
        raw.write(&masked(opcode, &ping)).await;
        match raw.frame().await.expect("the socket stays") {
            ServerFrame::CommandError(CommandError { id: answered, error }) => {
                // What stands in an unknown field may be skipped or refused; both leave the socket as it was.
                assert!(code.is_empty() || error.code.as_str() == code, "{what}: {error}");
                assert!(id.is_none() || answered.as_deref() == id, "{what}: {answered:?}");
                assert!(!error.retryable, "{what}: the same will never succeed");
            }
            ServerFrame::Pong(_) if code.is_empty() => {}
            other => panic!("{what}: {other:?}"),
        }
        assert_answers(&mut raw, what).await;
    }
    let grown = host.resident_kib().saturating_sub(before);
    assert!(grown < MAX_GROWTH_KIB, "BOUNDED: {grown} KiB more");
}

#[tokio::test]
async fn more_than_twenty_faulty_frames_in_a_row_end_the_socket_and_one_good_frame_forgives_them() {
    let (host, ann) = hosted().await;
    let mut raw = Raw::login(&host.target, Format::Json, &ann.account.token()).await;
    for _ in 0..3 {
        raw.write(&masked(TEXT, b"nonsense").repeat(20)).await;
        raw.write(&masked(TEXT, br#"{"type":"ping"}"#)).await;
        for _ in 0..20 {
            assert!(matches!(raw.frame().await, Some(ServerFrame::CommandError(_))));
        }
        assert!(matches!(raw.frame().await, Some(ServerFrame::Pong(_))));
    }
    raw.write(&masked(TEXT, b"nonsense").repeat(21)).await;
    let (frames, code) = raw.out().await;
    assert_eq!((frames.len(), code), (21, 4008));
}

#[tokio::test]
async fn bounded_commands_beyond_the_flight_limit_wait_and_all_are_answered() {
    const COMMANDS: usize = 2_000;
    let (host, ann) = hosted().await;
    let conversation = ann.group(&[]).await;
    let mut raw = Raw::login(&host.target, Format::Json, &ann.account.token()).await;
    let mut all = Vec::new();
    for number in 0..COMMANDS {
        let id = Some(number.to_string());
        let bytes = if number % 2 == 0 {
            let query =
                History { id, conversation_id: conversation, before_seq: None, after_seq: None, limit: Some(1) };
            codec::encode(&query, Format::Json)
        } else {
            codec::encode(
                &hubbub_protocol::frame::client::MessageSend { id, ..message(conversation, "x") },
                Format::Json,
            )
        };
        all.extend(masked(TEXT, &bytes.unwrap()));
    }
    raw.write(&all).await;
    let mut answered = 0;
    while answered < COMMANDS {
        match raw.frame().await.expect("the socket stays") {
            ServerFrame::HistoryPage(_) | ServerFrame::MessageAck(_) => answered += 1,
            ServerFrame::CommandError(error) => panic!("BOUNDED: too many wait, none is refused: {error:?}"),
            _ => {}
        }
    }
}
