//! Accounts: one row a person. The e-mail address is claimed under [`EMAIL`] before the row is made.

use hubbub_protocol::{Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::records::{Family, FamilyDef};

/// The claim that makes an e-mail address one account's.
pub const EMAIL: &str = "account_email";
/// The claim that makes a handle one account's.
pub const HANDLE: &str = "account_handle";

/// The family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts;

impl Family for Accounts {
    type Partition = UserId;
    type Sort = ();
    type Value = Account;
    const DEF: FamilyDef = FamilyDef { name: "accounts" };
}

/// A person's account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Lower case, as claimed.
    pub email: String,
    /// Lower case, as claimed; the public name to be found by.
    pub handle: String,
    /// What others see.
    pub display_name: String,
    /// What others see below it.
    #[serde(default)]
    pub description: String,
    /// Where the picture is.
    #[serde(default)]
    pub avatar_url: Option<String>,
    /// A language tag, for texts that the server sends.
    #[serde(default)]
    pub locale: Option<String>,
    /// Argon2id, in the PHC string format.
    pub password_hash: String,
    /// Failed logins in a row.
    #[serde(default)]
    pub failed_logins: u32,
    /// Until when logins are refused.
    #[serde(default)]
    pub locked_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Shows no password hash and no address.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("handle", &self.handle).finish_non_exhaustive()
    }
}
