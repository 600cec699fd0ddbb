//! Why something was refused: one list of codes for sockets and REST alike.
//!
//! A code is a contract: clients branch on it, so codes are added and never renamed. What a refusal promises is HONEST:
//! with any code but [`ErrorCode::UnknownOutcome`], this try stored nothing and never will.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $retryable:ident, $area:literal;)*) => {
        /// What went wrong, in a word that programs branch on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
            /// A code of a newer server.
            #[serde(other, rename = "unknown_code")]
            UnknownCode,
        }

        impl ErrorCode {
            /// Every code a server sends, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its spelling on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* Self::UnknownCode => "unknown_code" }
            }

            /// The HTTP status REST answers it with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* Self::UnknownCode => 500 }
            }

            /// Whether the same request can succeed later, unchanged.
            pub const fn retryable(self) -> bool {
                match self { $(Self::$name => error_codes!(@flag $retryable),)* Self::UnknownCode => false }
            }

            /// The key under which clients keep a translation: `error.<area>.<code>`.
            pub const fn i18n_key(self) -> &'static str {
                match self { $(Self::$name => concat!("error.", $area, ".", $code),)* Self::UnknownCode => "error.unknown" }
            }
        }
    };
    (@flag retry) => { true };
    (@flag never) => { false };
}

error_codes! {
    /// The frame or body cannot be read, or a field in it is wrong; `params` names the field and its limit.
    ValidationFailed = "validation_failed", 400, never, "request";
    /// A frame of a type this server does not know.
    UnknownType = "unknown_type", 400, never, "request";
    /// An authenticated call without a token.
    MissingToken = "missing_token", 401, never, "auth";
    /// A token that was not made here, or for something else, or revoked.
    InvalidToken = "invalid_token", 401, never, "auth";
    /// A token whose time is over: refresh it.
    ExpiredToken = "expired_token", 401, never, "auth";
    /// Login name and password do not fit.
    InvalidCredentials = "invalid_credentials", 401, never, "auth";
    /// Known and visible, but this member's rank does not allow it.
    Forbidden = "forbidden", 403, never, "access";
    /// A cross-site request from an origin that is not on the list.
    OriginRefused = "origin_refused", 403, never, "access";
    /// There is no such thing, or not for this caller: the two are told alike.
    NotFound = "not_found", 404, never, "access";
    /// The method is not one of this path's.
    MethodNotAllowed = "method_not_allowed", 405, never, "request";
    /// The request did not arrive in time.
    RequestTimeout = "request_timeout", 408, retry, "request";
    /// It is already there, or the state does not allow it.
    Conflict = "conflict", 409, never, "state";
    /// The same `Idempotency-Key` is still being served.
    RequestInProgress = "request_in_progress", 409, retry, "state";
    /// The time in which this was allowed is over.
    Expired = "expired", 410, never, "state";
    /// Larger than the limit that `params` names.
    TooLarge = "too_large", 413, never, "limit";
    /// Not a content type this path reads.
    UnsupportedType = "unsupported_type", 415, never, "request";
    /// The same `Idempotency-Key` or client message id came with another content.
    IdempotencyMismatch = "idempotency_mismatch", 422, never, "state";
    /// Too many failed logins; `params.retry_after` says for how many seconds.
    AccountLocked = "account_locked", 423, retry, "auth";
    /// More than the named limit allows; `params.retry_after` in seconds where time heals it.
    RateLimited = "rate_limited", 429, retry, "limit";
    /// A count limit (members, conversations, sockets) is reached.
    LimitReached = "limit_reached", 409, never, "limit";
    /// A fault of the server. It is logged under `request_id`.
    Internal = "internal", 500, retry, "server";
    /// A queue is full: nothing was stored, try again.
    Overloaded = "overloaded", 503, retry, "server";
    /// The store cannot take writes: nothing was stored, try again.
    StoreUnavailable = "store_unavailable", 503, retry, "server";
    /// The server is stopping: nothing was stored, come back or go to another node.
    Draining = "draining", 503, retry, "server";
    /// It may or may not have been stored: repeat it with the same `client_message_id` to learn which.
    UnknownOutcome = "unknown_outcome", 504, retry, "server";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal as it is told: over a socket inside [`crate::frame::server::CommandError`], over REST as `{"error": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For programs.
    pub code: ErrorCode,
    /// For developers: one English sentence that names the field, the limit and the way out.
    pub message: String,
    /// For translators.
    pub i18n_key: String,
    /// The particulars: `field`, `limit`, `max`, `retry_after` …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Param>,
    /// Whether the same request can succeed later, unchanged.
    pub retryable: bool,
    /// The request's id in the server's log. REST only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// A particular of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Param {
    /// A count, a size in bytes, or seconds.
    Number(u64),
    /// A name.
    Text(String),
}

impl From<u64> for Param {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Param {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<&str> for Param {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Param {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl ErrorBody {
    /// A refusal with this code and sentence.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            i18n_key: code.i18n_key().to_owned(),
            params: BTreeMap::new(),
            retryable: code.retryable(),
            request_id: None,
        }
    }

    /// The same, with a particular.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Param>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
