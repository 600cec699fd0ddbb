//! Where the cluster is, and how patient to be with it.

use std::fmt;
use std::time::Duration;

/// What [`open`](super::open) needs to know. [`CqlConfig::at`] has the defaults.
#[derive(Clone)]
pub struct CqlConfig {
    /// Nodes to begin with, `host` or `host:port`; the others are learnt from them.
    pub nodes: Vec<String>,
    /// The keyspace, made if it is not there: a lower case letter, then lower case letters, digits and underscores.
    pub keyspace: String,
    /// Copies of each row, when the keyspace is made: 3, or as many as there are nodes if they are fewer. An existing
    /// keyspace keeps what it has.
    pub replication: Option<u32>,
    /// The datacenter to read and write in; that of the first node that answers, if none is named. All Hubbubs on one
    /// keyspace must name the same one: its nodes alone agree on what comes first.
    pub datacenter: Option<String>,
    /// Who logs in.
    pub user: Option<String>,
    /// With which password. Never logged.
    pub password: Option<String>,
    /// Records in one partition of the log, when the keyspace is made. An existing keyspace keeps what it has.
    pub bucket_size: u32,
    /// How long one conditional write may take: longer than the server's own limits (2 s each by default), so that its
    /// word comes first.
    pub write_timeout: Duration,
    /// How long one read may take.
    pub read_timeout: Duration,
    /// How long to go on settling a write whose outcome is unknown, before it is called unknown.
    pub settle_within: Duration,
    /// How long to try to connect to one node.
    pub connect_timeout: Duration,
    /// Bytes of appends and writes in flight or waiting for their turn; over it: `Overloaded` (BOUNDED).
    pub max_write_bytes: usize,
    /// Reads in flight; over it: `Overloaded` (BOUNDED).
    pub max_reads: usize,
}

impl CqlConfig {
    /// The defaults, at these nodes.
    pub fn at<N: Into<String>>(nodes: impl IntoIterator<Item = N>, keyspace: impl Into<String>) -> Self {
        Self {
            nodes: nodes.into_iter().map(Into::into).collect(),
            keyspace: keyspace.into(),
            replication: None,
            datacenter: None,
            user: None,
            password: None,
            bucket_size: 10_000,
            write_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(5),
            settle_within: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            max_write_bytes: 64 * 1024 * 1024,
            max_reads: 1024,
        }
    }
}

/// Everything but the password.
impl fmt::Debug for CqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CqlConfig")
            .field("nodes", &self.nodes)
            .field("keyspace", &self.keyspace)
            .field("replication", &self.replication)
            .field("datacenter", &self.datacenter)
            .field("user", &self.user)
            .field("bucket_size", &self.bucket_size)
            .finish_non_exhaustive()
    }
}
