//! Why the hub ends a socket, and whether to come back.

use serde::{Deserialize, Serialize};

/// What a client does after a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseAction {
    /// Come back at once (with jitter), and resume.
    RetryNow,
    /// Come back after the time that `going_away` or the reason names, or after a growing pause.
    RetryAfter,
    /// Get a new token first.
    Reauthenticate,
    /// Do not come back: the client is wrong and would be closed again.
    Stop,
}

macro_rules! close_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $reason:literal, $action:ident;)*) => {
        /// A close code (RFC 6455 section 7.4); those of our own are in the private range.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum CloseCode {
            $($(#[$doc])* $name,)*
        }

        impl CloseCode {
            /// All of them, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number in the close frame.
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }

            /// The word in the close frame's reason.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)* }
            }

            /// What the client does now.
            pub const fn action(self) -> CloseAction {
                match self { $(Self::$name => CloseAction::$action,)* }
            }

            /// The close code with this number.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

close_codes! {
    /// The client asked for it.
    Normal = 1000, "normal", Stop;
    /// Broken framing: unmasked, reserved bits, a control frame in pieces.
    Protocol = 1002, "protocol_error", Stop;
    /// A text frame on a MessagePack socket, or the other way round.
    Unsupported = 1003, "unsupported_data", Stop;
    /// Text that is not UTF-8.
    InvalidText = 1007, "invalid_text", Stop;
    /// A frame or message over [`crate::limits::MAX_FRAME_BYTES`].
    TooLarge = 1009, "too_large", Stop;
    /// A fault of the server.
    Internal = 1011, "internal_error", RetryAfter;
    /// The server stops; `going_away` said when to come back.
    Restart = 1012, "restart", RetryAfter;
    /// No whole `auth` frame in time.
    LoginTimeout = 4001, "login_timeout", RetryNow;
    /// The token was refused.
    LoginRefused = 4002, "login_refused", Reauthenticate;
    /// The token's time is over and no `auth.renew` came.
    TokenExpired = 4003, "token_expired", Reauthenticate;
    /// The session was ended: logout, or a stolen refresh token.
    SessionRevoked = 4004, "session_revoked", Reauthenticate;
    /// More waits for this socket than it reads; `going_away` named its resume points.
    SlowReader = 4005, "slow_reader", RetryNow;
    /// Nothing was heard for [`crate::limits::DEAD_AFTER_MS`].
    HeartbeatLost = 4006, "heartbeat_lost", RetryNow;
    /// Too many sockets of this person or address.
    TooManyConnections = 4007, "too_many_connections", RetryAfter;
    /// Too many faulty frames.
    TooManyErrors = 4008, "too_many_errors", Stop;
}
