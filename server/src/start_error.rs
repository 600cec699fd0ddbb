//! Why the server did not start, each with what to do about it in the same line.

use std::io;
use std::net::SocketAddr;

use hubbub_hub::HubError;
use hubbub_storage::sqlite::OpenError;

use crate::secret_file::SecretError;
use crate::tls::TlsError;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody listens there already.
    #[error("cannot listen on {0}: another process does already; stop that one, or choose another port with --listen")]
    PortInUse(SocketAddr),
    /// The operating system lets nobody, or not this user, listen there.
    #[error(
        "cannot listen on {address}: {source}; choose an address of this machine and a port from 1024 on with --listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Its words.
        source: io::Error,
    },
    /// The store cannot be opened.
    #[error("{}; {}", in_one_line(.0), advice(.0))]
    Store(#[from] OpenError),
    /// There are no keys, or another secret is missing.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is no TLS where it is wanted.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The cluster's store cannot be opened.
    #[error("{error} (given up after {seconds} s; cql.wait_ms is how long a start waits)")]
    Cql {
        /// Why.
        error: hubbub_storage::scylla::OpenError,
        /// How long it was tried.
        seconds: u64,
    },
    /// The bus cannot even be tried.
    #[error("{0}")]
    Bus(#[from] hubbub_storage::bus::redis::OpenError),
    /// A hub without keys can let nobody in.
    #[error(
        "the public keys of logins cannot be had: {error} (given up after {seconds} s; keys.jwks is where they are, \
         keys.wait_ms how long a start waits)"
    )]
    NoKeys {
        /// What was wrong with each source.
        error: String,
        /// How long it was tried.
        seconds: u64,
    },
    /// The operating system gave no threads.
    #[error("{}; raise this user's limit of threads, or lower hub.shards", in_one_line(.0))]
    Hub(#[from] HubError),
    /// A part of the start ended by a panic, which is in the log.
    #[error("the store could not be opened because of a mistake in this program; its log says more")]
    Broken,
}

/// What an operator can do about a store that does not open.
pub(crate) fn advice(error: &OpenError) -> &'static str {
    match error {
        OpenError::InUse { .. } => "stop that process, or choose another folder with --data",
        OpenError::Newer { .. } => "run that newer version, or choose another folder with --data; nothing was changed",
        OpenError::Foreign { .. } => "choose a folder of its own with --data; nothing was changed",
        OpenError::Damaged { .. } => {
            "`hubbub verify --data DIR` tells what is wrong where; move the folder aside and restore a backup"
        }
        OpenError::Io { .. } | OpenError::Engine { .. } => {
            "check that the folder can be made there, that this user may write to it, and that its disk has room"
        }
    }
}

/// The error with its causes.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
