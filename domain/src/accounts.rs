//! skeleton
use hubbub_protocol::{ErrorBody, Timestamp, UserId};
use hubbub_storage::{clock::Clock, error::StoreResult, store::Store};
use std::sync::Arc;
/// A registration.
#[derive(Clone)]
pub struct Registration {
    /// email
    pub email: String,
    /// password
    pub password: String,
    /// name
    pub display_name: String,
    /// handle
    pub handle: Option<String>,
    /// locale
    pub locale: Option<String>,
}
/// One's own profile.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// what others see
    pub public: PublicProfile,
    /// email
    pub email: String,
    /// locale
    pub locale: Option<String>,
}
/// What others see of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicProfile {
    /// id
    pub user_id: UserId,
    /// handle
    pub handle: String,
    /// name
    pub display_name: String,
    /// description
    pub description: String,
    /// picture
    pub avatar_url: Option<String>,
    /// since
    pub created_at: Timestamp,
}
/// What to change; what is absent stays. An empty `avatar_url` or `locale` takes it away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileChange {
    /// name
    pub display_name: Option<String>,
    /// handle
    pub handle: Option<String>,
    /// description
    pub description: Option<String>,
    /// picture
    pub avatar_url: Option<String>,
    /// locale
    pub locale: Option<String>,
}
/// People.
#[derive(Clone)]
pub struct Accounts {}
#[expect(
    clippy::todo,
    clippy::unused_async,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "skeleton"
)]
impl Accounts {
    /// new
    #[must_use]
    pub fn new(_store: Store, _clock: Arc<dyn Clock>) -> Self {
        todo!()
    }
    /// register
    pub async fn register(&self, _registration: Registration) -> Result<Profile, ErrorBody> {
        todo!()
    }
    /// login
    pub async fn login(&self, _email: &str, _password: &str) -> Result<Profile, ErrorBody> {
        todo!()
    }
    /// profile
    pub async fn profile(&self, _user: UserId) -> Result<Profile, ErrorBody> {
        todo!()
    }
    /// public
    pub async fn public(&self, _user: UserId) -> Result<PublicProfile, ErrorBody> {
        todo!()
    }
    /// update
    pub async fn update(&self, _user: UserId, _change: ProfileChange) -> Result<Profile, ErrorBody> {
        todo!()
    }
    /// search
    pub async fn search(&self, _query: &str, _limit: usize) -> Result<Vec<PublicProfile>, ErrorBody> {
        todo!()
    }
    /// exists
    pub async fn exists(&self, _user: UserId) -> StoreResult<bool> {
        todo!()
    }
}
