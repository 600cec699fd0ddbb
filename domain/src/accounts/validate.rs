//! What may stand in an account: each check names the field, the limit and the way out.

use hubbub_protocol::ErrorBody;
use hubbub_protocol::limits::{MAX_DESCRIPTION_BYTES, MAX_NAME_BYTES};

use super::password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARACTERS};
use crate::fields::{check_bytes, check_text, invalid, too_large};

/// A handle, in bytes.
pub const MAX_HANDLE_BYTES: usize = 32;
const MIN_HANDLE_BYTES: usize = 3;
/// An e-mail address, in bytes (RFC 5321 section 4.5.3.1.3, without the angle brackets).
const MAX_EMAIL_BYTES: usize = 254;
/// The part before the `@` (RFC 5321 section 4.5.3.1.1).
const MAX_LOCAL_PART_BYTES: usize = 64;
/// What every browser takes as an address.
const MAX_URL_BYTES: usize = 2_000;
/// RFC 5646 section 4.4.1 asks for at least 35.
const MAX_LOCALE_BYTES: usize = 35;

/// The address as it is claimed and compared: trimmed, in lower case.
pub(super) fn email(text: &str) -> Result<String, ErrorBody> {
    let email = text.trim().to_lowercase();
    check_bytes("email", email.len(), "max_email_bytes", MAX_EMAIL_BYTES)?;
    if is_address(&email) { Ok(email) } else { Err(invalid("email", "`email` is an address such as ada@example.org")) }
}

/// Only its outer form: whether mail reaches anybody shows when it is sent.
fn is_address(email: &str) -> bool {
    let Some((local, domain)) = email.rsplit_once('@') else { return false };
    let plain = |text: &str| !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '@');
    let dotted = |text: &str| !text.starts_with('.') && !text.ends_with('.') && !text.contains("..");
    plain(local) && plain(domain) && dotted(local) && dotted(domain) && local.len() <= MAX_LOCAL_PART_BYTES
}

pub(super) fn password(text: &str) -> Result<(), ErrorBody> {
    // Without its length in the message: it may be logged.
    if text.len() > MAX_PASSWORD_BYTES {
        let message = format!("`account_password` may have {MAX_PASSWORD_BYTES} bytes: shorten it");
        return Err(too_large("account_password", message, "max_password_bytes", MAX_PASSWORD_BYTES));
    }
    if text.chars().count() < MIN_PASSWORD_CHARACTERS {
        let message = format!("`account_password` has at least {MIN_PASSWORD_CHARACTERS} characters: lengthen it");
        return Err(invalid("account_password", message)
            .with("limit", "min_password_characters")
            .with("min", MIN_PASSWORD_CHARACTERS));
    }
    Ok(())
}

/// A handle as it is claimed and compared: in lower case.
pub(super) fn handle(text: &str) -> Result<String, ErrorBody> {
    let handle = text.to_lowercase();
    let sized = (MIN_HANDLE_BYTES..=MAX_HANDLE_BYTES).contains(&handle.len());
    if sized && is_handle_text(&handle) {
        return Ok(handle);
    }
    let message =
        format!("`handle` has {MIN_HANDLE_BYTES} to {MAX_HANDLE_BYTES} of the characters a-z, 0-9, `_`, `.` and `-`");
    Err(invalid("handle", message).with("limit", "max_handle_bytes").with("max", MAX_HANDLE_BYTES))
}

/// Whether all of it could be part of a handle.
pub(super) fn is_handle_text(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte))
}

pub(super) fn display_name(text: &str) -> Result<String, ErrorBody> {
    let name = text.trim();
    check_bytes("display_name", name.len(), "max_name_bytes", MAX_NAME_BYTES)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(invalid("display_name", "`display_name` is one line with at least one character"));
    }
    Ok(name.to_owned())
}

pub(super) fn description(text: &str) -> Result<String, ErrorBody> {
    check_text("description", text, "max_description_bytes", MAX_DESCRIPTION_BYTES)?;
    Ok(text.to_owned())
}

/// Only what clients can load without leaking where from: `https` or a path on this server. Empty takes it away.
pub(super) fn avatar_url(text: &str) -> Result<Option<String>, ErrorBody> {
    if text.is_empty() {
        return Ok(None);
    }
    check_bytes("avatar_url", text.len(), "max_url_bytes", MAX_URL_BYTES)?;
    let here = text.starts_with('/') && !text.starts_with("//");
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\`".contains(&byte));
    if plain && (here || text.starts_with("https://")) {
        return Ok(Some(text.to_owned()));
    }
    Err(invalid("avatar_url", "`avatar_url` is an https:// address or a path on this server"))
}

/// A language tag. Empty takes it away.
pub(super) fn locale(text: &str) -> Result<Option<String>, ErrorBody> {
    if text.is_empty() {
        return Ok(None);
    }
    let tag = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if tag && text.len() <= MAX_LOCALE_BYTES {
        return Ok(Some(text.to_owned()));
    }
    Err(invalid("locale", "`locale` is a language tag such as `en` or `pt-BR`"))
}
