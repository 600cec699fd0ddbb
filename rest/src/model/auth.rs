//! Bodies of `/auth`. Those that hold secrets have no `Debug`.

use hubbub_domain::identity::Caller;
use hubbub_domain::sessions::{Device, Tokens};
use hubbub_protocol::{DeviceId, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::users::Profile;
use crate::openapi::words;

/// Where the refresh token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenTransport {
    /// In an `HttpOnly` cookie, which no script reads: for browsers.
    #[default]
    Cookie,
    /// In the body: for programs that keep it themselves.
    Body,
}

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Register {
    /// The login name.
    #[schema(examples("ada@example.org"))]
    pub(crate) email: String,
    /// At least 8 characters. Also read as `password`.
    #[serde(alias = "password")]
    #[schema(format = Password)]
    pub(crate) account_password: String,
    /// What others see. Also read as `name`.
    #[serde(alias = "name")]
    pub(crate) display_name: String,
    /// What others find; random if left out.
    pub(crate) handle: Option<String>,
    /// A language tag. Also read as `locale`.
    #[serde(alias = "locale")]
    pub(crate) device_locale: Option<String>,
    /// The device's id from an earlier login; new if left out.
    #[schema(value_type = Option<words::Uuid>)]
    pub(crate) device_id: Option<DeviceId>,
    /// What the device is called.
    #[serde(default)]
    pub(crate) device_name: String,
    /// Where the refresh token travels.
    #[serde(default)]
    pub(crate) token_transport: TokenTransport,
}

/// A login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The login name. Also read as `login`.
    #[serde(alias = "login")]
    #[schema(examples("ada@example.org"))]
    pub(crate) email: String,
    /// The password. Also read as `password`.
    #[serde(alias = "password")]
    #[schema(format = Password)]
    pub(crate) account_password: String,
    /// The device's id from an earlier login; new if left out.
    #[schema(value_type = Option<words::Uuid>)]
    pub(crate) device_id: Option<DeviceId>,
    /// What the device is called.
    #[serde(default)]
    pub(crate) device_name: String,
    /// Where the refresh token travels.
    #[serde(default)]
    pub(crate) token_transport: TokenTransport,
}

/// A refresh: `{}` or nothing for browsers, whose cookie holds the token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// The refresh token, for programs that keep it themselves.
    pub(crate) refresh_token: Option<String>,
}

/// A session that was opened or renewed.
#[derive(Serialize, ToSchema)]
pub(crate) struct OpenedSession {
    /// Whose.
    #[schema(value_type = words::Uuid)]
    user_id: UserId,
    /// The session.
    #[schema(value_type = words::Uuid)]
    session_id: SessionId,
    /// The device: send it with the next login from there.
    #[schema(value_type = words::Uuid)]
    device_id: DeviceId,
    /// Goes into `Authorization: Bearer` and into the socket's first frame.
    access_token: String,
    /// How long it lasts.
    #[schema(examples(300))]
    expires_in_seconds: u64,
    /// The refresh token, if it was asked for in the body. Each works once.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

impl OpenedSession {
    /// The answer for these tokens.
    pub(crate) fn of(tokens: &Tokens, transport: TokenTransport) -> Self {
        Self {
            user_id: tokens.caller.user_id,
            session_id: tokens.caller.session_id,
            device_id: tokens.caller.device_id,
            access_token: tokens.access_token.clone(),
            expires_in_seconds: tokens.expires_in_seconds,
            refresh_token: (transport == TokenTransport::Body).then(|| tokens.refresh_token.clone()),
        }
    }
}

/// Who is logged in, and since which login.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// The profile, as `GET /users/me` gives it.
    #[serde(flatten)]
    profile: Profile,
    /// The login.
    #[schema(value_type = words::Uuid)]
    session_id: SessionId,
    /// The device.
    #[schema(value_type = words::Uuid)]
    device_id: DeviceId,
    /// When the access token ends.
    #[schema(value_type = words::Timestamp)]
    expires_at: Timestamp,
}

impl Me {
    /// The answer for this caller.
    pub(crate) fn of(caller: &Caller, profile: Profile) -> Self {
        Self { profile, session_id: caller.session_id, device_id: caller.device_id, expires_at: caller.expires_at }
    }
}

/// The device of a login.
pub(crate) fn device(id: Option<DeviceId>, name: String) -> Device {
    Device { id, name }
}
