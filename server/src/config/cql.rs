//! The CQL cluster that keeps the truth of many nodes.

use std::path::PathBuf;
use std::time::Duration;

use super::form::{Count, Hosts, MaybeFile, Word};
use super::reader::Reader;
use super::secret::{Password, Secret};

/// Bytes of a name in CQL, at the most.
const NAME_BYTES: usize = 48;

/// More copies than any cluster makes.
const MAX_REPLICATION: u64 = 32;

/// Settings below `[cql]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CqlSection {
    /// Nodes to begin with.
    pub nodes: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
    /// Copies of each row; nothing to follow the cluster's size.
    pub replication: Option<u32>,
    /// The datacenter; nothing for the one of the first node that answers.
    pub datacenter: Option<String>,
    /// Who logs in.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<Secret>,
    /// Where the password is instead.
    pub password_file: Option<PathBuf>,
    /// How long a start waits for the cluster.
    pub wait: Duration,
}

impl CqlSection {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let nodes = reader.setting(
            "cql.nodes",
            "Nodes of the cql store's cluster to begin with; the others are learnt from them. Flag: --cql.",
            Vec::new(),
            &Hosts,
        );
        let keyspace = reader.setting(
            "cql.keyspace",
            "The keyspace that is Hubbub's alone. Made if it is not there.",
            "hubbub".to_owned(),
            &Word {
                wants: "a lower case letter, then lower case letters, digits and underscores, 48 at the most",
                does: is_keyspace,
            },
        );
        let replication = reader.setting(
            "cql.replication",
            "Copies of each row, when the keyspace is made; 0 is 3, or as many as there are nodes if they are fewer. An \
             existing keyspace keeps what it has.",
            0,
            &Count { min: 0, max: MAX_REPLICATION },
        );
        let name = Word { wants: "a name; \"\" for none", does: |_| true };
        let datacenter = reader.setting(
            "cql.datacenter",
            "The datacenter to read and write in, the same for all processes; \"\" is that of the first node that answers.",
            String::new(),
            &name,
        );
        let user = reader.setting("cql.user", "Who logs in to the cluster, if it asks.", String::new(), &name);
        let password = reader.setting(
            "cql.password",
            "With which password. Better kept in a file of its own; it is never shown.",
            None,
            &Password,
        );
        let password_file = reader.setting(
            "cql.password_file",
            "A file with that password and nothing else, readable by its owner alone.",
            None,
            &MaybeFile,
        );
        let wait = Duration::from_millis(reader.setting(
            "cql.wait_ms",
            "Milliseconds for which a start waits until the cluster answers.",
            60_000,
            &Count { min: 0, max: 3_600_000 },
        ));
        let replication = u32::try_from(replication).ok().filter(|copies| *copies > 0);
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        let (datacenter, user) = (said(datacenter), said(user));
        Self { nodes, keyspace, replication, datacenter, user, password, password_file, wait }
    }

    pub(super) fn check(&self, is_the_store: bool, reader: &mut Reader) {
        if is_the_store && self.nodes.is_empty() {
            reader.refuse("cql.nodes", "the cql store has to be somewhere: name one of its nodes with --cql HOST:PORT");
        }
        if !is_the_store && !self.nodes.is_empty() {
            reader.refuse_beside("cql.nodes", "none beside", "store");
        }
        if self.password.is_some() && self.password_file.is_some() {
            reader.refuse_beside("cql.password", "none beside", "cql.password_file");
        }
        if self.user.is_some() != (self.password.is_some() || self.password_file.is_some()) {
            reader.refuse(
                "cql.user",
                "a user goes with a password (cql.password or cql.password_file), and either with the other",
            );
        }
    }
}

fn is_keyspace(text: &str) -> bool {
    let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.len() <= NAME_BYTES && text.bytes().all(named)
}
