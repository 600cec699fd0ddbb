//! Which of our crates may know which (`ARCHITECTURE.md` draws it), read from cargo's own description of the workspace.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::workspace;

/// From, and to where: nothing else.
const ARROWS: &[(&str, &[&str])] = &[
    ("hubbub-server", &["hubbub-hub", "hubbub-rest", "hubbub-domain", "hubbub-storage", "hubbub-protocol"]),
    ("hubbub-hub", &["hubbub-domain", "hubbub-storage", "hubbub-protocol"]),
    ("hubbub-rest", &["hubbub-domain", "hubbub-storage", "hubbub-protocol"]),
    ("hubbub-domain", &["hubbub-storage", "hubbub-protocol"]),
    ("hubbub-storage", &["hubbub-protocol"]),
    ("hubbub-protocol", &[]),
    ("hubbub-loadtest", &["hubbub-protocol"]),
    ("hubbub-client", &["hubbub-e2ee", "hubbub-protocol"]),
    ("hubbub-e2ee", &["hubbub-protocol"]),
    ("hubbub-house", &[]),
];

/// Beyond [`ARROWS`], for tests: the real server is driven by the load test's client.
const TEST_ARROWS: &[(&str, &[&str])] = &[("hubbub-server", &["hubbub-loadtest"])];

/// The features of `hubbub-storage` that name an engine. Only the composition root chooses one; tests may.
const BACKENDS: &[&str] = &["memory", "sqlite", "scylla", "conformance"];

/// Crates that carry payloads and must not be able to open one.
const SEES_NO_PAYLOAD: &[&str] =
    &["hubbub-protocol", "hubbub-storage", "hubbub-domain", "hubbub-hub", "hubbub-rest", "hubbub-server"];

struct Arrow {
    from: String,
    to: String,
    for_tests: bool,
    features: Vec<String>,
}

fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let asked = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(workspace::root())
        .output()
        .unwrap();
    assert!(asked.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&asked.stderr));
    let metadata: Value = serde_json::from_slice(&asked.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn arrows() -> Vec<Arrow> {
    let of_package = |package: &Value| {
        let from = text(&package["name"]);
        let of_dependency = move |dependency: &Value| Arrow {
            from: from.clone(),
            to: text(&dependency["name"]),
            for_tests: dependency["kind"] == "dev",
            features: dependency["features"].as_array().unwrap().iter().map(text).collect(),
        };
        package["dependencies"].as_array().unwrap().iter().map(of_dependency).collect::<Vec<_>>()
    };
    packages().iter().flat_map(of_package).filter(|arrow| arrow.to.starts_with("hubbub-")).collect()
}

fn allows(table: &[(&str, &[&str])], from: &str, to: &str) -> bool {
    table.iter().any(|(known, targets)| *known == from && targets.contains(&to))
}

#[test]
fn every_arrow_between_our_crates_points_down() {
    for Arrow { from, to, for_tests, .. } in arrows() {
        let allowed = allows(ARROWS, &from, &to) || (for_tests && allows(TEST_ARROWS, &from, &to));
        assert!(allowed, "{from} must not know {to}: a new arrow is a design change (docs/decisions)");
    }
}

#[test]
fn every_crate_of_the_workspace_has_its_place_in_the_drawing() {
    for package in packages() {
        let name = text(&package["name"]);
        assert!(ARROWS.iter().any(|(known, _)| *known == name), "{name} is in no row of the arrows");
    }
}

#[test]
fn only_the_server_chooses_a_backend_and_tests_may() {
    for Arrow { from, to, for_tests, features } in arrows() {
        if to == "hubbub-storage" && !for_tests {
            let chosen: Vec<&String> = features.iter().filter(|one| BACKENDS.contains(&one.as_str())).collect();
            assert!(chosen.is_empty() || from == "hubbub-server", "{from} switches on {chosen:?} of storage");
            assert!(!features.contains(&"conformance".to_owned()), "{from} ships the conformance suite");
        }
    }
    for package in packages() {
        let (name, features) = (text(&package["name"]), package["features"].as_object().unwrap());
        for (feature, enables) in features {
            let engine = enables.as_array().unwrap().iter().map(text).find(|one| {
                let named = one.strip_prefix("hubbub-storage/").or_else(|| one.strip_prefix("hubbub-storage?/"));
                named.is_some_and(|one| BACKENDS.contains(&one)) || feature == "default" && BACKENDS.contains(&&**one)
            });
            assert!(engine.is_none() || name == "hubbub-server", "{name}'s feature {feature} switches on {engine:?}");
        }
    }
}

#[test]
fn opaque_nothing_that_carries_payloads_can_open_them() {
    let arrows = arrows();
    for start in SEES_NO_PAYLOAD {
        let mut reached: BTreeSet<&str> = BTreeSet::from([*start]);
        // As many rounds as there are crates reach all that can be reached.
        for _ in ARROWS {
            let next: Vec<&str> =
                arrows.iter().filter(|one| reached.contains(one.from.as_str())).map(|one| one.to.as_str()).collect();
            reached.extend(next);
        }
        assert!(!reached.contains("hubbub-e2ee"), "OPAQUE: {start} links the code that opens payloads");
    }
}
