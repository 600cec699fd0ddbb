//! Refreshing: each use of a refresh token makes the next one, and an old one coming back ends the session.
//!
//! A lost answer must be retryable and a stolen token found out, which pull apart: so the token just before the current one
//! gets the same successor again for a short grace, and after it counts as reuse (RFC 9700 section 4.14).

use hubbub_protocol::{ErrorBody, ErrorCode, SessionId, Timestamp};
use hubbub_storage::families::sessions::{Session, Sessions as SessionRows};
use hubbub_storage::records::{Expect, Row, Written};

use super::{Logins, REFRESH_LIFE_MS, Tokens};
use crate::refusal::{never_stored, refusal};
use crate::tokens::{expired, invalid};

/// How long the token before the current one is answered with the current one.
const GRACE_MS: i64 = 30_000;

/// Each try that fails was another refresh of the same session that succeeded: the second try finds itself in the grace.
const MAX_TRIES: usize = 8;

/// What a refresh gives: the same as a login.
pub type Refreshed = Tokens;

/// Why a refresh was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshError {
    /// What the caller is told.
    pub body: ErrorBody,
    /// The session that ended because an old token of it came back: end its sockets.
    pub revoked: Option<SessionId>,
}

impl From<ErrorBody> for RefreshError {
    fn from(body: ErrorBody) -> Self {
        Self { body, revoked: None }
    }
}

/// What a token is, beside its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The last one given: it is rotated.
    Current,
    /// The one before, just now: its answer was lost, and is given again.
    Retried,
    /// An old one: somebody has a copy.
    Reused,
    /// One that we made and do not remember, as after a restore of the store.
    Unknown,
}

impl Logins {
    /// New tokens for a refresh token.
    ///
    /// # Errors
    ///
    /// `invalid_token` and `expired_token`; [`RefreshError::revoked`] names the session that a reuse has ended.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Refreshed, RefreshError> {
        let (session_id, generation) = self.keys.read_refresh_token(refresh_token).ok_or_else(invalid)?;
        for _ in 0..MAX_TRIES {
            let now = self.clock.now();
            let row = self.standing_session(session_id, now).await?;
            match standing(&row.value, generation, now) {
                Standing::Current => {
                    if let Some(rotated) = self.rotate(session_id, row, now).await? {
                        return Ok(self.tokens(session_id, &rotated, now)?);
                    }
                }
                Standing::Retried => return Ok(self.tokens(session_id, &row.value, now)?),
                Standing::Reused => return Err(self.reused(session_id, &row.value).await),
                Standing::Unknown => return Err(invalid().into()),
            }
        }
        Err(ErrorBody::new(ErrorCode::Overloaded, "this session is being refreshed by too many at once: try again")
            .into())
    }

    async fn standing_session(&self, session_id: SessionId, now: Timestamp) -> Result<Row<SessionRows>, ErrorBody> {
        let row = self.rows.get(&session_id, &()).await.map_err(|error| never_stored(&error))?;
        let row = row.filter(|row| row.value.revoked_at.is_none()).ok_or_else(invalid)?;
        let over = row.value.expires_at <= now || row.value.rotated_at.plus_ms(REFRESH_LIFE_MS) <= now;
        if over { Err(expired()) } else { Ok(row) }
    }

    /// The session with the next generation; `None` if another refresh, or the session's end, came first.
    async fn rotate(
        &self,
        session_id: SessionId,
        row: Row<SessionRows>,
        now: Timestamp,
    ) -> Result<Option<Session>, ErrorBody> {
        let rotated = Session { generation: row.value.generation + 1, rotated_at: now, ..row.value };
        let written = self.rows.put(&session_id, &(), &rotated, Expect::Version(row.version)).await;
        match written.map_err(|error| refusal(&error))? {
            Written::Done(_) => Ok(Some(rotated)),
            Written::Conflict(_) => Ok(None),
        }
    }

    async fn reused(&self, session_id: SessionId, session: &Session) -> RefreshError {
        tracing::warn!(session.id = %session_id, "an old refresh token came back: the session is ended");
        match self.end(session.user_id, session_id).await {
            Ok(()) => RefreshError { body: invalid(), revoked: Some(session_id) },
            // It stands, and so does the refusal: the next use of an old token tries again.
            Err(error) => RefreshError { body: refusal(&error), revoked: None },
        }
    }
}

fn standing(session: &Session, generation: u64, now: Timestamp) -> Standing {
    let in_grace = now.as_ms() - session.rotated_at.as_ms() <= GRACE_MS;
    if generation == session.generation {
        Standing::Current
    } else if generation > session.generation {
        Standing::Unknown
    } else if generation + 1 == session.generation && in_grace {
        Standing::Retried
    } else {
        Standing::Reused
    }
}
