//! The refusals that several rules share. Each names the field, the limit it keeps and the way out.

use hubbub_protocol::limits::MAX_MEMBERS_PER_REQUEST;
use hubbub_protocol::{ErrorBody, ErrorCode};

use crate::fields::too_large;

/// There is no such conversation, or not for this caller: strangers and ex-members hear the same (MEMBERS-ONLY).
pub fn not_found() -> ErrorBody {
    ErrorBody::new(ErrorCode::NotFound, "there is no such conversation, or you are not a member of it")
}

pub(super) fn no_such_message() -> ErrorBody {
    ErrorBody::new(ErrorCode::NotFound, "there is no such message in this conversation, or none that you may read")
        .with("field", "message_id")
}

pub(super) fn forbidden(needed: &str, what: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::Forbidden, format!("{what} takes the rank of {needed}: ask one who has it"))
        .with("needed_role", needed)
}

pub(super) fn conflict(message: impl Into<String>) -> ErrorBody {
    ErrorBody::new(ErrorCode::Conflict, message)
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
