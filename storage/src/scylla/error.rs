//! Why a keyspace cannot be opened, each with the way out.

use crate::error::Reason;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration cannot be.
    #[error("{0}")]
    Config(Reason),
    /// No node answered.
    #[error(
        "no CQL server answers at {nodes}: {reason}. Is it running, and is the address right (host:port, 9042 by default)?"
    )]
    Unreachable {
        /// Which were tried.
        nodes: String,
        /// The last one's words.
        reason: Reason,
    },
    /// The server wants another user or password, or any at all.
    #[error("the CQL server refuses the login: {0}. Check cql.user and cql.password")]
    Login(Reason),
    /// The user may not do what is needed.
    #[error("the CQL user lacks a permission: {0}. It needs CREATE, ALTER, SELECT and MODIFY on the keyspace {1}")]
    Forbidden(Reason, String),
    /// The cluster has no such datacenter.
    #[error("the cluster has no datacenter {name}; it has {present}. Set cql.datacenter to one of them")]
    NoDatacenter {
        /// The one that was named.
        name: String,
        /// Those that there are.
        present: String,
    },
    /// A later Hubbub wrote it.
    #[error(
        "the keyspace {keyspace} was written by a newer Hubbub: its form is {found}, this one knows forms up to {supported}"
    )]
    Newer {
        /// Which keyspace.
        keyspace: String,
        /// The form that it has.
        found: i64,
        /// The latest form known here.
        supported: i64,
    },
    /// Conditional writes are refused.
    #[error(
        "the server refuses conditional writes (IF …) in the keyspace {keyspace}, and without them nothing here is safe: \
         {reason}. On ScyllaDB before 2025.4 they do not work with tablets: upgrade, or use a keyspace that was made \
         with tablets = {{'enabled': false}}"
    )]
    NoConditionalWrites {
        /// Which keyspace.
        keyspace: String,
        /// The server's words.
        reason: Reason,
    },
    /// Another process was making the tables and did not finish.
    #[error(
        "another process holds the lock on the tables of {keyspace} and does not finish; it ends by itself in {seconds} s"
    )]
    Locked {
        /// Which keyspace.
        keyspace: String,
        /// When the lock ends, at the latest.
        seconds: u64,
    },
    /// The server refused a statement.
    #[error("the CQL server refused {what}: {reason}")]
    Refused {
        /// What was asked.
        what: String,
        /// Its words.
        reason: Reason,
    },
}
