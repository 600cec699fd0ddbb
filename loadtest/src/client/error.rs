//! What can keep a client from what it wants: the way there, the server's refusal, or an answer that is none.

use hubbub_protocol::ErrorBody;

use super::socket::Ending;

/// Why something could not be had from the server.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What should be a server's URL is none.
    #[error("{url}: {problem}")]
    BadUrl {
        /// The URL.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The connection could not be made, or broke.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The same, as the kernel tells it.
    #[error("the connection was lost: {0}")]
    Io(#[from] std::io::Error),
    /// REST refused it.
    #[error("refused with {status} {}: {}", error.code, error.message)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        error: ErrorBody,
    },
    /// The upgrade to a WebSocket was answered with this status.
    #[error("the upgrade was answered with status {0}")]
    UpgradeRefused(u16),
    /// `auth.error`, with its reason.
    #[error("the login was refused: {0}")]
    LoginRefused(String),
    /// The socket was closed where an answer was due.
    #[error("the socket was closed with {:?}: {}", .0.code, .0.reason)]
    Ended(Ending),
    /// An answer that this client cannot read.
    #[error("not readable: {0}")]
    Unreadable(String),
}
