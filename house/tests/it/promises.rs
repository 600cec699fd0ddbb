//! The promises, by name: each has a test that hunts it, and its place in the documents.

use crate::workspace;

/// All of them, in the order of `ARCHITECTURE.md`.
const PROMISES: &[&str] = &[
    "DURABLE",
    "ONCE",
    "GAPLESS",
    "IN-ORDER",
    "RESUMABLE",
    "HONEST",
    "MEMBERS-ONLY",
    "OPAQUE",
    "BOUNDED",
    REDIS_FREE,
    "DRAINED",
];

/// Is about a cluster: its tests come with the crate that speaks to Redis.
const REDIS_FREE: &str = "REDIS-FREE TRUTH";

/// The part of a test's name that stands for the promise.
fn in_names(promise: &str) -> String {
    promise.to_lowercase().replace(['-', ' '], "_")
}

/// Whether this line of test code is about the promise: it says its name, or is a test named for it.
fn hunts(line: &str, promise: &str) -> bool {
    let named = || line.trim_start().starts_with("fn ") && line.contains(&in_names(promise));
    let async_named = || line.trim_start().starts_with("async fn ") && line.contains(&in_names(promise));
    line.contains(promise) || named() || async_named()
}

#[test]
fn every_promise_is_hunted_by_a_test() {
    let files = workspace::files();
    let code: Vec<&str> = files
        .iter()
        .filter(|file| file.ends_with(".rs") && !file.path.starts_with("house/"))
        .flat_map(|file| file.tests().lines())
        .collect();
    let redis = section_names_redis();
    let missing: Vec<&&str> = PROMISES
        .iter()
        .filter(|promise| **promise != REDIS_FREE || redis)
        .filter(|promise| !code.iter().any(|line| hunts(line, promise)))
        .collect();
    assert!(missing.is_empty(), "no test hunts {missing:?}");
}

fn section_names_redis() -> bool {
    workspace::read("Cargo.toml").lines().any(|line| line.starts_with("redis"))
}

#[test]
fn every_promise_stands_in_the_documents() {
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = workspace::read(document);
        for promise in PROMISES {
            assert!(text.contains(&format!("**{promise}**")), "{document} does not name {promise}");
        }
    }
}
