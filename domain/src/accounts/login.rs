//! Logging in by password: the same answers, in the same time, whether or not the address has an account.
//!
//! A failure is counted after the password was checked, and a right one counts only if the account is not locked by then:
//! so of many guesses at once, no more than [`MAX_FAILED_LOGINS`] can be made before the rest are refused, right or wrong.

use hubbub_protocol::{ErrorBody, ErrorCode, Timestamp, UserId};
use hubbub_storage::families::accounts::{Account, Accounts as AccountRows};
use hubbub_storage::families::handles::HandleOf;
use hubbub_storage::records::{Expect, Row, Written};

use super::claims::Unique;
use super::password::MAX_PASSWORD_BYTES;
use super::{Accounts, Profile, own, validate};
use crate::refusal::never_stored;

/// Failures in a row after which logins are refused for [`LOCK_MS`].
pub const MAX_FAILED_LOGINS: u32 = 5;

/// How long they are refused: 15 minutes.
pub const LOCK_MS: i64 = 15 * 60_000;

/// Guesses at one account that are counted at the same moment: each try that fails was another one counted.
const MAX_TRIES: usize = 80;

/// What stands between a password and the account behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Failures {
    pub(super) count: u32,
    pub(super) locked_until: Option<Timestamp>,
}

impl Failures {
    pub(super) fn check(self, now: Timestamp) -> Result<(), ErrorBody> {
        match self.locked_until {
            Some(until) if until > now => Err(locked(until, now)),
            Some(_) | None => Ok(()),
        }
    }

    /// One more.
    pub(super) fn next(self, now: Timestamp) -> Self {
        let count = if self.locked_until.is_some() { 1 } else { self.count + 1 };
        let locked_until = (count >= MAX_FAILED_LOGINS).then(|| now.plus_ms(LOCK_MS));
        Self { count, locked_until }
    }

    const fn of(account: &Account) -> Self {
        Self { count: account.failed_logins, locked_until: account.locked_until }
    }
}

impl Accounts {
    /// The account of this address, if this is its password.
    ///
    /// # Errors
    ///
    /// `invalid_credentials`, for an unknown address and a wrong password alike; `account_locked` with `retry_after` after
    /// [`MAX_FAILED_LOGINS`] of them.
    pub async fn login(&self, email: &str, password: &str) -> Result<Profile, ErrorBody> {
        // Of the caller's own input, so it tells nothing of any account.
        let Ok(email) = validate::email(email) else { return Err(wrong()) };
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(wrong());
        }
        match self.account_of(&email).await? {
            Some((user_id, row)) => self.login_known(user_id, row, password).await,
            None => Err(self.login_unknown(&email, password).await),
        }
    }

    /// Reads as much where there is no account as where there is one.
    async fn account_of(&self, email: &str) -> Result<Option<(UserId, Row<AccountRows>)>, ErrorBody> {
        let owner = self.owner(Unique::Email, email).await?;
        let user_id = owner.map_or(NOBODY, |owner| owner.user_id);
        let row = self.rows.get(&user_id, &()).await.map_err(|error| never_stored(&error))?;
        // A claim that no row bears out is a registration that never ended.
        Ok(row.filter(|row| row.value.email == email).map(|row| (user_id, row)))
    }

    async fn login_known(&self, user_id: UserId, row: Row<AccountRows>, password: &str) -> Result<Profile, ErrorBody> {
        Failures::of(&row.value).check(self.clock.now())?;
        let right = self.passwords.verify(password, Some(&row.value.password_hash)).await?;
        let mut row = row;
        for _ in 0..MAX_TRIES {
            let now = self.clock.now();
            let failures = Failures::of(&row.value);
            failures.check(now)?;
            let next = if right { Failures::default() } else { failures.next(now) };
            if next == failures {
                return Ok(own(user_id, &row.value));
            }
            let account = Account { failed_logins: next.count, locked_until: next.locked_until, ..row.value };
            let written = self.rows.put(&user_id, &(), &account, Expect::Version(row.version)).await;
            match written.map_err(|error| never_stored(&error))? {
                Written::Done(_) if right => return Ok(own(user_id, &account)),
                Written::Done(_) => return Err(wrong()),
                Written::Conflict(_) => row = self.find(user_id).await.map_err(|_| wrong())?,
            }
        }
        Err(ErrorBody::new(ErrorCode::Overloaded, "too many logins to this account at once: try again"))
    }

    /// The same steps as for a wrong password: check, hash, write.
    async fn login_unknown(&self, email: &str, password: &str) -> ErrorBody {
        match self.try_unknown(email, password).await {
            Ok(()) => wrong(),
            Err(error) => error,
        }
    }

    async fn try_unknown(&self, email: &str, password: &str) -> Result<(), ErrorBody> {
        self.strangers.check(email, self.clock.now())?;
        self.passwords.verify(password, None).await?;
        self.strangers.fail(email, self.clock.now())?;
        // One row that nobody reads, as a wrong password writes one too.
        let decoy = HandleOf { user_id: NOBODY };
        let written = self.handles.put(&String::new(), &String::new(), &decoy, Expect::Any).await;
        written.map(|_| ()).map_err(|error| never_stored(&error))
    }
}

/// Nobody's id: no id is made of zeros.
const NOBODY: UserId = UserId::from_bytes([0; 16]);

fn wrong() -> ErrorBody {
    ErrorBody::new(ErrorCode::InvalidCredentials, "e-mail address and password do not fit")
}

fn locked(until: Timestamp, now: Timestamp) -> ErrorBody {
    let seconds = (until.as_ms() - now.as_ms()).unsigned_abs().div_ceil(1000);
    let message = format!("too many failed logins: try again in {seconds} seconds");
    ErrorBody::new(ErrorCode::AccountLocked, message).with("retry_after", seconds)
}
