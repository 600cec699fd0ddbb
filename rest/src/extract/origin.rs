//! Whether a page of another site is behind a request that sets or uses the refresh cookie (CSRF).
//!
//! The cookie is `SameSite=Strict` and its paths read nothing but JSON, which alone keeps other sites out; this is the
//! second lock, for browsers and siblings that the first does not cover. Clients that are no browsers send neither header.

use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, HeaderValue};
use hubbub_protocol::ErrorCode;

use crate::error::{ApiError, ApiResult};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what a page of a site that is neither this one nor on the list sends.
pub(crate) fn check_origin(headers: &HeaderMap, allowed: &[String]) -> ApiResult<()> {
    let refused = || ApiError::new(ErrorCode::OriginRefused, "this origin is not on the server's list");
    if let Some(origin) = headers.get(ORIGIN) {
        let origin = origin.to_str().map_err(|_| refused())?;
        if allowed.iter().any(|known| known == origin) || is_own(origin, headers) {
            return Ok(());
        }
        return Err(refused());
    }
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(refused()),
    }
}

/// Whether the page was served under the very name that it calls.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(origin: Option<&str>, site: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("hub.example:8080"));
        let mut set = |name, value: Option<&str>| {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        };
        set(ORIGIN, origin);
        set(SEC_FETCH_SITE, site);
        check_origin(&headers, &["https://chat.example".to_owned()]).is_ok()
    }

    #[test]
    fn own_pages_listed_origins_and_programs_pass() {
        assert!(verdict(None, None));
        assert!(verdict(None, Some("same-origin")));
        assert!(verdict(Some("http://hub.example:8080"), Some("same-origin")));
        assert!(verdict(Some("https://chat.example"), Some("cross-site")));
    }

    #[test]
    fn foreign_pages_are_refused_however_they_spell_it() {
        for origin in [
            "https://evil.example",
            "null",
            "https://chat.example.evil.example",
            "https://chat.example:444",
            "http://chat.example",
            "http://hub.example",
            "HTTPS://CHAT.EXAMPLE",
            "*",
            "",
        ] {
            assert!(!verdict(Some(origin), Some("cross-site")), "{origin}");
        }
        assert!(!verdict(None, Some("cross-site")));
        assert!(!verdict(None, Some("same-site")));
    }
}
