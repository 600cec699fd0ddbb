//! The refusals of a field, whatever it belongs to: too large, or without sense. Each names the field, the limit it keeps
//! and the way out, and none repeats what the field held.

use hubbub_protocol::{ErrorBody, ErrorCode};

pub(crate) fn invalid(field: &str, message: impl Into<String>) -> ErrorBody {
    ErrorBody::new(ErrorCode::ValidationFailed, message).with("field", field)
}

/// Refuses text that is longer than its limit or would break a line, a log or a terminal.
pub(crate) fn check_text(field: &str, text: &str, limit: &str, max: usize) -> Result<(), ErrorBody> {
    check_bytes(field, text.len(), limit, max)?;
    if text.chars().any(|character| character.is_control() && character != '\n') {
        return Err(invalid(field, format!("`{field}` holds control characters: leave them out")));
    }
    Ok(())
}

/// Refuses what is longer than its limit, in bytes.
pub(crate) fn check_bytes(field: &str, bytes: usize, limit: &str, max: usize) -> Result<(), ErrorBody> {
    if bytes <= max {
        return Ok(());
    }
    let message = format!("`{field}` has {bytes} bytes and may have {max}: shorten it");
    Err(too_large(field, message, limit, max))
}

pub(crate) fn too_large(field: &str, message: String, limit: &str, max: usize) -> ErrorBody {
    ErrorBody::new(ErrorCode::TooLarge, message).with("field", field).with("limit", limit).with("max", max)
}
