//! Values that are shown to nobody: neither by `hubbub config` nor in a mistake nor in a log.

use std::fmt;

use zeroize::Zeroizing;

use super::form::{Form, Raw, is_host, quoted};

/// What stands for a secret. Whoever copies it into a file is told that it is none.
const HIDDEN: &str = "(hidden)";

/// A secret text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret that is this.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Not the text.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// A password, or nothing.
pub(super) struct Password;

impl Form for Password {
    type Value = Option<Secret>;

    fn read(&self, raw: &Raw) -> Option<Option<Secret>> {
        let (Raw::Words(text) | Raw::Text(text)) = raw else { return None };
        let secret = (!text.is_empty()).then(|| Secret::new(text.clone()));
        (text != HIDDEN).then_some(secret)
    }

    fn wants(&self) -> String {
        "a password; \"\" for none".into()
    }

    fn shown(&self, value: &Option<Secret>) -> String {
        quoted(if value.is_some() { HIDDEN } else { "" })
    }

    fn is_secret(&self) -> bool {
        true
    }
}

/// Where a Redis is, perhaps with a password in it; or nothing.
pub(super) struct RedisUrl;

impl Form for RedisUrl {
    type Value = Option<Secret>;

    fn read(&self, raw: &Raw) -> Option<Option<Secret>> {
        let (Raw::Words(text) | Raw::Text(text)) = raw else { return None };
        if text.is_empty() {
            return Some(None);
        }
        let (who, host, database) = parts(text)?;
        let right = who != Some(HIDDEN)
            && is_host(host)
            && database.is_none_or(|number| number.is_empty() || number.parse::<u8>().is_ok());
        right.then(|| Some(Secret::new(text.clone())))
    }

    fn wants(&self) -> String {
        "the URL of a Redis, such as \"redis://10.0.0.5:6379\" or \"redis://USER:PASSWORD@HOST:PORT/0\"; \"\" for none"
            .into()
    }

    fn shown(&self, value: &Option<Secret>) -> String {
        let Some((who, host, database)) = value.as_ref().and_then(|url| parts(url.reveal())) else {
            return quoted("");
        };
        let who = who.map_or(String::new(), |_| format!("{HIDDEN}@"));
        quoted(&format!("redis://{who}{host}{}", database.map_or(String::new(), |number| format!("/{number}"))))
    }

    fn is_secret(&self) -> bool {
        true
    }
}

/// Who logs in, where, and to which database.
fn parts(url: &str) -> Option<(Option<&str>, &str, Option<&str>)> {
    let rest = url.strip_prefix("redis://")?;
    // The last one: a password may hold others, and a host may not.
    let (who, place) = rest.rsplit_once('@').map_or((None, rest), |(who, place)| (Some(who), place));
    let (host, database) = place.split_once('/').map_or((place, None), |(host, number)| (host, Some(number)));
    Some((who, host, database))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Raw {
        Raw::Words(text.to_owned())
    }

    #[test]
    fn a_redis_url_is_read_whole_and_shown_without_its_password() {
        for (text, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("redis://redis", "redis://redis"),
            ("redis://:s3cret@redis:6380/2", "redis://(hidden)@redis:6380/2"),
            ("redis://ada:p@ss@[::1]:6379/", "redis://(hidden)@[::1]:6379/"),
        ] {
            let read = RedisUrl.read(&words(text)).unwrap();
            assert_eq!(read.as_ref().unwrap().reveal(), text);
            assert_eq!(RedisUrl.shown(&read), format!("\"{shown}\""));
            assert!(!format!("{read:?}").contains("redis"));
        }
        assert_eq!(RedisUrl.read(&words("")), Some(None));
        for wrong in
            ["127.0.0.1:6379", "rediss://a", "http://a", "redis://", "redis://a/x", "redis://(hidden)@a", "redis://a:0"]
        {
            assert_eq!(RedisUrl.read(&words(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn a_password_is_never_shown_and_what_stands_for_it_is_none() {
        let read = |text: &str| Password.read(&Raw::Text(text.to_owned()));
        let password = read("s3cret").unwrap();
        assert_eq!(
            (Password.shown(&password).as_str(), format!("{password:?}").as_str()),
            ("\"(hidden)\"", "Some((hidden))")
        );
        assert_eq!((read(""), read(HIDDEN)), (Some(None), None));
    }
}
