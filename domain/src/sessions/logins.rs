//! Opening and ending sessions: what only a process with the keys that sign can do.
//!
//! The list of a person's sessions is a superset of those that stand, so that none is missing from it.

use std::sync::Arc;

use hubbub_protocol::limits::MAX_NAME_BYTES;
use hubbub_protocol::member::SenderType;
use hubbub_protocol::{DeviceId, ErrorBody, ErrorCode, SessionId, Timestamp, UserId};
use hubbub_storage::clock::Clock;
use hubbub_storage::error::StoreResult;
use hubbub_storage::families::sessions::{Session, Sessions as SessionRows};
use hubbub_storage::families::user_sessions::{SessionOf, UserSessions};
use hubbub_storage::records::{Expect, Table, Written};
use hubbub_storage::store::Store;

use super::{Device, MAX_SESSIONS_PER_USER, SESSION_LIFE_MS, Tokens};
use crate::fields::{check_bytes, invalid as invalid_field};
use crate::identity::Caller;
use crate::refusal::{never_stored, refusal};
use crate::tokens::{ACCESS_LIFE_MS, KeyRing};

/// Logins over a store, with the keys that give tokens. Cheap to clone.
#[derive(Clone)]
pub struct Logins {
    pub(super) rows: Table<SessionRows>,
    of_user: Table<UserSessions>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keys: Arc<KeyRing>,
}

impl Logins {
    /// Logins over this store, with tokens of these keys.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a bundle of handles, passed as such everywhere")]
    pub fn new(store: Store, clock: Arc<dyn Clock>, keys: Arc<KeyRing>) -> Self {
        let rows = Table::new(Arc::clone(&store.records));
        Self { rows, of_user: Table::new(Arc::clone(&store.records)), clock, keys }
    }

    /// Logs a person in, whose password or other proof the caller has checked.
    ///
    /// # Errors
    ///
    /// `too_large` or `validation_failed` for the device's name; the store's refusals.
    pub async fn open(&self, user_id: UserId, device: Device) -> Result<Tokens, ErrorBody> {
        check_device_name(&device.name)?;
        let (now, session_id) = (self.clock.now(), SessionId::generate());
        let session = Session {
            user_id,
            device_id: device.id.unwrap_or_else(DeviceId::generate),
            device_name: device.name,
            generation: 0,
            rotated_at: now,
            created_at: now,
            expires_at: now.plus_ms(SESSION_LIFE_MS),
            revoked_at: None,
        };
        // The list is written first, so that no session is missing from it.
        let listed = SessionOf { created_at: now };
        self.of_user.put(&user_id, &session_id, &listed, Expect::Any).await.map_err(|error| never_stored(&error))?;
        let written = self.rows.put(&session_id, &(), &session, Expect::Absent).await;
        if let Written::Conflict(_) = written.map_err(|error| refusal(&error))? {
            return Err(ErrorBody::new(ErrorCode::Internal, "a new session's id was taken: log in again"));
        }
        let ended = self.end_oldest(user_id).await.map_err(|error| refusal(&error))?;
        Ok(Tokens { ended, ..self.tokens(session_id, &session, now)? })
    }

    /// Ends a session: none of its tokens works from now on. Ending one that has ended is no mistake.
    ///
    /// # Errors
    ///
    /// The store's refusals; the session may then still stand.
    pub async fn revoke(&self, session_id: SessionId) -> Result<(), ErrorBody> {
        let Some(row) = self.rows.get(&session_id, &()).await.map_err(|error| never_stored(&error))? else {
            return Ok(());
        };
        self.end(row.value.user_id, session_id).await.map_err(|error| refusal(&error))
    }

    pub(super) fn tokens(&self, session_id: SessionId, session: &Session, now: Timestamp) -> Result<Tokens, ErrorBody> {
        let expires_at = now.plus_ms(ACCESS_LIFE_MS).min(session.expires_at);
        let caller = Caller {
            user_id: session.user_id,
            session_id,
            device_id: session.device_id,
            kind: SenderType::Human,
            expires_at,
        };
        Ok(Tokens {
            caller,
            access_token: self.keys.issue(&caller, now)?,
            refresh_token: self.keys.refresh_token(session_id, session.generation),
            expires_in_seconds: (expires_at.as_ms() - now.as_ms()).unsigned_abs() / 1000,
            ended: Vec::new(),
        })
    }

    /// The session first, its place on the list after it: what is on no list can still be ended by its token alone.
    pub(super) async fn end(&self, user_id: UserId, session_id: SessionId) -> StoreResult<()> {
        self.rows.delete(&session_id, &(), Expect::Any).await?;
        self.of_user.delete(&user_id, &session_id, Expect::Any).await?;
        Ok(())
    }

    /// Session ids are in the order of their making, so the first on the list are the oldest.
    async fn end_oldest(&self, user_id: UserId) -> StoreResult<Vec<SessionId>> {
        let listed = self.of_user.list(&user_id, None, 2 * MAX_SESSIONS_PER_USER).await?;
        let surplus = listed.len().saturating_sub(MAX_SESSIONS_PER_USER);
        let oldest: Vec<_> = listed.into_iter().take(surplus).map(|row| row.sort).collect();
        for session_id in &oldest {
            self.end(user_id, *session_id).await?;
        }
        Ok(oldest)
    }
}

fn check_device_name(name: &str) -> Result<(), ErrorBody> {
    check_bytes("device_name", name.len(), "max_name_bytes", MAX_NAME_BYTES)?;
    if name.chars().any(char::is_control) {
        return Err(invalid_field("device_name", "`device_name` holds control characters: leave them out"));
    }
    Ok(())
}
