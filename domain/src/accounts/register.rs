//! Making an account: check, hash, claim, row; in this order, so that a crash at any point leaves nothing that stays.

use hubbub_protocol::{ErrorBody, ErrorCode, UserId};
use hubbub_storage::families::accounts::Account;
use hubbub_storage::families::handles::HandleOf;
use hubbub_storage::records::{Expect, Written};

use super::claims::{Owner, Unique};
use super::{Accounts, Profile, own, validate};
use crate::refusal::refusal;

/// From the claims to the row: a slower one gives up, while its claims still keep others out for as long again.
const MAX_UNDER_WAY_MS: i64 = 30_000;

/// Handles that are tried when none is given: two of them are the same once in 10¹⁵.
const RANDOM_TRIES: usize = 4;

/// Characters after `user-`: of the 32 below, 50 bits.
const RANDOM_CHARACTERS: usize = 10;

/// Lower case without what is misread: no `i`, `l`, `o` or `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What somebody registers with.
#[derive(Clone)]
pub struct Registration {
    /// The address to log in with.
    pub email: String,
    /// The password.
    pub password: String,
    /// The name to be shown.
    pub display_name: String,
    /// The unique name to be found by; a random one if not given.
    pub handle: Option<String>,
    /// The language of texts that the server sends.
    pub locale: Option<String>,
}

impl Accounts {
    /// Makes an account.
    ///
    /// # Errors
    ///
    /// `validation_failed` and `too_large` name the field; `conflict` names the one that another account has.
    pub async fn register(&self, registration: Registration) -> Result<Profile, ErrorBody> {
        validate::password(&registration.password)?;
        let mut account = Account {
            email: validate::email(&registration.email)?,
            handle: registration.handle.as_deref().map(validate::handle).transpose()?.unwrap_or_default(),
            display_name: validate::display_name(&registration.display_name)?,
            description: String::new(),
            avatar_url: None,
            locale: validate::locale(registration.locale.as_deref().unwrap_or_default())?,
            password_hash: String::new(),
            failed_logins: 0,
            locked_until: None,
            created_at: self.clock.now(),
        };
        self.check_free(Unique::Email, &account.email).await?;
        if !account.handle.is_empty() {
            self.check_free(Unique::Handle, &account.handle).await?;
        }
        account.password_hash = self.passwords.hash(&registration.password).await?;
        let owner = Owner { user_id: UserId::generate(), since: self.clock.now() };
        self.take(Unique::Email, &account.email, owner).await?;
        let made = self.claim_handle_and_write(&mut account, owner).await;
        if made.as_ref().is_err_and(|error| error.code != ErrorCode::UnknownOutcome) {
            self.give_back(Unique::Email, &account.email, owner).await;
        }
        made?;
        self.list_handle(owner.user_id, &account.handle).await;
        Ok(own(owner.user_id, &account))
    }

    async fn claim_handle_and_write(&self, account: &mut Account, owner: Owner) -> Result<(), ErrorBody> {
        if account.handle.is_empty() {
            account.handle = self.take_random_handle(owner).await?;
        } else {
            self.take(Unique::Handle, &account.handle, owner).await?;
        }
        let written = self.write_new(account, owner).await;
        if written.as_ref().is_err_and(|error| error.code != ErrorCode::UnknownOutcome) {
            self.give_back(Unique::Handle, &account.handle, owner).await;
        }
        written
    }

    async fn write_new(&self, account: &Account, owner: Owner) -> Result<(), ErrorBody> {
        self.check_under_way(owner)?;
        let written = self.rows.put(&owner.user_id, &(), account, Expect::Absent).await;
        match written.map_err(|error| refusal(&error))? {
            Written::Done(_) => Ok(()),
            Written::Conflict(_) => {
                Err(ErrorBody::new(ErrorCode::Internal, "a new account's id was taken: register again"))
            }
        }
    }

    /// Refuses to go on with claims that somebody may soon take over.
    pub(super) fn check_under_way(&self, owner: Owner) -> Result<(), ErrorBody> {
        if self.clock.now() <= owner.since.plus_ms(MAX_UNDER_WAY_MS) {
            return Ok(());
        }
        Err(ErrorBody::new(ErrorCode::Overloaded, "this took too long: nothing was stored, try again"))
    }

    async fn take_random_handle(&self, owner: Owner) -> Result<String, ErrorBody> {
        let mut last = None;
        for _ in 0..RANDOM_TRIES {
            let handle = random_handle()?;
            match self.take(Unique::Handle, &handle, owner).await {
                Ok(()) => return Ok(handle),
                Err(error) if error.code == ErrorCode::Conflict => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| ErrorBody::new(ErrorCode::Internal, "no handle was free: give one")))
    }

    /// For the search: a view, so that failing to write it costs being found and nothing more.
    pub(super) async fn list_handle(&self, user_id: UserId, handle: &str) {
        let first = handle.chars().take(1).collect();
        let written = self.handles.put(&first, &handle.to_owned(), &HandleOf { user_id }, Expect::Any).await;
        if let Err(error) = written {
            tracing::warn!(%error, user.id = %user_id, "a handle could not be listed for the search");
        }
    }
}

fn random_handle() -> Result<String, ErrorBody> {
    let mut bytes = [0; RANDOM_CHARACTERS];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the operating system gives no randomness");
        ErrorBody::new(ErrorCode::Internal, "no handle could be made: try again")
    })?;
    let characters = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    Ok("user-".chars().chain(characters).collect())
}
