//! What only one account may have: taking, giving back, and taking over what a crash left behind.
//!
//! A claim is made before the account's row says so; a crash in between leaves a claim that no row bears out. Such a claim
//! is free again once it is too old to be of a registration under way: claims carry the moment they were made.

use hubbub_protocol::{ErrorBody, ErrorCode, Timestamp, UserId};
use hubbub_storage::families::accounts::{Account, EMAIL, HANDLE};
use hubbub_storage::records::Claimed;

use super::Accounts;
use crate::refusal::never_stored;

/// Longer than it takes from a claim to its row, and than two nodes' clocks are apart.
const UNDER_WAY_MS: i64 = 60_000;

/// A claim found abandoned may be taken over by another just then.
const MAX_TRIES: usize = 4;

const USER_BYTES: usize = 16;

/// What is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unique {
    Email,
    Handle,
}

impl Unique {
    const fn name(self) -> &'static str {
        match self {
            Self::Email => EMAIL,
            Self::Handle => HANDLE,
        }
    }

    const fn field(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Handle => "handle",
        }
    }

    /// What the account's row says it has.
    fn of(self, account: &Account) -> &str {
        match self {
            Self::Email => &account.email,
            Self::Handle => &account.handle,
        }
    }
}

/// Who claims, and since when. Its bytes are the claim's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user_id: UserId,
    pub(super) since: Timestamp,
}

impl Owner {
    fn to_bytes(self) -> Vec<u8> {
        [&self.user_id.as_bytes()[..], &self.since.as_ms().to_be_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (user, since) = bytes.split_at_checked(USER_BYTES)?;
        let since = Timestamp::from_ms(i64::from_be_bytes(since.try_into().ok()?));
        Some(Self { user_id: UserId::from_bytes(user.try_into().ok()?), since })
    }
}

impl Accounts {
    /// Makes it the owner's.
    ///
    /// # Errors
    ///
    /// `conflict` naming the field if another account has it. A registration that says so tells that the address has an
    /// account; anything else would need a mail to it, which comes with mail.
    pub(super) async fn take(&self, unique: Unique, value: &str, owner: Owner) -> Result<(), ErrorBody> {
        for _ in 0..MAX_TRIES {
            let claimed = self.records.claim(unique.name(), value.as_bytes().to_vec(), owner.to_bytes()).await;
            let Claimed::Taken(other) = claimed.map_err(|error| never_stored(&error))? else { return Ok(()) };
            if self.stands(unique, value, &other, owner).await? {
                return Err(taken(unique));
            }
            self.records
                .release(unique.name(), value.as_bytes().to_vec(), other)
                .await
                .map_err(|e| never_stored(&e))?;
        }
        Err(taken(unique))
    }

    /// Gives it back, if the owner has it. If that fails, the claim ages and is taken over in time.
    pub(super) async fn give_back(&self, unique: Unique, value: &str, owner: Owner) {
        if let Err(error) = self.records.release(unique.name(), value.as_bytes().to_vec(), owner.to_bytes()).await {
            tracing::warn!(%error, field = unique.field(), "a claim could not be given back");
        }
    }

    /// Who has it, if anybody claims to.
    pub(super) async fn owner(&self, unique: Unique, value: &str) -> Result<Option<Owner>, ErrorBody> {
        let found = self.records.claimant(unique.name(), value.as_bytes().to_vec()).await;
        Ok(found.map_err(|error| never_stored(&error))?.and_then(|bytes| Owner::from_bytes(&bytes)))
    }

    /// Refuses early what another account has for sure, before a password is hashed for it.
    pub(super) async fn check_free(&self, unique: Unique, value: &str) -> Result<(), ErrorBody> {
        match self.owner(unique, value).await? {
            Some(owner) if self.borne_out(unique, value, owner.user_id).await? => Err(taken(unique)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a claim keeps others out: an account bears it out, or may be about to.
    async fn stands(&self, unique: Unique, value: &str, claim: &[u8], asking: Owner) -> Result<bool, ErrorBody> {
        let Some(claim) = Owner::from_bytes(claim) else { return Ok(false) };
        // One's own claim of an earlier try is only renewed.
        if claim.user_id == asking.user_id {
            return Ok(false);
        }
        let under_way = claim.since.plus_ms(UNDER_WAY_MS) >= asking.since;
        Ok(under_way || self.borne_out(unique, value, claim.user_id).await?)
    }

    async fn borne_out(&self, unique: Unique, value: &str, user: UserId) -> Result<bool, ErrorBody> {
        let row = self.rows.get(&user, &()).await.map_err(|error| never_stored(&error))?;
        Ok(row.is_some_and(|row| unique.of(&row.value) == value))
    }
}

fn taken(unique: Unique) -> ErrorBody {
    let field = unique.field();
    let message = format!("this `{field}` belongs to another account: choose another, or log in to that one");
    ErrorBody::new(ErrorCode::Conflict, message).with("field", field)
}
