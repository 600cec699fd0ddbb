//! What is said of a deployment in files that no compiler reads: `docker-compose.yml`, the `Dockerfile`, `tools/cluster`.
//!
//! The compose file is read with anchors and merges resolved, as compose reads it. Whether its images do what it asks of
//! them only a container engine can tell.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::workspace;

fn compose() -> Value {
    serde_saphyr::from_str(&workspace::read("docker-compose.yml")).expect("docker-compose.yml is no YAML")
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("a map was expected")
}

fn services(compose: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object(&compose["services"]).iter().map(|(name, service)| (name.as_str(), service))
}

/// The texts of a list, or of a text alone.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn environment(service: &Value) -> BTreeMap<&str, &str> {
    let Some(variables) = service["environment"].as_object() else { return BTreeMap::new() };
    variables.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("a variable is a text"))).collect()
}

/// How many services have each role.
fn roles(compose: &Value) -> BTreeMap<String, usize> {
    let mut roles = BTreeMap::new();
    for (_, service) in services(compose) {
        if let Some(role) = environment(service).get("HUBBUB_ROLE") {
            *roles.entry((*role).to_owned()).or_default() += 1;
        }
    }
    roles
}

#[test]
fn compose_starts_the_whole_topology() {
    let compose = compose();
    let names: BTreeSet<&str> = services(&compose).map(|(name, _)| name).collect();
    assert_eq!(names, BTreeSet::from(["hub1", "hub2", "prometheus", "redis", "rest", "scylla"]));
    assert_eq!(roles(&compose), BTreeMap::from([("hub".to_owned(), 2), ("rest".to_owned(), 1)]));
}

#[test]
fn bounded_every_service_has_limits_and_says_whether_it_is_well() {
    for (name, service) in services(&compose()) {
        for limit in ["mem_limit", "cpus", "pids_limit", "restart"] {
            assert!(!service[limit].is_null(), "BOUNDED: {name} has no {limit}");
        }
        assert!(!service["logging"]["options"]["max-size"].is_null(), "BOUNDED: {name}'s log grows without end");
        let health = &service["healthcheck"];
        assert!(!texts(&health["test"]).is_empty(), "{name} has no health check");
        for word in ["interval", "timeout", "retries"] {
            assert!(!health[word].is_null(), "{name}'s health check has no {word}");
        }
    }
}

#[test]
fn whoever_needs_another_waits_until_it_is_well() {
    let compose = compose();
    for (name, needed) in [("rest", vec!["redis", "scylla"]), ("hub1", vec!["redis", "rest", "scylla"])] {
        let waits = object(&compose["services"][name]["depends_on"]);
        assert_eq!(waits.keys().collect::<Vec<_>>(), needed, "{name}");
        assert!(waits.values().all(|how| how["condition"] == "service_healthy"), "{name} does not wait for health");
    }
}

#[test]
fn our_own_processes_have_no_rights_they_do_not_need() {
    let compose = compose();
    for name in ["hub1", "hub2", "rest"] {
        let service = &compose["services"][name];
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert!(texts(&service["security_opt"]).contains(&"no-new-privileges:true"), "{name}");
        assert!(texts(&service["user"])[0].starts_with("${SERVICE_USER:?"), "{name} does not run as the files' owner");
    }
    for (name, service) in services(&compose) {
        assert!(!texts(&service["cap_drop"]).is_empty(), "{name} keeps every right");
        assert!(service["privileged"].is_null() && service["network_mode"].is_null(), "{name} is not contained");
    }
    let signers = services(&compose).filter(|(_, one)| texts(&one["secrets"]).contains(&"token.key"));
    assert_eq!(signers.map(|(name, _)| name).collect::<Vec<_>>(), ["rest"], "who can sign logins");
}

/// Names that speak of something secret.
fn sounds_secret(name: &str) -> bool {
    ["PASSWORD", "SECRET", "TOKEN", "KEY", "SEED"].iter().any(|word| name.to_uppercase().contains(word))
}

#[test]
fn no_secret_stands_in_the_compose_file() {
    let compose = compose();
    for (name, service) in services(&compose) {
        for (variable, value) in environment(service) {
            let elsewhere = value.starts_with("/run/secrets/") || value.starts_with("http://");
            assert!(!sounds_secret(variable) || elsewhere, "{name}: {variable} holds its secret itself");
            assert!(!value.contains('@'), "{name}: {variable} may hold a password in its URL");
        }
        for word in texts(&service["command"]) {
            let plain = !word.contains("requirepass") && !word.contains("password");
            assert!(plain, "{name}: a secret in a command is seen by all");
        }
    }
    for (name, secret) in object(&compose["secrets"]) {
        let file = secret["file"].as_str().unwrap_or_default();
        assert!(file.starts_with("${SECRETS:?"), "{name} does not come from the folder of secrets");
        assert!(workspace::read("tools/secrets").contains(&format!("make {name}")), "tools/secrets makes no {name}");
    }
}

/// The places where compose puts a variable of its caller, with what follows the name.
fn variables(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(inside, _)| {
        inside.split_at(inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len()))
    })
}

#[test]
fn every_variable_of_the_compose_file_is_required_or_has_a_default() {
    let text = workspace::read("docker-compose.yml");
    let mut seen = BTreeSet::new();
    for (name, rest) in variables(&text) {
        assert!(rest.starts_with(":?") && rest.len() > 10 || rest.starts_with(":-"), "${{{name}}} may be empty unseen");
        seen.insert(name);
    }
    assert_eq!(seen, BTreeSet::from(["DOOR", "SECRETS", "SERVICE_USER"]));
    let made = workspace::read("tools/secrets");
    assert!(made.contains("SECRETS=%s\\nSERVICE_USER=%s\\n"), "tools/secrets writes what is required");
}

#[test]
fn ports_are_bound_to_this_machine_unless_the_door_is_opened() {
    for (name, service) in services(&compose()) {
        for port in texts(&service["ports"]) {
            let bound = port.starts_with("127.0.0.1:") || port.starts_with("${DOOR:-127.0.0.1}:");
            assert!(bound, "{name} opens {port} to the network");
            let ours = ["rest", "hub1", "hub2"].contains(&name);
            assert!(ours || port.starts_with("127.0.0.1:"), "{name} is no public door");
        }
    }
}

/// An image with a version of at least two numbers in its tag.
fn is_pinned(image: &str) -> bool {
    let Some((_, tag)) = image.rsplit_once(':') else { return false };
    tag.starts_with(|first: char| first.is_ascii_digit() || first == 'v') && tag.contains('.') && tag != "latest"
}

#[test]
fn every_image_is_pinned() {
    for (name, service) in services(&compose()) {
        let image = service["image"].as_str().unwrap_or_default();
        assert!(is_pinned(image), "{name}: {image}");
    }
    let dockerfile = workspace::read("Dockerfile");
    let bases: Vec<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "))
        .map(|line| line.split(' ').next().unwrap_or_default())
        .collect();
    assert_eq!(bases.len(), 2, "one image builds, another runs");
    assert!(bases.iter().all(|base| is_pinned(base)), "{bases:?}");
    assert!(dockerfile.contains("\nUSER 10001"), "the image runs as root");
    let compiler = workspace::read("rust-toolchain.toml");
    let version = compiler.split('"').nth(1).expect("a channel");
    assert!(bases[0].contains(version), "the image is not built by the workspace's compiler, {version}");
    assert!(dockerfile.contains(&format!("RUSTUP_TOOLCHAIN={version}\n")), "another compiler would be fetched");
}

/// Every setting's key, as `hubbub config --example` prints them; that the file is what it prints is a test of the server.
fn settings() -> BTreeSet<String> {
    fn gather(prefix: &str, table: &toml::Table, found: &mut BTreeSet<String>) {
        for (name, value) in table {
            match value {
                toml::Value::Table(inner) => gather(&format!("{prefix}{name}."), inner, found),
                _ => {
                    found.insert(format!("{prefix}{name}"));
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    let example = workspace::read("server/config.example.toml");
    gather("", &example.parse().expect("the example is no TOML"), &mut found);
    found
}

/// Of the environment, but no settings.
const NO_SETTINGS: &[&str] = &["HUBBUB_CONFIG"];

#[test]
fn every_setting_that_a_deployment_names_exists() {
    let known: BTreeSet<String> =
        settings().iter().map(|key| format!("HUBBUB_{}", key.replace('.', "_").to_uppercase())).collect();
    let exists = |name: &str| known.contains(name) || NO_SETTINGS.contains(&name);
    for (service, value) in services(&compose()) {
        for variable in environment(value).keys().filter(|name| name.starts_with("HUBBUB_")) {
            assert!(exists(variable), "{service}: there is no setting for {variable}");
        }
    }
    for word in workspace::read("Dockerfile").split([' ', '\n']).filter(|word| word.starts_with("HUBBUB_")) {
        let name = word.split('=').next().unwrap_or_default();
        assert!(exists(name), "Dockerfile: there is no setting for {name}");
    }
    let made = workspace::read("tools/secrets");
    let redis = made.split("make hubbub.toml").nth(1).is_some_and(|rest| rest.contains("[redis]\nurl = "));
    assert!(redis && settings().contains("redis.url"), "tools/secrets writes a setting that there is not");
}

#[test]
fn the_cluster_without_containers_has_the_same_roles_and_settings_that_exist() {
    let script = workspace::read("tools/cluster");
    let roles = roles(&compose());
    let counts = format!("\nhubs={} rest={} cql=1 ", roles["hub"], roles["rest"]);
    assert!(script.contains(&counts), "tools/cluster starts other numbers than compose");
    for role in roles.keys() {
        assert!(script.contains(&format!("--role {role} ")), "tools/cluster starts no {role}");
    }
    let known = settings();
    let named = script.split("--set \"").skip(1).filter_map(|rest| rest.split_once('=')).map(|(key, _)| key);
    let named: BTreeSet<&str> = named.filter(|key| !key.contains('$')).collect();
    assert!(named.len() >= 3, "the settings were not found: {named:?}");
    assert!(named.iter().all(|key| known.contains(*key)), "tools/cluster sets what there is not: {named:?}");
}

#[test]
fn prometheus_asks_every_process_of_ours() {
    let asked = workspace::read("deploy/prometheus.yml");
    let compose = compose();
    let network = &compose["networks"]["inside"];
    let reader = compose["services"]["prometheus"]["networks"].as_array().expect("its networks");
    assert!(reader.iter().any(|name| name == "inside") && network["internal"] == true);
    for (name, service) in services(&compose) {
        let variables = environment(service);
        if variables.contains_key("HUBBUB_ROLE") {
            assert!(asked.contains(&format!("\"{name}:8080\"")), "nobody measures {name}");
            let from = variables.get("HUBBUB_METRICS_FROM").copied();
            assert_eq!(from, network["ipam"]["config"][0]["subnet"].as_str(), "{name} does not answer Prometheus");
        }
    }
}
