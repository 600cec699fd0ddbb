//! Bodies of `/groups`.

use hubbub_protocol::UserId;
use hubbub_protocol::limits::MAX_MEMBERS_PER_REQUEST;
use hubbub_protocol::member::Role;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::openapi::words;

// The schema's macro takes digits alone.
const _: () = assert!(MAX_MEMBERS_PER_REQUEST == 250, "`max_items` below is this limit");

/// A new group.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateGroup {
    /// What it is called.
    pub(crate) name: String,
    /// Who is in it from the start, besides the caller; up to `max_members_per_request`.
    #[serde(default)]
    #[schema(value_type = Vec<words::Uuid>, max_items = 250)]
    pub(crate) member_ids: Vec<UserId>,
}

/// What to change of a group; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupChange {
    /// What it is called.
    pub(crate) name: Option<String>,
    /// What it is about.
    pub(crate) description: Option<String>,
}

/// Whom to add to a group.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMembers {
    /// Up to `max_members_per_request`; those who are members already are passed over.
    #[schema(value_type = Vec<words::Uuid>, min_items = 1, max_items = 250)]
    pub(crate) user_ids: Vec<UserId>,
}

/// A member's new rank.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRole {
    /// The rank. Naming an owner makes the caller an admin.
    #[schema(value_type = words::Role)]
    pub(crate) role: Role,
}

/// To whom the group goes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Heir {
    /// A member.
    #[schema(value_type = words::Uuid)]
    pub(crate) user_id: UserId,
}
