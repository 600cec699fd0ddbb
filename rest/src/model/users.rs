//! Bodies of `/users`.

use hubbub_domain::accounts;
use hubbub_protocol::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::openapi::words;

/// What others see of a person.
#[derive(Serialize, ToSchema)]
pub(crate) struct PublicProfile {
    /// Who.
    #[schema(value_type = words::Uuid)]
    user_id: UserId,
    /// What others find.
    #[schema(examples("ada"))]
    handle: String,
    /// What others see.
    display_name: String,
    /// What others see below it.
    description: String,
    /// Where the picture is.
    #[schema(required)]
    avatar_url: Option<String>,
    /// Since when.
    #[schema(value_type = words::Timestamp)]
    created_at: Timestamp,
}

impl From<accounts::PublicProfile> for PublicProfile {
    fn from(profile: accounts::PublicProfile) -> Self {
        Self {
            user_id: profile.user_id,
            handle: profile.handle,
            display_name: profile.display_name,
            description: profile.description,
            avatar_url: profile.avatar_url,
            created_at: profile.created_at,
        }
    }
}

/// One's own profile.
#[derive(Serialize, ToSchema)]
pub(crate) struct Profile {
    /// What others see too.
    #[serde(flatten)]
    public: PublicProfile,
    /// The login name.
    email: String,
    /// A language tag.
    #[schema(required)]
    device_locale: Option<String>,
}

impl From<accounts::Profile> for Profile {
    fn from(profile: accounts::Profile) -> Self {
        Self { public: profile.public.into(), email: profile.email, device_locale: profile.locale }
    }
}

/// What to change of one's own profile; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileChange {
    /// What others see. Also read as `name`.
    #[serde(alias = "name")]
    display_name: Option<String>,
    /// What others find.
    handle: Option<String>,
    /// What others see below the name.
    description: Option<String>,
    /// Where the picture is; empty takes it away.
    avatar_url: Option<String>,
    /// A language tag; empty takes it away. Also read as `locale`.
    #[serde(alias = "locale")]
    device_locale: Option<String>,
}

impl From<ProfileChange> for accounts::ProfileChange {
    fn from(change: ProfileChange) -> Self {
        Self {
            display_name: change.display_name,
            handle: change.handle,
            description: change.description,
            avatar_url: change.avatar_url,
            locale: change.device_locale,
        }
    }
}

/// Whom to look for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// How the handle begins.
    pub(crate) q: String,
    /// How many, 1 to 200; 50 if left out.
    pub(crate) limit: Option<usize>,
}
