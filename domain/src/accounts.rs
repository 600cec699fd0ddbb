//! People: registering, logging in, profiles and finding each other.
//!
//! Run by the REST sidecar. An account is one row; its e-mail address and handle are claimed before the row, so that each
//! belongs to one account. Passwords are hashed off the async threads, a few at a time (BOUNDED).
//! Whether an address has an account is not told by a login: unknown addresses and wrong passwords are answered alike.
//! Leaves what comes of a login to [`crate::sessions`], and rates by address to the sidecar.

mod claims;
mod login;
mod password;
mod profile;
mod register;
mod search;
mod strangers;
mod validate;

use std::fmt;
use std::sync::Arc;

use hubbub_protocol::{ErrorBody, ErrorCode, Timestamp, UserId};
use hubbub_storage::clock::Clock;
use hubbub_storage::error::StoreResult;
use hubbub_storage::families::accounts::{Account, Accounts as AccountRows};
use hubbub_storage::families::handles::Handles;
use hubbub_storage::records::{Records, Row, Table};
use hubbub_storage::store::Store;

use crate::refusal::never_stored;
use password::Passwords;
use strangers::Strangers;

pub use login::{LOCK_MS, MAX_FAILED_LOGINS};
pub use password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARACTERS};
pub use profile::ProfileChange;
pub use register::Registration;
pub use search::MAX_FOUND;
pub use validate::MAX_HANDLE_BYTES;

/// What others see of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicProfile {
    /// Who.
    pub user_id: UserId,
    /// The unique name to be found by.
    pub handle: String,
    /// The name to be shown.
    pub display_name: String,
    /// What stands below it.
    pub description: String,
    /// Where the picture is.
    pub avatar_url: Option<String>,
    /// Since when there is this account.
    pub created_at: Timestamp,
}

/// What a person sees of their own account.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// What others see.
    pub public: PublicProfile,
    /// The address to log in with.
    pub email: String,
    /// The language of texts that the server sends.
    pub locale: Option<String>,
}

/// Shows no address.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Accounts over a store. Cheap to clone; the clones share one queue for passwords.
#[derive(Clone)]
pub struct Accounts {
    rows: Table<AccountRows>,
    handles: Table<Handles>,
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    passwords: Passwords,
    strangers: Arc<Strangers>,
}

impl Accounts {
    /// Those of this store.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a store is a bundle of handles, passed as such everywhere")]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            rows: Table::new(Arc::clone(&store.records)),
            handles: Table::new(Arc::clone(&store.records)),
            records: Arc::clone(&store.records),
            clock,
            passwords: Passwords::new(),
            strangers: Arc::default(),
        }
    }

    /// One's own account.
    ///
    /// # Errors
    ///
    /// `not_found`, or the store's refusals.
    pub async fn profile(&self, user: UserId) -> Result<Profile, ErrorBody> {
        Ok(own(user, &self.find(user).await?.value))
    }

    /// What others see of a person.
    ///
    /// # Errors
    ///
    /// `not_found`, or the store's refusals.
    pub async fn public(&self, user: UserId) -> Result<PublicProfile, ErrorBody> {
        Ok(public(user, &self.find(user).await?.value))
    }

    /// Whether there is such a person.
    ///
    /// # Errors
    ///
    /// As the store's reads.
    pub async fn exists(&self, user: UserId) -> StoreResult<bool> {
        Ok(self.rows.get(&user, &()).await?.is_some())
    }

    async fn find(&self, user: UserId) -> Result<Row<AccountRows>, ErrorBody> {
        let row = self.rows.get(&user, &()).await.map_err(|error| never_stored(&error))?;
        row.ok_or_else(|| ErrorBody::new(ErrorCode::NotFound, "there is no such person").with("field", "user_id"))
    }
}

fn public(user_id: UserId, account: &Account) -> PublicProfile {
    PublicProfile {
        user_id,
        handle: account.handle.clone(),
        display_name: account.display_name.clone(),
        description: account.description.clone(),
        avatar_url: account.avatar_url.clone(),
        created_at: account.created_at,
    }
}

fn own(user_id: UserId, account: &Account) -> Profile {
    Profile { public: public(user_id, account), email: account.email.clone(), locale: account.locale.clone() }
}
