//! A store's error in the words of the wire (HONEST): what was never stored, and what may have been.

use hubbub_protocol::{ErrorBody, ErrorCode};
use hubbub_storage::error::StoreError;

/// What a client is told of a store's error. The engine's own words stay out of it: they are for the log.
pub fn refusal(error: &StoreError) -> ErrorBody {
    match error {
        StoreError::Overloaded => {
            ErrorBody::new(ErrorCode::Overloaded, "the store's queue is full: nothing was stored, try again shortly")
        }
        StoreError::Unavailable(_) => ErrorBody::new(
            ErrorCode::StoreUnavailable,
            "the store cannot be reached: nothing was stored, try again shortly",
        ),
        // A store that stopped under a write may have stored it.
        StoreError::Unknown(_) | StoreError::Stopped(_) => ErrorBody::new(
            ErrorCode::UnknownOutcome,
            "it may or may not have been stored: repeat it with the same client_message_id to learn which",
        ),
        StoreError::Damaged(_) => {
            ErrorBody::new(ErrorCode::Internal, "what the store holds could not be read: the operator has been told")
        }
        StoreError::Invalid(_) => ErrorBody::new(
            ErrorCode::Internal,
            "the server asked its store for what it does not do: nothing was stored",
        ),
    }
}

/// The same for a call before the write that counts: whatever its own outcome, the act was not stored.
pub fn never_stored(error: &StoreError) -> ErrorBody {
    match error {
        StoreError::Unknown(reason) | StoreError::Stopped(reason) => refusal(&StoreError::Unavailable(reason.clone())),
        StoreError::Overloaded | StoreError::Unavailable(_) | StoreError::Damaged(_) | StoreError::Invalid(_) => {
            refusal(error)
        }
    }
}
