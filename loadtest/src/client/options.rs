//! How a simulated device is made: whose it is, where it connects, what it listens to, and how patient it is.

use std::sync::Arc;
use std::time::Duration;

use hubbub_protocol::limits;

use super::account::Account;
use super::http::Target;
use super::socket::SocketOptions;

/// Which conversations a client listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// All of its person's.
    All,
    /// None: it only sends.
    Nothing,
}

/// How a client is made.
#[derive(Clone)]
pub struct Options {
    /// Whose device it is.
    pub account: Arc<Account>,
    /// Where to connect: the first, and on every loss the next.
    pub targets: Arc<[Target]>,
    /// How.
    pub socket: SocketOptions,
    /// Which conversations it listens to.
    pub following: Following,
    /// Sends that may wait for their ack; at most [`limits::MAX_COMMANDS_IN_FLIGHT`] make sense.
    pub max_in_flight: usize,
    /// A server that does not answer within this time is taken for dead; with none it is never asked, and taken for
    /// dead after a minute without a word.
    pub silence: Option<Duration>,
    /// For the jitter of its pauses, and which server is the first.
    pub seed: u64,
}

impl Options {
    /// A device of this account at this server, with the defaults.
    pub fn new(account: Arc<Account>, target: Target) -> Self {
        Self {
            account,
            targets: Arc::new([target]),
            socket: SocketOptions::default(),
            following: Following::All,
            max_in_flight: limits::MAX_COMMANDS_IN_FLIGHT,
            silence: None,
            seed: 1,
        }
    }
}
