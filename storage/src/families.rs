//! Every record family, one file each, declared once for all backends.

pub mod accounts;
pub mod handles;
pub mod idempotency;
pub mod marks;
pub mod memberships;
pub mod sessions;
pub mod snapshots;
pub mod user_sessions;

use crate::records::{Family, FamilyDef};

/// All of them: what a backend makes tables for.
pub const ALL: &[&FamilyDef] = &[
    &accounts::Accounts::DEF,
    &handles::Handles::DEF,
    &idempotency::IdempotencyKeys::DEF,
    &marks::Marks::DEF,
    &memberships::Memberships::DEF,
    &sessions::Sessions::DEF,
    &snapshots::Snapshots::DEF,
    &user_sessions::UserSessions::DEF,
];
