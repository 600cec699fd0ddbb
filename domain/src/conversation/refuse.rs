//! The refusals that several rules share. Each names the field, the limit it keeps and the way out.

use hubbub_protocol::limits::MAX_MEMBERS_PER_REQUEST;
use hubbub_protocol::{ErrorBody, ErrorCode};

/// There is no such conversation, or not for this caller: strangers and ex-members hear the same (MEMBERS-ONLY).
pub fn not_found() -> ErrorBody {
    ErrorBody::new(ErrorCode::NotFound, "there is no such conversation, or you are not a member of it")
}

pub(super) fn no_such_message() -> ErrorBody {
    ErrorBody::new(ErrorCode::NotFound, "there is no such message in this conversation, or none that you may read")
        .with("field", "message_id")
}

pub(super) fn invalid(field: &str, message: impl Into<String>) -> ErrorBody {
    ErrorBody::new(ErrorCode::ValidationFailed, message).with("field", field)
}

pub(super) fn forbidden(needed: &str, what: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::Forbidden, format!("{what} takes the rank of {needed}: ask one who has it"))
        .with("needed_role", needed)
}

pub(super) fn conflict(message: impl Into<String>) -> ErrorBody {
    ErrorBody::new(ErrorCode::Conflict, message)
}

/// Refuses text that is longer than its limit or would break a line, a log or a terminal.
pub(super) fn check_text(field: &str, text: &str, limit: &str, max: usize) -> Result<(), ErrorBody> {
    check_bytes(field, text.len(), limit, max)?;
    if text.chars().any(|character| character.is_control() && character != '\n') {
        return Err(invalid(field, format!("`{field}` holds control characters: leave them out")));
    }
    Ok(())
}

/// Refuses what is longer than its limit, in bytes.
pub(super) fn check_bytes(field: &str, bytes: usize, limit: &str, max: usize) -> Result<(), ErrorBody> {
    if bytes <= max {
        return Ok(());
    }
    let message = format!("`{field}` has {bytes} bytes and may have {max}: shorten it");
    Err(too_large(field, message, limit, max))
}

/// How many people one request may name; more come by further requests.
pub(super) fn check_people(field: &str, count: usize) -> Result<(), ErrorBody> {
    if count <= MAX_MEMBERS_PER_REQUEST {
        return Ok(());
    }
    let message = format!(
        "`{field}` names {count} people and may name {MAX_MEMBERS_PER_REQUEST}: add the others with further requests"
    );
    Err(too_large(field, message, "max_members_per_request", MAX_MEMBERS_PER_REQUEST))
}

pub(super) fn too_large(field: &str, message: String, limit: &str, max: usize) -> ErrorBody {
    ErrorBody::new(ErrorCode::TooLarge, message).with("field", field).with("limit", limit).with("max", max)
}
