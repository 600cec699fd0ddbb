//! What every file owes its readers, as far as a machine can tell.

use crate::workspace::{self, TextFile};

/// Past this a file is two files.
const MAX_LINES: usize = 600;

fn rust_files() -> Vec<TextFile> {
    workspace::files().into_iter().filter(|file| file.ends_with(".rs")).collect()
}

/// Names all that are at fault, so that one run shows them all.
fn none(faults: &[String], rule: &str) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

#[test]
fn every_rust_file_begins_with_a_header() {
    let bare = rust_files().into_iter().filter(|file| {
        let said = file.text.strip_prefix("//! ").and_then(|text| text.lines().next()).unwrap_or_default();
        said.len() < 12 || said.starts_with("Being written")
    });
    none(&bare.map(|file| file.path).collect::<Vec<_>>(), "a header `//! …` says what the file does");
}

#[test]
fn no_file_is_too_long_to_be_read_at_once() {
    let long = rust_files().into_iter().filter(|file| file.lines_without_tests() > MAX_LINES);
    none(&long.map(|file| file.path).collect::<Vec<_>>(), "look for the seam: over 600 lines without tests");
}

#[test]
fn no_module_hides_in_a_mod_rs() {
    let hidden = rust_files().into_iter().filter(|file| file.ends_with("/mod.rs"));
    none(&hidden.map(|file| file.path).collect::<Vec<_>>(), "`name.rs` stands beside `name/`");
}

/// Lines of a manifest under a heading, up to the next.
fn section<'a>(manifest: &'a str, heading: &str) -> Vec<&'a str> {
    let lines = manifest.lines().skip_while(|line| *line != heading).skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains('=') && !line.starts_with('#'))
        .collect()
}

#[test]
fn every_dependency_says_why_it_is_here() {
    let manifest = workspace::read("Cargo.toml");
    let dependencies = section(&manifest, "[workspace.dependencies]");
    assert!(dependencies.len() > 20, "the dependencies were not found");
    let silent = dependencies.into_iter().filter(|line| !line.starts_with("hubbub-"));
    let silent = silent.filter(|line| line.split_once(" # ").is_none_or(|(_, reason)| reason.len() < 10));
    none(&silent.map(str::to_owned).collect::<Vec<_>>(), "a dependency without a reason on its line");
}

#[test]
fn every_dependency_is_chosen_once_and_used() {
    let manifests: Vec<TextFile> =
        workspace::files().into_iter().filter(|file| file.ends_with("/Cargo.toml")).collect();
    let mut own = Vec::new();
    for file in &manifests {
        for heading in ["[dependencies]", "[dev-dependencies]", "[build-dependencies]"] {
            let lines = section(&file.text, heading).into_iter();
            let chosen = lines.filter(|line| !line.replace(' ', "").contains("workspace=true"));
            own.extend(chosen.map(|line| format!("{}: {line}", file.path)));
        }
    }
    none(&own, "versions are chosen in the root manifest alone");

    let root = workspace::read("Cargo.toml");
    let names = section(&root, "[workspace.dependencies]")
        .into_iter()
        .filter_map(|line| line.split_once(" ="))
        .map(|one| one.0);
    let unused = names.filter(|name| !name.starts_with("hubbub-")).filter(|name| {
        let uses = |line: &str| line.starts_with(&format!("{name}.")) || line.starts_with(&format!("{name} ="));
        !manifests.iter().any(|file| file.text.lines().any(uses))
    });
    none(&unused.map(str::to_owned).collect::<Vec<_>>(), "no crate uses it");
}

/// Split, so that this file does not hold them.
const NOT_FOR_OTHERS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Use", "rs/"),
    concat!("index.crates", ".", "io"),
    concat!("static.crates", ".", "io"),
    concat!("registry.npmjs", ".", "org"),
    concat!("files.pythonhosted", ".", "org"),
];

/// The place of such a word, unless it is the middle of a path of our own, such as that of a module named `home`.
fn found_at(text: &str, word: &str) -> Option<usize> {
    let inside =
        |place: usize| text[..place].ends_with(|before: char| before.is_alphanumeric() || "._-".contains(before));
    text.match_indices(word).map(|(place, _)| place).find(|place| !inside(*place))
}

#[test]
fn no_file_holds_a_path_or_host_of_one_machine() {
    let mut faults = Vec::new();
    for file in workspace::files().iter().filter(|file| file.path != "Cargo.lock") {
        for word in NOT_FOR_OTHERS {
            if let Some(place) = found_at(&file.text, word) {
                faults.push(format!("{}:{}: {word}", file.path, file.text[..place].lines().count().max(1)));
            }
        }
    }
    none(&faults, "means something on one machine only");
}

/// The targets of `[text](target)` that are files.
fn links(markdown: &str) -> impl Iterator<Item = &str> {
    let targets = markdown.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.starts_with("http") && !target.starts_with('#'))
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut faults = Vec::new();
    for file in workspace::files().iter().filter(|file| file.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in links(&file.text) {
            let path = target.split('#').next().unwrap_or_default();
            if !workspace::root().join(folder).join(path).exists() {
                faults.push(format!("{}: {target}", file.path));
            }
        }
    }
    none(&faults, "a link to nothing");
}

#[test]
fn the_commands_of_the_house_can_be_run() {
    use std::os::unix::fs::PermissionsExt;
    let tools = ["tools/cql", "tools/redis", "tools/cluster", "tools/secrets", "deploy/healthy"];
    for command in ["test", ".ci/run"].into_iter().chain(tools) {
        let mode = std::fs::metadata(workspace::root().join(command)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{command} is not executable");
    }
}
