//! Changing one's own profile. A new handle is claimed before the row names it, and the old one given back after.

use hubbub_protocol::{ErrorBody, ErrorCode, UserId};
use hubbub_storage::error::StoreResult;
use hubbub_storage::families::accounts::Account;
use hubbub_storage::records::{Expect, Version, Written};

use super::claims::{Owner, Unique};
use super::{Accounts, Profile, own, validate};
use crate::refusal::refusal;

/// Devices of one person, and logins, that may write the same account at the same moment.
const MAX_TRIES: usize = 16;

/// What to change; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileChange {
    /// The name to be shown.
    pub display_name: Option<String>,
    /// The unique name to be found by.
    pub handle: Option<String>,
    /// What stands below the name; empty takes it away.
    pub description: Option<String>,
    /// Where the picture is; empty takes it away.
    pub avatar_url: Option<String>,
    /// The language of texts that the server sends; empty takes it away.
    pub locale: Option<String>,
}

impl ProfileChange {
    /// The account with the change, if every part of it may be.
    fn apply(&self, account: &Account) -> Result<Account, ErrorBody> {
        let mut changed = account.clone();
        if let Some(text) = &self.display_name {
            changed.display_name = validate::display_name(text)?;
        }
        if let Some(text) = &self.handle {
            changed.handle = validate::handle(text)?;
        }
        if let Some(text) = &self.description {
            changed.description = validate::description(text)?;
        }
        if let Some(text) = &self.avatar_url {
            changed.avatar_url = validate::avatar_url(text)?;
        }
        if let Some(text) = &self.locale {
            changed.locale = validate::locale(text)?;
        }
        Ok(changed)
    }
}

impl Accounts {
    /// Changes one's own profile, all of it or nothing.
    ///
    /// # Errors
    ///
    /// `validation_failed` and `too_large` name the field; `conflict` if the handle is another's.
    pub async fn update(&self, user: UserId, change: ProfileChange) -> Result<Profile, ErrorBody> {
        for _ in 0..MAX_TRIES {
            let row = self.find(user).await?;
            let changed = change.apply(&row.value)?;
            if changed == row.value {
                return Ok(own(user, &changed));
            }
            let written = if changed.handle == row.value.handle {
                self.write_changed(user, &changed, row.version).await?
            } else {
                self.change_handle(user, &row.value, &changed, row.version).await?
            };
            if written {
                return Ok(own(user, &changed));
            }
        }
        Err(ErrorBody::new(ErrorCode::Overloaded, "this account is being changed by too many at once: try again"))
    }

    /// Whether it was written; if not, the account changed in between.
    async fn write_changed(&self, user: UserId, changed: &Account, version: Version) -> Result<bool, ErrorBody> {
        let written = self.rows.put(&user, &(), changed, Expect::Version(version)).await;
        Ok(matches!(written.map_err(|error| refusal(&error))?, Written::Done(_)))
    }

    async fn change_handle(
        &self,
        user: UserId,
        held: &Account,
        changed: &Account,
        version: Version,
    ) -> Result<bool, ErrorBody> {
        let owner = Owner { user_id: user, since: self.clock.now() };
        self.take(Unique::Handle, &changed.handle, owner).await?;
        self.check_under_way(owner)?;
        // If the row is not written, the claim ages until somebody takes it over, or a second try renews it.
        if !self.write_changed(user, changed, version).await? {
            return Ok(false);
        }
        self.list_handle(user, &changed.handle).await;
        self.unlist_handle(user, &held.handle).await;
        Ok(true)
    }

    /// The old handle is free for others from now on.
    async fn unlist_handle(&self, user: UserId, handle: &str) {
        if let Err(error) = self.unlist(user, handle).await {
            tracing::warn!(%error, user.id = %user, "an old handle stays listed; the search passes it over");
        }
        match self.owner(Unique::Handle, handle).await {
            Ok(Some(owner)) if owner.user_id == user => self.give_back(Unique::Handle, handle, owner).await,
            Ok(_) | Err(_) => {}
        }
    }

    /// Only one's own place on the list: the handle may be another's already.
    async fn unlist(&self, user: UserId, handle: &str) -> StoreResult<()> {
        let (first, handle) = (handle.chars().take(1).collect(), handle.to_owned());
        if let Some(row) = self.handles.get(&first, &handle).await?.filter(|row| row.value.user_id == user) {
            self.handles.delete(&first, &handle, Expect::Version(row.version)).await?;
        }
        Ok(())
    }
}
