//! Claims about the offline check of a data folder.

use std::fs;
use std::path::Path;

use crate::support::{Hubbub, Ran, new_data};

fn verify(data: &Path, flags: &[&str]) -> Ran {
    Hubbub::new(["verify", "--data"]).arg(data).args(flags).run()
}

/// A data folder with one account in it.
fn with_an_account(data: &Path) {
    let server = Hubbub::serve(data).start();
    let body = r#"{"email":"ada@example.org","password":"correct horse battery","display_name":"Ada"}"#;
    let answer = server.post("/auth/register", body);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(server.stop().0.success());
}

#[test]
fn a_store_that_is_in_no_folder_is_not_checked() {
    let ran = Hubbub::new(["verify", "--store", "cql"]).run();
    assert!(ran.code == Some(1) && ran.stderr.contains("checks the embedded store"), "{ran:?}");
}

#[test]
fn a_sound_folder_is_told_with_counts_and_exit_code_0() {
    let (_folder, data) = new_data();
    with_an_account(&data);
    let ran = verify(&data, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("is sound") && ran.stdout.contains("claims"), "{ran:?}");
    let ran = verify(&data, &["--json"]);
    assert_eq!(ran.code, Some(0));
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["ok"], true);
    assert!(report["summary"]["rows"].as_u64().unwrap() >= 1, "{report}");
}

#[test]
fn a_folder_in_use_is_refused() {
    let (_folder, data) = new_data();
    let server = Hubbub::serve(&data).start();
    let ran = verify(&data, &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("in use by another process") && ran.stdout.contains("stop that process"), "{ran:?}");
    assert!(server.get("/health/ready").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_damaged_folder_is_told_with_the_place_and_exit_code_1() {
    let (_folder, data) = new_data();
    with_an_account(&data);
    let file = data.join("meta.db");
    let bytes = fs::read(&file).unwrap();
    let needle = b"ada@example.org";
    let places: Vec<usize> = (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle)).collect();
    assert!(!places.is_empty(), "the address is somewhere in the records");
    let mut damaged = bytes;
    for at in places {
        damaged[at] ^= 1;
    }
    fs::write(&file, damaged).unwrap();
    let ran = verify(&data, &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("is damaged in") && ran.stdout.contains("meta.db: "), "{ran:?}");
    let ran = verify(&data, &["--json"]);
    assert_eq!(ran.code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["problems"][0]["file"], "meta.db", "{report}");
}

#[test]
fn a_folder_that_is_not_there_is_told_and_not_made() {
    let (_folder, data) = new_data();
    let ran = verify(&data, &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("was not checked") && ran.stdout.contains("--data"), "{ran:?}");
    assert!(!data.exists());
}
