//! Logins: opening, refreshing with rotation and reuse detection, ending, and who an access token stands for.
//!
//! A session is one row, and a token is good while its row is: ending a session deletes the row, so that one read tells.
//! Two types, by what they may do: [`Sessions`] says who is calling and whether a login still stands, by public keys;
//! [`Logins`] opens, refreshes and ends them, and holds the secrets.
//! Keeps MEMBERS-ONLY (an ended session is refused at once, everywhere) and BOUNDED (sessions of a person).
//! Leaves to its callers to end the sockets of the sessions it says have ended.

mod logins;
mod refresh;

use std::fmt;
use std::sync::Arc;

use hubbub_protocol::{DeviceId, ErrorBody, SessionId};
use hubbub_storage::clock::Clock;
use hubbub_storage::error::StoreResult;
use hubbub_storage::families::sessions::{Session, Sessions as SessionRows};
use hubbub_storage::records::Table;
use hubbub_storage::store::Store;

use crate::identity::Caller;
use crate::refusal::never_stored;
use crate::tokens::{Verifier, expired, invalid};

pub use logins::Logins;
pub use refresh::{RefreshError, Refreshed};

/// Sessions of one person: phones, desktops and browsers with room to spare. The next login ends the oldest.
pub const MAX_SESSIONS_PER_USER: usize = 20;

/// How long a refresh token works when it is not used: 30 days.
pub const REFRESH_LIFE_MS: i64 = 30 * DAY_MS;

/// How long a session lasts at most, however often it is refreshed: 90 days.
pub const SESSION_LIFE_MS: i64 = 90 * DAY_MS;

const DAY_MS: i64 = 86_400_000;

/// The device a login comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// Its id, if the client has kept one from an earlier login; a new one is given if not.
    pub id: Option<DeviceId>,
    /// What the client calls it; may be empty.
    pub name: String,
}

/// What a login or a refresh gives.
#[derive(Clone)]
pub struct Tokens {
    /// Whom the access token names.
    pub caller: Caller,
    /// For `Authorization: Bearer` and the first frame of a socket.
    pub access_token: String,
    /// For the refresh cookie. Good once, and for 30 seconds more for the same answer again.
    pub refresh_token: String,
    /// How long the access token works.
    pub expires_in_seconds: u64,
    /// Sessions that this login ended because there were too many: end their sockets.
    pub ended: Vec<SessionId>,
}

/// Shows whose they are, and neither token.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("caller", &self.caller).field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// Who is calling, by a store's sessions and the public keys of tokens; nobody can be logged in with it. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    rows: Table<SessionRows>,
    clock: Arc<dyn Clock>,
    verifier: Verifier,
}

impl Sessions {
    /// Sessions over this store, whose tokens this verifier knows.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a bundle of handles, passed as such everywhere")]
    pub fn new(store: Store, clock: Arc<dyn Clock>, verifier: Verifier) -> Self {
        Self { rows: Table::new(Arc::clone(&store.records)), clock, verifier }
    }

    /// Who is calling: the token is ours and its time is now, and its session stands. One read.
    ///
    /// # Errors
    ///
    /// `expired_token`, `invalid_token`, or the store's refusals.
    pub async fn authenticate(&self, access_token: &str) -> Result<Caller, ErrorBody> {
        let now = self.clock.now();
        let caller = self.verifier.verify(access_token, now).await?;
        let session = self.row(caller.session_id).await.map_err(|error| never_stored(&error))?;
        let session = session.filter(|session| session.user_id == caller.user_id).ok_or_else(invalid)?;
        if session.expires_at <= now {
            return Err(expired());
        }
        Ok(caller)
    }

    /// Whether a session stands: it was opened, and neither ended nor over.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn stands(&self, session_id: SessionId) -> StoreResult<bool> {
        let session = self.row(session_id).await?;
        Ok(session.is_some_and(|session| session.expires_at > self.clock.now()))
    }

    async fn row(&self, session_id: SessionId) -> StoreResult<Option<Session>> {
        let row = self.rows.get(&session_id, &()).await?;
        Ok(row.map(|row| row.value).filter(|session| session.revoked_at.is_none()))
    }
}
