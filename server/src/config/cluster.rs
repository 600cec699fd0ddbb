//! The bus between the processes of a cluster: which Redis carries it, and the secret by which they know each other.

use std::path::PathBuf;

use super::form::{MaybeFile, Word};
use super::reader::Reader;
use super::secret::{RedisUrl, Secret};

/// Settings below `[redis]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSection {
    /// Where it is; nothing for a process by itself.
    pub url: Option<Secret>,
    /// What the names of all channels and counters begin with.
    pub prefix: String,
}

impl RedisSection {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            url: reader.setting(
                "redis.url",
                "The Redis by which the processes over one cql store tell each other what is new. Nothing is kept there: \
                 without it they find out by themselves, later. Flag: --redis.",
                None,
                &RedisUrl,
            ),
            prefix: reader.setting(
                "redis.prefix",
                "What the names of all channels and counters there begin with: one prefix a cluster.",
                "hubbub".to_owned(),
                &Word { wants: "1 to 32 of the characters a-z, A-Z, 0-9, '.', '-' and '_'", does: is_prefix },
            ),
        }
    }
}

fn is_prefix(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// Settings below `[cluster]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSection {
    /// Where the secret is that all its processes share.
    pub secret_file: Option<PathBuf>,
}

impl ClusterSection {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            secret_file: reader.setting(
                "cluster.secret_file",
                "A file with the secret that all processes of a cluster share: what comes by way of Redis without it is \
                 not believed. Make it once with `hubbub secret FILE`, and copy it to each.",
                None,
                &MaybeFile,
            ),
        }
    }
}
