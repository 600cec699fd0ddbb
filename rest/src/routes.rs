//! The routes, one file a resource, one line a route: [`utoipa_axum::routes`] registers a handler and describes it at once.

pub(crate) mod auth;
pub(crate) mod conversations;
pub(crate) mod groups;
pub(crate) mod members;
pub(crate) mod messages;
mod people;
pub(crate) mod users;

use axum::http::StatusCode;
use hubbub_domain::conversation::{Act, Command};
use hubbub_domain::conversations::Stored;
use hubbub_domain::identity::Caller;

use crate::model::conversations::Done;

/// What a caller wants done, without a client id of its own.
fn act(caller: &Caller, command: Command) -> Act {
    Act { author: caller.author(), client_message_id: None, command }
}

impl From<Stored> for Done {
    fn from(stored: Stored) -> Self {
        Self { conversation_seq: stored.first, changed: !stored.duplicate }
    }
}

/// 201 for what this request made, 200 for what was there already.
const fn created(stored: &Stored) -> StatusCode {
    if stored.duplicate { StatusCode::OK } else { StatusCode::CREATED }
}
