//! The refresh cookie: written, read and taken away in one place, always with the same attributes.

use axum::http::header::{COOKIE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};

use crate::error::ApiError;
use crate::extract::peer::{is_encrypted, is_local};
use crate::state::CookieSecure;

/// Browsers take this name from the host itself over HTTPS alone, so neither a neighbouring name nor a plain page can put
/// a cookie of its own in its place.
const SECURE_NAME: &str = "__Host-hubbub_refresh";
/// Without `Secure` browsers would not take the other.
const PLAIN_NAME: &str = "hubbub_refresh";
/// 30 days, as long as a refresh token lives.
const MAX_AGE_SECONDS: u32 = 30 * 24 * 60 * 60;

/// The refresh token that a browser sent, under the name that [`keep`] would give it here and no other.
pub(crate) fn refresh_token(parts: &Parts, secure: CookieSecure) -> Option<&str> {
    let wanted = name(is_secure(parts, secure));
    let pairs =
        parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(';'));
    let mut found = pairs.filter_map(|pair| pair.trim().split_once('='));
    found.find_map(|(name, value)| (name == wanted).then_some(value))
}

/// The header that keeps a token for the next refresh.
pub(crate) fn keep(token: &str, parts: &Parts, secure: CookieSecure) -> Result<HeaderValue, ApiError> {
    write(token, MAX_AGE_SECONDS, is_secure(parts, secure))
}

/// The header that takes it away.
pub(crate) fn drop(parts: &Parts, secure: CookieSecure) -> Result<HeaderValue, ApiError> {
    write("", 0, is_secure(parts, secure))
}

fn write(token: &str, max_age: u32, secure: bool) -> Result<HeaderValue, ApiError> {
    let (name, secure) = (name(secure), if secure { "; Secure" } else { "" });
    let text = format!("{name}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={max_age}{secure}");
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| ApiError::new(hubbub_protocol::ErrorCode::Internal, "the token cannot be sent as a cookie"))?;
    value.set_sensitive(true);
    Ok(value)
}

const fn name(secure: bool) -> &'static str {
    if secure { SECURE_NAME } else { PLAIN_NAME }
}

/// A first try on one's own machine has no certificate; everything else has one, here or in a proxy before it.
fn is_secure(parts: &Parts, secure: CookieSecure) -> bool {
    match secure {
        CookieSecure::Always => true,
        CookieSecure::UnlessLoopback => is_encrypted(parts) || !(is_local(parts) && names_loopback(&parts.headers)),
    }
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}
