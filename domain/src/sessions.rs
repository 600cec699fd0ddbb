//! skeleton
use crate::{identity::Caller, tokens::KeyRing};
use hubbub_protocol::{DeviceId, ErrorBody, SessionId, UserId};
use hubbub_storage::{clock::Clock, store::Store};
use std::sync::Arc;
/// The device a login comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// id
    pub id: Option<DeviceId>,
    /// name
    pub name: String,
}
/// What a login gives.
#[derive(Clone)]
pub struct Tokens {
    /// caller
    pub caller: Caller,
    /// access
    pub access_token: String,
    /// refresh
    pub refresh_token: String,
    /// seconds
    pub expires_in_seconds: u64,
}
/// What a refresh gives.
pub type Refreshed = Tokens;
/// Why a refresh was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshError {
    /// body
    pub body: ErrorBody,
    /// the session that this reuse revoked: end its sockets
    pub revoked: Option<SessionId>,
}
/// Logins.
#[derive(Clone)]
pub struct Sessions {}
#[expect(
    clippy::todo,
    clippy::unused_async,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "skeleton"
)]
impl Sessions {
    /// new
    #[must_use]
    pub fn new(_store: Store, _clock: Arc<dyn Clock>, _keys: Arc<KeyRing>) -> Self {
        todo!()
    }
    /// open
    pub async fn open(&self, _user_id: UserId, _device: Device) -> Result<Tokens, ErrorBody> {
        todo!()
    }
    /// refresh
    pub async fn refresh(&self, _refresh_token: &str) -> Result<Refreshed, RefreshError> {
        todo!()
    }
    /// revoke
    pub async fn revoke(&self, _session_id: SessionId) -> Result<(), ErrorBody> {
        todo!()
    }
    /// authenticate
    pub async fn authenticate(&self, _access_token: &str) -> Result<Caller, ErrorBody> {
        todo!()
    }
}
