//! The command line and its exit codes are a contract.

use std::io;
use std::process::{Command, Output};

fn loadtest(arguments: &[&str]) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).output()
}

#[test]
fn list_names_every_scenario() {
    let output = loadtest(&["list"]).expect("the binary runs");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("text");
    for name in [
        "ack",
        "ack_one",
        "busy_room",
        "chatter",
        "cluster",
        "connect",
        "fan_out",
        "idle_crowd",
        "knee",
        "presence",
        "reconnect_storm",
        "removals",
        "room_mix",
        "slow_reader",
        "soak",
        "typing_storm",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is missing in {text}");
    }
}

#[test]
fn what_is_no_scenario_option_or_value_exits_with_2() {
    let wrong: [&[&str]; 7] = [
        &[],
        &["no_such_scenario"],
        &["chatter", "--no-such-option"],
        &["chatter", "--seconds", "soon"],
        &["chatter", "--payload", "1"],
        &["chatter", "--payload", "65537"],
        &["chatter", "--url", "https://127.0.0.1:1"],
    ];
    for arguments in wrong {
        let output = loadtest(arguments).expect("the binary runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_server_that_is_not_there_exits_with_1_and_says_so() {
    // The discard port: nothing listens.
    let output = loadtest(&["chatter", "--url", "http://127.0.0.1:9", "--seconds", "1"]).expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("could not be registered"), "{text}");
}

#[test]
fn many_rooms_of_the_same_two_people_are_refused_as_they_would_be_one() {
    let output = loadtest(&["fan_out", "--members", "2", "--rooms", "3"]).expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("two people have one room"), "{text}");
}

#[test]
fn a_floor_moves_bytes_and_says_what_each_cost() {
    for kind in ["send", "joined", "echo", "sync", "connect"] {
        let file = std::env::temp_dir().join(format!("floor-test-{}-{kind}", std::process::id()));
        let file = file.to_str().expect("text");
        let short = ["--sockets", "4", "--depth", "2", "--seconds", "0.05", "--rounds", "2", "--file", file];
        let output = loadtest(&[["floor", kind].as_slice(), &short].concat()).expect("the binary runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("in 2 rounds µs CPU each"), "{kind}: {text}");
        assert!(!std::fs::exists(file).expect("a folder"), "{kind} left its file behind");
    }
}

#[test]
fn the_lab_lists_its_rows_and_knows_no_others() {
    let output = loadtest(&["lab", "--list"]).expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    for row in ["fan_out_1", "ack", "idle_100k", "start"] {
        assert!(text.lines().any(|line| line.starts_with(row)), "{row} is missing in {text}");
    }
    let output = loadtest(&["lab", "--rows", "no_such_row"]).expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_comparison_of_what_is_neither_a_url_nor_a_program_is_refused() {
    let folder = std::env::temp_dir();
    let words = ["compare", "--a", "no-such-file", "--b", "http://127.0.0.1:9", "--folder"];
    let words = [words.as_slice(), &[folder.to_str().expect("text"), "ack"]].concat();
    let output = loadtest(&words).expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("neither a URL nor a file"), "{text}");
}
