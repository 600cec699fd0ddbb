//! The workspace's folder, read once for the checks.

use std::path::{Path, PathBuf};

/// A text file of the workspace.
pub(crate) struct TextFile {
    /// Its path from the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl TextFile {
    pub(crate) fn ends_with(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }

    /// Its lines up to the tests inside it.
    pub(crate) fn lines_without_tests(&self) -> usize {
        self.text.lines().take_while(|line| *line != "#[cfg(test)]").count()
    }

    /// What of it is test code: all of a file under `tests/` or of a conformance suite, else what follows its first
    /// `#[cfg(test)]`.
    pub(crate) fn tests(&self) -> &str {
        let whole = ["/tests/", "/tests.rs", "/conformance"].iter().any(|part| self.path.contains(part));
        if whole { &self.text } else { self.text.split_once("#[cfg(test)]").map_or("", |(_, tests)| tests) }
    }
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// One file of the root folder.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every text file that belongs to the project: not what is built, run or fetched.
pub(crate) fn files() -> Vec<TextFile> {
    let mut found = Vec::new();
    visit(&root(), "", &mut found);
    assert!(found.len() > 50, "the workspace was not found");
    found
}

/// Folders that hold no source; in a clone they are ignored.
const NOT_OURS: &[&str] = &["target", "data", ".git", "node_modules"];

fn visit(folder: &Path, prefix: &str, found: &mut Vec<TextFile>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            visit(&entry.path(), &format!("{path}/"), found);
        } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
            found.push(TextFile { path, text });
        }
    }
}
