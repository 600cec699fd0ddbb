//! Claims about the start: the ready line, and one clear line for each way not to start.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::support::{Hubbub, Ran, new_data};

/// One line on stderr that has all of this in it, nothing on stdout, and exit code 1.
fn assert_refused(ran: &Ran, parts: &[&str]) {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.stdout, "", "{ran:?}");
    let complaints: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("hubbub: ")).collect();
    assert_eq!(complaints.len(), 1, "{ran:?}");
    for part in parts {
        assert!(complaints[0].contains(part), "{complaints:?} lacks {part:?}");
    }
}

/// A data folder that a server has used and left.
fn used(data: &Path) {
    let (status, log) = Hubbub::serve(data).start().stop();
    assert!(status.success(), "{log}");
}

#[test]
fn a_cluster_that_does_not_answer_is_waited_for_with_a_line_each_time_and_not_for_ever() {
    let (_folder, data) = new_data();
    let cql = ["--store", "cql", "--cql", "127.0.0.1:1", "--set", "cql.wait_ms=1500"];
    let began = std::time::Instant::now();
    let ran = Hubbub::serve(&data).args(&cql).run();
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.matches("trying again").count() >= 2, "{}", ran.stderr);
    let last = ran.stderr.lines().last().unwrap();
    assert!(last.starts_with("hubbub: ") && last.contains("127.0.0.1:1") && last.contains("cql.wait_ms"), "{last}");
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn when_it_accepts_connections_it_prints_one_line_with_its_url_and_is_ready() {
    let (_folder, data) = new_data();
    let server = Hubbub::serve(&data).start();
    let expected = format!("Hubbub is ready at http://{} (store: sqlite, data: {})", server.address(), data.display());
    assert_eq!(server.ready_line, expected);
    let ready = server.get("/health/ready");
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
}

#[test]
fn without_a_command_it_serves() {
    let (_folder, data) = new_data();
    let server = Hubbub::new(["--listen", "127.0.0.1:0", "--data"]).arg(&data).start();
    assert!(server.get("/health/live").starts_with("HTTP/1.1 200"));
}

#[test]
fn the_memory_store_makes_no_folder() {
    let (_folder, data) = new_data();
    let server = Hubbub::serve(&data).arg("--store").arg("memory").start();
    assert!(server.ready_line.ends_with("(store: memory, nothing is kept)"), "{}", server.ready_line);
    assert!(server.get("/health/ready").starts_with("HTTP/1.1 200"));
    assert!(!data.exists());
}

#[test]
fn a_port_in_use_is_told_before_the_data_folder_is_touched() {
    let (_folder, data) = new_data();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = Hubbub::new(["serve", "--listen", &address, "--data"]).arg(&data).run();
    assert_refused(&ran, &[&address, "another process", "--listen"]);
    assert!(!data.exists());
}

#[test]
fn an_address_of_another_machine_is_refused() {
    let (_folder, data) = new_data();
    let ran = Hubbub::new(["serve", "--listen", "192.0.2.1:80", "--data"]).arg(&data).run();
    assert_refused(&ran, &["192.0.2.1:80", "--listen"]);
}

#[test]
fn a_data_folder_that_cannot_be_one_is_refused() {
    let (_folder, data) = new_data();
    fs::write(&data, "a file").unwrap();
    let ran = Hubbub::serve(&data).run();
    assert_refused(&ran, &["cannot use", &data.display().to_string(), "this user may write"]);
}

#[test]
fn a_data_folder_in_use_is_refused_and_its_user_goes_on() {
    let (_folder, data) = new_data();
    let first = Hubbub::serve(&data).start();
    let ran = Hubbub::serve(&data).run();
    assert_refused(&ran, &["in use by another process", "--data"]);
    assert!(first.get("/health/ready").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_data_folder_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (_folder, data) = new_data();
    used(&data);
    let log = data.join("log.db");
    rusqlite::Connection::open(&log).unwrap().pragma_update(None, "user_version", 1_000_000).unwrap();
    let before = fs::read(&log).unwrap();
    let ran = Hubbub::serve(&data).run();
    assert_refused(&ran, &["log.db", "newer Hubbub", "1000000", "nothing was changed"]);
    assert_eq!(fs::read(&log).unwrap(), before);
}

#[test]
fn a_foreign_file_in_the_place_of_ours_is_refused() {
    let (_folder, data) = new_data();
    fs::create_dir(&data).unwrap();
    rusqlite::Connection::open(data.join("log.db")).unwrap().execute_batch("CREATE TABLE mine (it TEXT)").unwrap();
    let ran = Hubbub::serve(&data).run();
    assert_refused(&ran, &["log.db", "no file of Hubbub's", "--data"]);
}

#[test]
fn a_damaged_store_is_refused() {
    let (_folder, data) = new_data();
    used(&data);
    fs::write(data.join("log.db"), "no database at all, and long enough to be taken for one".repeat(100)).unwrap();
    let ran = Hubbub::serve(&data).run();
    assert_refused(&ran, &["log.db"]);
}

#[test]
fn after_a_kill_it_starts_again_at_once() {
    let (_folder, data) = new_data();
    let first = Hubbub::serve(&data).start();
    first.signal(rustix::process::Signal::KILL);
    let (status, _) = first.wait();
    assert_eq!(status.code(), None, "it was killed");
    let again = Hubbub::serve(&data).start();
    assert!(again.get("/health/ready").starts_with("HTTP/1.1 200"));
}
