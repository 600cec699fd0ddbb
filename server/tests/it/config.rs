//! Claims about the configuration: its sources, its mistakes, its example file.

use std::ffi::OsString;
use std::fs;

use hubbub_server::config::{Config, Mistakes, Role, Source, Sources, StoreKind, as_example, as_toml};

use crate::support::{Hubbub, new_data};

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn mistakes(sources: Sources) -> Mistakes {
    Config::load(sources).expect_err("there are mistakes")
}

/// A key and its value.
type Given<'a> = (&'a str, &'a str);

fn file(text: &str) -> (tempfile::TempDir, Sources) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hubbub.toml");
    fs::write(&path, text).unwrap();
    (folder, Sources::default().file(path))
}

#[test]
fn without_any_source_the_defaults_of_the_readme_hold() {
    let (config, _) = Config::load(Sources::default()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.data.to_str(), Some("./data"));
    assert_eq!((config.store, config.role), (StoreKind::Sqlite, Role::All));
    assert_eq!(config.hub, hubbub_hub::HubConfig::default(), "the hub's defaults are told, not made, here");
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file_and_that_over_defaults() {
    let (_folder, sources) = file("data = 'from-file'\nstore = 'memory'\n[hub]\nshards = 2\nmax_pending = 5\n");
    let sources = sources
        .environment(variables(&[("HUBBUB_HUB_SHARDS", "3"), ("HUBBUB_DATA", "from-environment")]))
        .flag("--data", "data", "from-flag");
    let (config, settings) = Config::load(sources).unwrap();
    assert_eq!(config.data.to_str(), Some("from-flag"));
    assert_eq!(config.hub.shards, 3);
    assert_eq!(config.hub.max_pending, 5);
    assert_eq!(config.store, StoreKind::Memory);
    assert_eq!(config.role, Role::All);
    let source = |key| settings.iter().find(|setting| setting.key == key).unwrap().source.clone();
    assert_eq!(source("data"), Source::Flag("--data".into()));
    assert_eq!(source("hub.shards"), Source::Environment("HUBBUB_HUB_SHARDS".into()));
    assert!(matches!(source("hub.max_pending"), Source::File(_, 5)));
    assert_eq!(source("role"), Source::Default);
}

#[test]
fn every_mistake_of_every_source_is_told_at_once_with_what_was_found_and_what_would_do() {
    let (_folder, sources) = file(
        "listen = 8080\nallowed_origins = ['https://a.org/', 'https://b.org']\n[hub]\nshards = '2'\nmax_pending = -1\n\
         exempt_loopback = 'yes'\n[log]\nlevel = 'loud'\n[lgo]\nlevel = 'info'\n",
    );
    let sources = sources
        .environment(variables(&[("HUBBUB_STORE", "postgres"), ("HUBBUB_LISTN", "127.0.0.1:1")]))
        .flag("--role", "role", "hub")
        .flag("--set", "stop.grace_ms", "200")
        .flag("--set", "hub", "3");
    let mistakes = mistakes(sources);
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    let expected = [
        ["listen (", "hubbub.toml, line 1)", "found 8080", "127.0.0.1:8080"],
        ["store (", "environment HUBBUB_STORE", "found \"postgres\"", "\"sqlite\", \"memory\""],
        ["allowed_origins (", "line 2)", "https://a.org/", "without a path"],
        ["hub.shards (", "line 4)", "found \"2\"", "a whole number from 0 to"],
        ["hub.max_pending (", "line 5)", "found -1", "a whole number from 1 to"],
        ["hub.exempt_loopback (", "line 6)", "found \"yes\"", "true or false"],
        ["log.level (", "line 8)", "found \"loud\"", "\"debug\""],
        ["role (", "flag --role", "found \"hub\"", "--store cql"],
        ["keys.jwks (", "default", "found []", "role rest"],
        ["stop.drain_ms (", "default", "found 5000", "stop.grace_ms, which is 200 (flag --set)"],
        ["lgo.level (", "line 10)", "no such setting", "did you mean log.level?"],
        ["listn (", "environment HUBBUB_LISTN", "no such setting", "did you mean listen?"],
        ["hub (", "flag --set", "no such setting", "below [hub]"],
    ];
    assert_eq!(told.len(), expected.len(), "{mistakes}");
    for (told, parts) in told.iter().zip(expected) {
        assert!(told.starts_with(parts[0]), "{told} is not about {parts:?}");
        for part in parts {
            assert!(told.contains(part), "{told} lacks {part}");
        }
    }
    assert!(mistakes.to_string().starts_with("13 mistakes in the configuration\n"));
}

#[test]
fn every_fault_of_the_files_toml_is_told_with_its_line_and_what_can_be_read_is_judged_too() {
    let (_folder, sources) = file("store = 'nowhere'\ndata = \nlisten = '127.0.0.1:8080'\nrole = all\n");
    let told = mistakes(sources).to_string();
    for part in ["line 2)", "line 4)", "mend the TOML", "store (", "\"nowhere\""] {
        assert!(told.contains(part), "{told} lacks {part}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_beside_the_others() {
    let sources = Sources::default().file("/nowhere/hubbub.toml").flag("--listen", "listen", "nowhere");
    let told = mistakes(sources).to_string();
    assert!(told.contains("config (/nowhere/hubbub.toml, line 1): cannot be read"), "{told}");
    assert!(told.contains("listen (flag --listen)"), "{told}");
}

#[test]
fn what_a_cluster_needs_together_is_told_together() {
    let flags = |flags: &[(&str, &str)]| {
        flags.iter().fold(Sources::default(), |sources, (key, value)| sources.flag("--set", key, *value))
    };
    let cql = [("store", "cql"), ("cql.nodes", "10.0.0.1,10.0.0.2:9043")];
    let redis = [("redis.url", "redis://redis:6379"), ("cluster.secret_file", "cluster.key")];
    let hub = [("role", "hub"), ("keys.jwks", "http://rest:8080/.well-known/jwks.json")];
    for right in
        [&cql[..], &[cql, redis].concat(), &[cql, redis, hub].concat(), &[&cql[..], &[("role", "rest")]].concat()]
    {
        Config::load(flags(right)).unwrap_or_else(|mistakes| panic!("{right:?}: {mistakes}"));
    }
    let wrong: [(&[Given], &[&str]); 10] = [
        (&[("store", "cql")], &["cql.nodes", "--cql HOST:PORT"]),
        (&cql[1..], &["cql.nodes", "none beside store, which is \"sqlite\""]),
        (&[("role", "rest")], &["role", "meet in a cql store"]),
        (&[cql[0], cql[1], hub[0]], &["keys.jwks", "/.well-known/jwks.json"]),
        (&[cql[0], cql[1], redis[0]], &["cluster.secret_file", "hubbub secret FILE"]),
        (&redis, &["redis.url", "none beside store"]),
        (&[cql[0], cql[1], ("cql.user", "ada")], &["cql.user", "a user goes with a password"]),
        (&[cql[0], cql[1], ("cql.password", "x")], &["cql.user", "a user goes with a password"]),
        (
            &[cql[0], cql[1], ("cql.user", "a"), ("cql.password", "x"), ("cql.password_file", "y")],
            &["cql.password", "found \"(hidden)\"", "none beside cql.password_file"],
        ),
        (&[cql[0], cql[1], ("cql.keyspace", "Hub-bub")], &["cql.keyspace", "lower case"]),
    ];
    for (given, parts) in wrong {
        let told = mistakes(flags(given)).to_string();
        assert!(told.starts_with("1 mistake") && parts.iter().all(|part| told.contains(part)), "{given:?}: {told}");
    }
}

#[test]
fn a_secret_is_shown_neither_when_it_is_right_nor_when_it_is_wrong() {
    let flags = |url: &str| {
        let cql = Sources::default().flag("--store", "store", "cql").flag("--cql", "cql.nodes", "a");
        let cql = cql.flag("--set", "cql.user", "ada").flag("--set", "cql.password", "s3cret");
        cql.flag("--set", "cluster.secret_file", "f").flag("--redis", "redis.url", url)
    };
    let (config, settings) = Config::load(flags("redis://ada:s3cret@redis:6379/1")).unwrap();
    let shown = as_toml(&settings);
    assert!(shown.contains("url = \"redis://(hidden)@redis:6379/1\""), "{shown}");
    assert!(shown.contains("password = \"(hidden)\""), "{shown}");
    assert!(!shown.contains("s3cret") && !format!("{config:?}").contains("s3cret"));
    let told = mistakes(flags("rediss://ada:s3cret@redis")).to_string();
    assert!(told.contains("redis.url (flag --redis)") && !told.contains("s3cret"), "{told}");
    // What was printed is not taken for the secret itself.
    let (_folder, printed) = file(&shown);
    let told = mistakes(printed).to_string();
    assert!(told.contains("redis.url") && told.contains("cql.password"), "{told}");
}

#[test]
fn variables_that_others_set_with_our_prefix_are_left_alone() {
    let foreign = [("HUBBUB_PORT", "tcp://10.0.0.1:80"), ("HUBBUB_SERVICE_HOST", "10.0.0.1"), ("HUBBUB_TEST_CQL", "x")];
    Config::load(Sources::default().environment(variables(&foreign))).unwrap();
}

#[test]
fn the_environment_names_the_file_unless_a_flag_does() {
    let (folder, _) = file("store = 'memory'\n");
    let path = folder.path().join("hubbub.toml");
    let named = || variables(&[("HUBBUB_CONFIG", path.to_str().unwrap())]);
    let (config, _) = Config::load(Sources::default().environment(named())).unwrap();
    assert_eq!(config.store, StoreKind::Memory);
    let told = mistakes(Sources::default().file("/nowhere").environment(named())).to_string();
    assert!(told.contains("/nowhere"), "{told}");
}

#[test]
fn the_example_file_is_what_hubbub_prints_and_reads_to_the_defaults() {
    let example = include_str!("../../config.example.toml");
    assert_eq!(example, as_example(), "run `hubbub config --example > server/config.example.toml`");
    let (_folder, sources) = file(example);
    let (config, settings) = Config::load(sources).unwrap();
    assert_eq!(config, Config::load(Sources::default()).unwrap().0);
    assert!(
        settings.iter().all(|setting| matches!(setting.source, Source::File(..)) && setting.value == setting.default),
        "the example has every setting"
    );
}

#[test]
fn the_examples_of_a_cluster_are_right() {
    for (name, role) in [("hub", Role::Hub), ("rest", Role::Rest)] {
        let path = format!("{}/../examples/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let (config, _) = Config::load(Sources::default().file(path)).unwrap();
        assert_eq!((config.role, config.store), (role, StoreKind::Cql));
        assert!(config.redis.url.is_some() && config.cluster.secret_file.is_some());
        assert_eq!(config.keys.file.is_some(), role == Role::Rest, "a hub holds no key that signs");
    }
}

#[test]
fn the_printed_configuration_reads_back_to_the_same() {
    let sources = Sources::default()
        .flag("--listen", "listen", "[::1]:9")
        .flag("--data", "data", "/a \"strange\" path")
        .flag("--set", "allowed_origins", "https://a.org, http://b.org:81")
        .flag("--set", "metrics_from", "10.1.0.0/16, ::1")
        .flag("--set", "hub.exempt_loopback", "false")
        .flag("--log-level", "log.level", "warn,hubbub_hub=debug");
    let (config, settings) = Config::load(sources).unwrap();
    let (_folder, printed) = file(&as_toml(&settings));
    assert_eq!(Config::load(printed).unwrap().0, config);
}

#[test]
fn check_answers_0_or_1_and_touches_nothing_and_serving_with_mistakes_answers_2() {
    let (_folder, data) = new_data();
    let good = Hubbub::serve(&data).arg("--check").run();
    assert_eq!((good.code, good.stderr.as_str()), (Some(0), ""));
    let bad = Hubbub::serve(&data).arg("--check").set("hub.shards=many").env("HUBBUB_ROLE", "king").run();
    assert_eq!(bad.code, Some(1));
    assert!(bad.stderr.contains("hub.shards") && bad.stderr.contains("HUBBUB_ROLE"), "{}", bad.stderr);
    let served = Hubbub::serve(&data).set("hub.shards=many").env("HUBBUB_ROLE", "king").run();
    assert_eq!(served.code, Some(2));
    assert_eq!(served.stderr, bad.stderr);
    assert!(!data.exists());
}

#[test]
fn hubbub_config_prints_what_is_in_force_and_where_it_came_from() {
    let ran = Hubbub::new(["config", "--store", "memory"]).env("HUBBUB_LOG", "debug").run();
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains("store = \"memory\"  # flag --store; the default is \"sqlite\""), "{}", ran.stdout);
    assert!(ran.stdout.contains("level = \"debug\"  # environment HUBBUB_LOG"), "{}", ran.stdout);
    assert!(ran.stdout.contains("listen = \"127.0.0.1:8080\"  # default"), "{}", ran.stdout);
}
