//! Gathers what the file, the environment and the flags say, without judging it.
//!
//! What is said stronger comes later: file, then environment, then flags.

use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::form::Raw;
use super::mistake::{Mistake, Source, in_file};

/// What all our environment variables begin with.
const PREFIX: &str = "HUBBUB_";

/// Names the configuration file, so it is no setting itself.
const FILE_VARIABLE: &str = "HUBBUB_CONFIG";

/// Another name of `HUBBUB_LOG_LEVEL`, as short as operators expect it.
const LOG_VARIABLE: &str = "HUBBUB_LOG";

/// A configuration file of more than this is none: ours has a few KiB.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// One value that somebody gave.
#[derive(Debug)]
pub(super) struct Given {
    /// The setting's key as spelt in a file, or lower case and with `_` throughout where the environment gave it.
    pub(super) key: String,
    pub(super) raw: Raw,
    pub(super) source: Source,
}

impl Given {
    /// Whether this is a value for this setting. The environment cannot tell `hub.shards` from `hub_shards`, nor need it.
    pub(super) fn means(&self, key: &str) -> bool {
        match self.source {
            Source::Environment(_) => self.key == key.replace('.', "_"),
            Source::Default | Source::File(..) | Source::Flag(_) => self.key == key,
        }
    }
}

/// Everything that was said about the configuration, before it is read.
#[derive(Debug, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    environment: Vec<(String, OsString)>,
    flags: Vec<(String, String, String)>,
}

impl Sources {
    /// Reads this file.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Takes `HUBBUB_…` of these variables, and the file's name from `HUBBUB_CONFIG` unless it is known already.
    ///
    /// Not ours, in spite of the prefix: `HUBBUB_TEST_…`, which tests set for themselves, and what Kubernetes sets in
    /// every container next to a service that is called hubbub (`HUBBUB_SERVICE_…` and `HUBBUB_PORT…`).
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            if name == FILE_VARIABLE {
                self.file = self.file.or_else(|| Some(value.into()));
            } else if !["TEST_", "SERVICE_", "PORT"].iter().any(|foreign| rest.starts_with(foreign)) {
                self.environment.push((name.to_owned(), value));
            }
        }
        self.environment.sort();
        self
    }

    /// Takes a value from a flag; `spelling` is the flag's own, such as `--listen`.
    #[must_use]
    pub fn flag(mut self, spelling: &str, key: &str, value: impl Into<String>) -> Self {
        self.flags.push((spelling.to_owned(), key.to_owned(), value.into()));
        self
    }

    /// All values, weakest first, and what could not be made out at all.
    pub(super) fn into_parts(self) -> (Vec<Given>, Vec<Mistake>) {
        let (mut given, mut mistakes) = (Vec::new(), Vec::new());
        if let Some(path) = &self.file {
            read_file(path, &mut given, &mut mistakes);
        }
        for (name, value) in self.environment {
            read_variable(name, value, &mut given, &mut mistakes);
        }
        given.extend(self.flags.into_iter().map(|(spelling, key, value)| Given {
            key,
            raw: Raw::Words(value),
            source: Source::Flag(spelling),
        }));
        (given, mistakes)
    }
}

fn read_variable(name: String, value: OsString, given: &mut Vec<Given>, mistakes: &mut Vec<Mistake>) {
    let meant = if name == LOG_VARIABLE { "HUBBUB_LOG_LEVEL" } else { &name };
    let key = meant.strip_prefix(PREFIX).unwrap_or(meant).to_lowercase();
    match value.into_string() {
        Ok(value) => given.push(Given { key, raw: Raw::Words(value), source: Source::Environment(name) }),
        Err(_) => mistakes.push(Mistake {
            setting: key,
            source: Source::Environment(name),
            found: "its value is no UTF-8".into(),
            would_do: "expected text".into(),
        }),
    }
}

fn read_file(path: &Path, given: &mut Vec<Given>, mistakes: &mut Vec<Mistake>) {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(found) => return mistakes.push(in_file(path, 1, found, "name a TOML file that this user can read")),
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    for error in errors {
        let line = line_of(&text, &error.span().unwrap_or_default());
        mistakes.push(in_file(path, line, error.message().to_owned(), "mend the TOML there"));
    }
    flatten("", table.get_ref(), &mut |key, value| {
        let source = Source::File(path.to_path_buf(), line_of(&text, &value.span()));
        given.push(Given { key, raw: raw(value.get_ref()), source });
    });
}

fn read_text(path: &Path) -> Result<String, String> {
    let size = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("has {size} bytes, and no configuration has more than {MAX_FILE_BYTES}"));
    }
    fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

/// Tells every value of a table and the tables in it, by its dotted key.
fn flatten<'t>(prefix: &str, table: &'t DeTable<'t>, tell: &mut impl FnMut(String, &'t Spanned<DeValue<'t>>)) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) => flatten(&key, inner, tell),
            _ => tell(key, value),
        }
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Raw::Number(number.as_str().to_owned()),
        DeValue::Boolean(on) => Raw::Switch(*on),
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> =
                items.iter().map(|item| item.get_ref().as_str().map(String::from)).collect();
            texts.map_or(Raw::Other("list of other things than text"), Raw::List)
        }
        other => Raw::Other(other.type_str()),
    }
}

/// The line, from 1, on which a span begins.
fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}
