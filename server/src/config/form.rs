//! The forms that a setting's value can have: how each is read, shown, and described to whoever got it wrong.
//!
//! A file says numbers and lists in TOML's own way; flags and the environment have only text, so every form reads both.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hubbub_rest::network::Network;

use crate::telemetry;

/// A value as its source spelt it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raw {
    /// From a flag or the environment: text that may mean a number or a list.
    Words(String),
    /// A TOML string.
    Text(String),
    /// A TOML integer, in decimal.
    Number(String),
    /// A TOML boolean.
    Switch(bool),
    /// A TOML list of strings.
    List(Vec<String>),
    /// Anything else in TOML, by the name of its type.
    Other(&'static str),
}

impl Raw {
    /// What to call it in a mistake.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Words(text) | Self::Text(text) => format!("found \"{text}\""),
            Self::Number(digits) => format!("found {digits}"),
            Self::Switch(on) => format!("found {on}"),
            Self::List(items) => format!("found the list {items:?}"),
            Self::Other(kind) => format!("found a value of type {kind}"),
        }
    }

    fn as_text(&self) -> Option<&str> {
        match self {
            Self::Words(text) | Self::Text(text) => Some(text),
            Self::Number(_) | Self::Switch(_) | Self::List(_) | Self::Other(_) => None,
        }
    }
}

/// How values of one kind are read and shown.
pub(super) trait Form {
    /// What is read.
    type Value;

    /// The value, unless it is none of this form.
    fn read(&self, raw: &Raw) -> Option<Self::Value>;

    /// What would do, to go on after "expected".
    fn wants(&self) -> String;

    /// The value as TOML.
    fn shown(&self, value: &Self::Value) -> String;

    /// Whether a value is shown to nobody, be it right or wrong.
    fn is_secret(&self) -> bool {
        false
    }
}

/// A whole number within bounds, both included.
pub(super) struct Count {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Form for Count {
    type Value = u64;

    fn read(&self, raw: &Raw) -> Option<u64> {
        let (Raw::Words(digits) | Raw::Number(digits)) = raw else { return None };
        // The same grouping as in TOML, so that a value can be copied from one source to another.
        let number = digits.trim().replace('_', "").parse().ok()?;
        (self.min..=self.max).contains(&number).then_some(number)
    }

    fn wants(&self) -> String {
        format!("a whole number from {} to {}", self.min, self.max)
    }

    fn shown(&self, value: &u64) -> String {
        value.to_string()
    }
}

/// On or off.
pub(super) struct Switch;

impl Form for Switch {
    type Value = bool;

    fn read(&self, raw: &Raw) -> Option<bool> {
        match raw {
            Raw::Switch(on) => Some(*on),
            Raw::Words(word) => word.trim().parse().ok(),
            Raw::Text(_) | Raw::Number(_) | Raw::List(_) | Raw::Other(_) => None,
        }
    }

    fn wants(&self) -> String {
        "true or false".into()
    }

    fn shown(&self, value: &bool) -> String {
        value.to_string()
    }
}

/// One of a few words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Form for Choice<T> {
    type Value = T;

    fn read(&self, raw: &Raw) -> Option<T> {
        let word = raw.as_text()?;
        self.0.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
    }

    fn wants(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        format!("one of {}", words.join(", "))
    }

    fn shown(&self, value: &T) -> String {
        let word = self.0.iter().find(|(_, candidate)| candidate == value).map_or("", |(name, _)| *name);
        quoted(word)
    }
}

/// An address and a port to listen on.
pub(super) struct Address;

impl Form for Address {
    type Value = SocketAddr;

    fn read(&self, raw: &Raw) -> Option<SocketAddr> {
        raw.as_text()?.trim().parse().ok()
    }

    fn wants(&self) -> String {
        "an address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\" (port 0 takes any free one)".into()
    }

    fn shown(&self, value: &SocketAddr) -> String {
        quoted(&value.to_string())
    }
}

/// A folder's path.
pub(super) struct Folder;

impl Form for Folder {
    type Value = PathBuf;

    fn read(&self, raw: &Raw) -> Option<PathBuf> {
        raw.as_text().filter(|path| !path.trim().is_empty()).map(PathBuf::from)
    }

    fn wants(&self) -> String {
        "the path of a folder, such as \"./data\"".into()
    }

    fn shown(&self, value: &PathBuf) -> String {
        quoted(&value.to_string_lossy())
    }
}

/// A list of texts: as such in a file, with commas between them in flags and the environment.
fn read_list(raw: &Raw) -> Option<Vec<String>> {
    match raw {
        Raw::Words(text) => {
            Some(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(String::from).collect())
        }
        Raw::List(items) => Some(items.clone()),
        Raw::Text(_) | Raw::Number(_) | Raw::Switch(_) | Raw::Other(_) => None,
    }
}

fn shown_list<'t>(items: impl IntoIterator<Item = &'t str>) -> String {
    let items: Vec<String> = items.into_iter().map(quoted).collect();
    format!("[{}]", items.join(", "))
}

/// What a browser may send as `Origin`: scheme, host, and the port where it is not the scheme's own.
pub(super) struct Origins;

impl Form for Origins {
    type Value = Vec<String>;

    fn read(&self, raw: &Raw) -> Option<Vec<String>> {
        let origins = read_list(raw)?;
        origins.iter().all(|origin| is_origin(origin)).then_some(origins)
    }

    fn wants(&self) -> String {
        "a list of origins, such as [\"https://chat.example.org\", \"http://localhost:5173\"] (separated by commas in \
         flags and the environment; without a path or a slash at the end)"
            .into()
    }

    fn shown(&self, value: &Vec<String>) -> String {
        shown_list(value.iter().map(String::as_str))
    }
}

/// Browsers send exactly this form, and it is compared byte by byte: anything else would never match.
fn is_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let host_bytes = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
    !rest.is_empty() && rest.bytes().all(host_bytes)
}

/// Networks and single addresses.
pub(super) struct Networks;

impl Form for Networks {
    type Value = Vec<Network>;

    fn read(&self, raw: &Raw) -> Option<Vec<Network>> {
        read_list(raw)?.iter().map(|text| text.parse().ok()).collect()
    }

    fn wants(&self) -> String {
        "a list of networks or addresses, such as [\"10.1.0.0/16\", \"fd00::7\"] (separated by commas in flags and the \
         environment)"
            .into()
    }

    fn shown(&self, value: &Vec<Network>) -> String {
        let items: Vec<String> = value.iter().map(Network::to_string).collect();
        shown_list(items.iter().map(String::as_str))
    }
}

/// Names or addresses of machines, each with a port if it is not the usual one.
pub(super) struct Hosts;

impl Form for Hosts {
    type Value = Vec<String>;

    fn read(&self, raw: &Raw) -> Option<Vec<String>> {
        read_list(raw).filter(|hosts| hosts.iter().all(|host| is_host(host)))
    }

    fn wants(&self) -> String {
        "a list of hosts, each with its port unless that is 9042, such as [\"10.0.0.1\", \"cql.example:9043\"] \
         (separated by commas in flags and the environment)"
            .into()
    }

    fn shown(&self, value: &Vec<String>) -> String {
        shown_list(value.iter().map(String::as_str))
    }
}

/// Whether this is `host` or `host:port`; an IPv6 address with a port stands in brackets.
pub(super) fn is_host(text: &str) -> bool {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let host_is_right = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(named),
    };
    host_is_right && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// A text of which a function says whether it will do; often nothing at all will.
pub(super) struct Word {
    pub(super) wants: &'static str,
    pub(super) does: fn(&str) -> bool,
}

impl Form for Word {
    type Value = String;

    fn read(&self, raw: &Raw) -> Option<String> {
        raw.as_text().filter(|text| (self.does)(text)).map(String::from)
    }

    fn wants(&self) -> String {
        self.wants.into()
    }

    fn shown(&self, value: &String) -> String {
        quoted(value)
    }
}

/// A file's path, or nothing.
pub(super) struct MaybeFile;

impl Form for MaybeFile {
    type Value = Option<PathBuf>;

    fn read(&self, raw: &Raw) -> Option<Option<PathBuf>> {
        let path = raw.as_text()?;
        Some((!path.trim().is_empty()).then(|| PathBuf::from(path)))
    }

    fn wants(&self) -> String {
        "the path of a file; \"\" for none".into()
    }

    fn shown(&self, value: &Option<PathBuf>) -> String {
        quoted(&value.as_deref().unwrap_or(Path::new("")).to_string_lossy())
    }
}

/// What is logged: a level, or a comma-separated list of a level and `target=level`.
pub(super) struct LogLevel;

impl Form for LogLevel {
    type Value = String;

    fn read(&self, raw: &Raw) -> Option<String> {
        let text = raw.as_text()?;
        telemetry::levels(text).map(|_| text.to_owned())
    }

    fn wants(&self) -> String {
        "\"error\", \"warn\", \"info\", \"debug\", \"trace\" or \"off\", and after it exceptions by crate, such as \
         \"info,hubbub_hub=debug\""
            .into()
    }

    fn shown(&self, value: &String) -> String {
        quoted(value)
    }
}

/// The text as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_reads_numbers_of_files_and_words_of_flags_within_its_bounds_only() {
        let form = Count { min: 1, max: 10_000 };
        assert_eq!(form.read(&Raw::Words("7".into())), Some(7));
        assert_eq!(form.read(&Raw::Number("1_000".into())), Some(1_000));
        for wrong in [Raw::Words("0".into()), Raw::Number("10001".into()), Raw::Number("-1".into())] {
            assert_eq!(form.read(&wrong), None, "{wrong:?}");
        }
        assert_eq!(form.read(&Raw::Text("7".into())), None, "a quoted number in a file is a mistake");
    }

    #[test]
    fn an_origin_is_what_a_browser_sends_and_nothing_longer() {
        for right in ["https://chat.example.org", "http://localhost:5173", "http://[::1]:80"] {
            assert!(is_origin(right), "{right}");
        }
        for wrong in ["*", "chat.example.org", "https://", "https://a.org/", "https://A.org", "ws://a.org", ""] {
            assert!(!is_origin(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_host_has_a_name_or_an_address_and_perhaps_a_port() {
        for right in ["localhost", "10.0.0.1:9042", "cql-1.example_net:9", "::1", "[::1]:9042", "[2001:db8::1]"] {
            assert!(is_host(right), "{right}");
        }
        for wrong in ["", ":9042", "a:0", "a:70000", "a:b", "http://a", "a/b", "[::1", "[a]:1", "a b", "é"] {
            assert!(!is_host(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_path_with_quotes_and_backslashes_is_shown_as_toml_that_reads_back() {
        let path = PathBuf::from(r#"C:\da"ta"#);
        let line = format!("data = {}", Folder.shown(&path));
        let table: toml::Table = line.parse().unwrap();
        assert_eq!(table["data"].as_str(), path.to_str());
    }
}
