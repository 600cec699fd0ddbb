//! Claims about the end: soft, at once, out of time, and by the store.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;

use crate::support::{Hubbub, Running, answer, new_data};

const BODY: &str = r#"{"email":"nobody@example.org","password":"wrong horse"}"#;

/// A request that the server has begun to work on and cannot finish, since half of its body is still to come.
fn half_a_request(server: &Running) -> TcpStream {
    let mut stream = server.connect();
    let length = BODY.len();
    let head = format!(
        "POST /auth/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The interim answer says that a handler is reading the body.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100 Continue"));
    stream.write_all(&BODY.as_bytes()[..10]).unwrap();
    stream
}

#[test]
fn sigterm_and_sigint_end_it_softly_with_exit_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let (_folder, data) = new_data();
        let server = Hubbub::serve(&data).start();
        // A kept connection that asks for nothing does not hold the stop up.
        let _idle = server.connect();
        server.signal(signal);
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("stopped"), "{log}");
    }
}

#[test]
fn drained_a_request_under_way_is_answered_after_sigterm() {
    let (_folder, data) = new_data();
    let server = Hubbub::serve(&data).start();
    let mut request = half_a_request(&server);
    server.signal(Signal::TERM);
    server.wait_for_log("stopping");
    request.write_all(&BODY.as_bytes()[10..]).unwrap();
    let answer = answer(&mut request);
    assert!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"), "DRAINED: {answer:?}");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn a_second_signal_ends_it_at_once_with_exit_code_1() {
    let (_folder, data) = new_data();
    let server = Hubbub::serve(&data).start();
    let _request = half_a_request(&server);
    server.signal(Signal::TERM);
    server.wait_for_log("stopping");
    server.signal(Signal::TERM);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("told twice to stop"), "{log}");
}

#[test]
fn the_whole_stop_is_bounded_by_the_grace_period() {
    let (_folder, data) = new_data();
    let server = Hubbub::serve(&data).set("stop.drain_ms=100").set("stop.grace_ms=300").start();
    let _request = half_a_request(&server);
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("stop.grace_ms"), "{log}");
}

#[test]
fn a_store_that_stopped_ends_it_with_the_reason_and_exit_code_3_and_it_starts_clean_again() {
    let (_folder, data) = new_data();
    // No file may grow over 600 KiB, so the disk is as good as full there; a shell counts blocks of 512 bytes. The signal
    // that comes with it is ignored, as a full disk sends none.
    let limited = ["sh", "-c", r#"trap "" XFSZ; ulimit -f 1200; exec "$0" "$@""#];
    let server = Hubbub::serve(&data).set("rest.auth_per_minute=0").within(limited).start();
    let mut accounts = 0;
    loop {
        let email = format!("person-{accounts}@example.org");
        let body = format!(r#"{{"email":"{email}","password":"correct horse battery","display_name":"Person"}}"#);
        let answer = server.post("/auth/register", &body);
        if !answer.starts_with("HTTP/1.1 2") {
            break;
        }
        accounts += 1;
        assert!(accounts < 5_000, "the disk never was full");
    }
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(3), "after {accounts} accounts: {log}");
    let last_word = log.lines().last().unwrap();
    assert!(last_word.contains("ending at once") && last_word.contains("disk"), "the reason is the last word: {log}");
    let again = Hubbub::serve(&data).start();
    assert!(again.get("/health/ready").starts_with("HTTP/1.1 200"));
    assert!(again.stop().0.success());
}
