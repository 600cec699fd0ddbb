//! What is wrong with a configuration: collected from every source, told at once.
//!
//! Each mistake names the setting, where its value came from, what was found and what would do, so that a broken
//! configuration takes one round to mend and not one a mistake.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where the value of a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The configuration file, at a line.
    File(PathBuf, usize),
    /// An environment variable of this name.
    Environment(String),
    /// A flag of this spelling, such as `--listen`.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The setting's key, such as `hub.shards`; of a file that cannot be read, `config`.
    pub setting: String,
    /// Who said it.
    pub source: Source,
    /// What is there.
    pub found: String,
    /// What would do instead.
    pub would_do: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}; {}", self.setting, self.source, self.found, self.would_do)
    }
}

/// All that is wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// What is wrong, unless nothing is.
    pub(super) fn unless_empty(mistakes: Vec<Mistake>) -> Result<(), Self> {
        if mistakes.is_empty() { Ok(()) } else { Err(Self(mistakes)) }
    }

    /// One by one, in the order of the settings, what is unknown last.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mistakes = if self.0.len() == 1 { "mistake" } else { "mistakes" };
        write!(f, "{} {mistakes} in the configuration", self.0.len())?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// The mistake of a file that says nothing usable as a whole, or from a line on.
pub(super) fn in_file(path: &Path, line: usize, found: String, would_do: &str) -> Mistake {
    Mistake {
        setting: "config".into(),
        source: Source::File(path.to_path_buf(), line),
        found,
        would_do: would_do.into(),
    }
}
