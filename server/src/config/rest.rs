//! HTTP: how often one may ask, how long an answer may take, and how the login's cookie is marked.

use std::time::Duration;

use super::form::{Choice, Count};
use super::reader::Reader;

/// Requests a minute; 0 switches the limit off.
const PER_MINUTE: Count = Count { min: 0, max: 1_000_000 };

/// A deadline is no shorter than a slow phone's round trip and no longer than ten minutes.
const DEADLINE_MS: Count = Count { min: 100, max: 600_000 };

/// When the refresh cookie is marked `Secure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieSecure {
    /// Always.
    Always,
    /// But for plain HTTP from this machine.
    UnlessLoopback,
}

/// Settings below `[rest]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestSection {
    /// Requests a minute to `/auth/*`, per address; nothing for no limit.
    pub auth_per_minute: Option<u32>,
    /// Requests a minute with a login, per person; nothing for no limit.
    pub general_per_minute: Option<u32>,
    /// From a request's head to its answer.
    pub deadline: Duration,
    /// From a request's head to the end of its body.
    pub body_deadline: Duration,
    /// How the login's cookie is marked.
    pub cookie_secure: CookieSecure,
}

impl RestSection {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            auth_per_minute: per_minute(reader.setting(
                "rest.auth_per_minute",
                "Requests a minute to /auth/* (register, login, refresh) from one address; 0 is no limit.",
                30,
                &PER_MINUTE,
            )),
            general_per_minute: per_minute(reader.setting(
                "rest.general_per_minute",
                "Requests a minute of one logged-in person; 0 is no limit.",
                600,
                &PER_MINUTE,
            )),
            deadline: Duration::from_millis(reader.setting(
                "rest.deadline_ms",
                "Milliseconds from a request's head to its answer.",
                30_000,
                &DEADLINE_MS,
            )),
            body_deadline: Duration::from_millis(reader.setting(
                "rest.body_deadline_ms",
                "Milliseconds from a request's head to the end of its body.",
                10_000,
                &DEADLINE_MS,
            )),
            cookie_secure: reader.setting(
                "rest.cookie_secure",
                "When the refresh cookie is marked Secure and named __Host-hubbub_refresh, so that browsers send it by \
                 HTTPS only and take it from this very host only: \"always\", or \"unless_loopback\" to let plain HTTP \
                 on this machine try it out, as hubbub_refresh.",
                CookieSecure::UnlessLoopback,
                &Choice(&[("always", CookieSecure::Always), ("unless_loopback", CookieSecure::UnlessLoopback)]),
            ),
        }
    }

    pub(super) fn check(&self, reader: &mut Reader) {
        if self.body_deadline > self.deadline {
            reader.refuse_beside("rest.body_deadline_ms", "at most", "rest.deadline_ms");
        }
    }
}

fn per_minute(count: u64) -> Option<u32> {
    u32::try_from(count).ok().filter(|count| *count > 0)
}
