//! The keys of logins: the seed that signs tokens, the one before it, and where a hub gets the public keys.

use std::path::PathBuf;
use std::time::Duration;

use super::form::{Count, Form, MaybeFile, Raw, is_host, quoted};
use super::reader::Reader;

/// Where public keys can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// From a process that serves them.
    Http {
        /// Its host and port.
        authority: String,
        /// The path there.
        path: String,
    },
    /// In a file.
    File(PathBuf),
}

/// Settings below `[keys]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysSection {
    /// The seed that signs; nothing for the one in the data folder.
    pub file: Option<PathBuf>,
    /// Another seed whose tokens are taken.
    pub previous_file: Option<PathBuf>,
    /// Where the public keys are, the first that answers.
    pub jwks: Vec<KeySource>,
    /// How long a start waits for the public keys.
    pub wait: Duration,
}

impl KeysSection {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            file: reader.setting(
                "keys.file",
                "The file of the seed behind every login, the same for all processes that log people in; \"\" is \
                 keys/token.key in the data folder, which a process by itself makes at its first start. Make one for a \
                 cluster with `hubbub secret FILE`.",
                None,
                &MaybeFile,
            ),
            previous_file: reader.setting(
                "keys.previous_file",
                "Another such file, whose logins are taken too: the one before, or the one to come (docs/operations.md).",
                None,
                &MaybeFile,
            ),
            jwks: reader.setting(
                "keys.jwks",
                "Where a process of role hub gets the public keys of logins: from the processes that log people in, the \
                 first that answers, or from a file. By plain HTTP, so over a network that nobody else is on.",
                Vec::new(),
                &KeySources,
            ),
            wait: Duration::from_millis(reader.setting(
                "keys.wait_ms",
                "Milliseconds for which the start of a hub waits until the public keys can be had.",
                60_000,
                &Count { min: 0, max: 3_600_000 },
            )),
        }
    }
}

/// Sources of public keys.
struct KeySources;

impl Form for KeySources {
    type Value = Vec<KeySource>;

    fn read(&self, raw: &Raw) -> Option<Vec<KeySource>> {
        let items: Vec<&str> = match raw {
            Raw::Words(text) => text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect(),
            Raw::List(items) => items.iter().map(String::as_str).collect(),
            Raw::Text(_) | Raw::Number(_) | Raw::Switch(_) | Raw::Other(_) => return None,
        };
        items.into_iter().map(source).collect()
    }

    fn wants(&self) -> String {
        "a list of URLs, such as [\"http://rest-1:8080/.well-known/jwks.json\"], or of files (separated by commas in flags \
         and the environment)"
            .into()
    }

    fn shown(&self, value: &Vec<KeySource>) -> String {
        let items: Vec<String> = value
            .iter()
            .map(|source| match source {
                KeySource::Http { authority, path } => quoted(&format!("http://{authority}{path}")),
                KeySource::File(path) => quoted(&path.to_string_lossy()),
            })
            .collect();
        format!("[{}]", items.join(", "))
    }
}

fn source(text: &str) -> Option<KeySource> {
    let Some(rest) = text.strip_prefix("http://") else {
        // Anything else that looks like a URL is none that is understood here.
        return (!text.is_empty() && !text.contains("://")).then(|| KeySource::File(text.into()));
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let path_is_right = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    (is_host(authority) && path_is_right).then(|| KeySource::Http { authority: authority.into(), path: path.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_url_by_plain_http_or_a_file() {
        let http = |authority: &str, path: &str| KeySource::Http { authority: authority.into(), path: path.into() };
        assert_eq!(source("http://a:1/b/c?d"), Some(http("a:1", "/b/c?d")));
        assert_eq!(source("http://[::1]:80"), Some(http("[::1]:80", "/")));
        assert_eq!(source("keys/jwks.json"), Some(KeySource::File("keys/jwks.json".into())));
        for wrong in
            ["", "https://a/b", "http://", "http:///b", "http://a b/c", "http://u:p@a/b", "ftp://a", "http://a/#b"]
        {
            assert_eq!(source(wrong), None, "{wrong}");
        }
    }
}
