//! The keyspace and its tables: made, brought to the newest form, and never by two at once.
//!
//! ```text
//! meta     what the keyspace is: its form, its bucket size, and the lock of whoever is making tables
//! log      the conversations' logs: partition (conversation, bucket), static head, records (kind 0), acts (kind 1)
//! claims   who has claimed what: its columns are a family's
//! f_…      one table a family: rows, and marks of deleted ones (version 0), which end after a day
//! ```
//!
//! Cassandra breaks when two nodes make the same table at once, each under an id of its own; so `meta` is made under an id
//! that follows from the keyspace's name, and everything else under a lock in it, taken by a conditional write that ends
//! by itself. The first conditional write is also the probe: where those are refused, nothing here would be safe. A form,
//! once released, never changes: what is new is one more entry in [`FORMS`].

mod meta;

use std::collections::HashSet;
use std::time::Duration;

use scylla::errors::{DbError, ExecutionError};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use self::meta::Meta;
use super::config::CqlConfig;
use super::error::OpenError;
use super::outcome::Answer;
use super::records::claims::CLAIMS;
use super::session::{Cluster, server_error};
use crate::error::Reason;
use crate::families;
use crate::records::FamilyDef;

/// A table: name, columns, order and what else.
struct Table {
    name: &'static str,
    columns: &'static str,
}

/// How often, and after which pause, a table is looked for that was just made.
const META_TRIES: u32 = 20;
const META_PAUSE: Duration = Duration::from_millis(200);

/// From form n to form n + 1, for each n from 0 on.
const FORMS: &[&[Table]] = &[&[
    Table {
        name: "log",
        columns: "conversation uuid, bucket bigint, kind tinyint, sequence bigint, act blob, head bigint static, \
                  place bigint, append uuid, record blob, payload blob, erased bigint, recalls set<bigint>, \
                  PRIMARY KEY ((conversation, bucket), kind, sequence, act)",
    },
    Table { name: CLAIMS.name, columns: FAMILY_COLUMNS },
]];
const FAMILY_COLUMNS: &str = "part blob, sort blob, turn bigint, stamp uuid, version bigint, value blob, checksum bigint, PRIMARY KEY (part, sort)";
const META_COLUMNS: &str = "name text PRIMARY KEY, number bigint, holder uuid";

/// The newest form.
fn newest() -> i64 {
    i64::try_from(FORMS.len()).unwrap_or(i64::MAX)
}

/// A family's table.
pub(super) fn table(family: &FamilyDef) -> String {
    format!("f_{}", family.name)
}

/// Which server it is, as far as tables are made differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    /// With its year and the release in it, where it tells.
    Scylla(Option<(u32, u32)>),
    /// With its major version.
    Cassandra(u32),
}

impl Server {
    /// What a keyspace needs beside its replication. Tablets cannot do conditional writes before 2025.4.
    fn keyspace_options(self) -> &'static str {
        match self {
            Self::Scylla(Some(version)) if version < (2025, 4) => " AND tablets = {'enabled': false}",
            _ => "",
        }
    }

    fn table_options(self) -> &'static str {
        match self {
            Self::Scylla(_) => " WITH compaction = {'class': 'IncrementalCompactionStrategy'}",
            Self::Cassandra(5..) => " WITH compaction = {'class': 'UnifiedCompactionStrategy'}",
            Self::Cassandra(_) => "",
        }
    }
}

/// What an open keyspace is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyspace {
    pub(super) bucket_size: u32,
}

/// Makes the keyspace and its tables where they are not there.
pub(super) async fn open(cluster: &Cluster, config: &CqlConfig) -> Result<Keyspace, OpenError> {
    check(config)?;
    let schema = Schema { cluster, config, server: server(cluster, config).await? };
    let mut tables = schema.tables().await?;
    if tables.is_empty() {
        schema.make_keyspace().await?;
    }
    if !tables.contains("meta") {
        schema.make_meta().await?;
    }
    let meta = schema.prepare_meta().await?;
    let bucket_size = meta.settle_bucket_size().await?;
    if meta.form().await? < newest() || !families::ALL.iter().all(|family| tables.contains(&table(family))) {
        meta.lock().await?;
        let made = schema.make_tables(&meta, &mut tables).await;
        meta.unlock().await;
        made?;
    }
    schema.warn_of_late_syncs().await;
    Ok(Keyspace { bucket_size })
}

/// Names stand in statements as they are, so only harmless ones are taken.
fn check(config: &CqlConfig) -> Result<(), OpenError> {
    let mut letters = config.keyspace.chars();
    let first = letters.next().is_some_and(|letter| letter.is_ascii_lowercase());
    let rest = letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if !first || !rest || config.keyspace.len() > 48 {
        let why = format_args!(
            "cql.keyspace is {:?}: it must be a lower case letter, then lower case letters, digits and underscores, \
             48 in all",
            config.keyspace
        );
        return Err(OpenError::Config(Reason::new(why)));
    }
    if config.bucket_size == 0 || config.replication == Some(0) {
        return Err(OpenError::Config(Reason::new("a bucket size or replication of 0 cannot be")));
    }
    Ok(())
}

async fn server(cluster: &Cluster, config: &CqlConfig) -> Result<Server, OpenError> {
    let ask = async |cql: &str| cluster.plain(cql).await.map_err(|error| refused(config, cql, &error));
    let sign =
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'system' AND table_name = 'scylla_local'";
    if ask(sign).await?.first().is_some() {
        // Older ones have no such table; then what they can do shows at the probe.
        let told = cluster.plain("SELECT version FROM system.versions WHERE key = 'local'").await.unwrap_or_default();
        let version = told.first().and_then(|row| numbers(row.text("version")?));
        return Ok(Server::Scylla(version));
    }
    let told = ask("SELECT release_version FROM system.local").await?;
    let version = told.first().and_then(|row| numbers(row.text("release_version")?));
    Ok(Server::Cassandra(version.map_or(0, |(major, _)| major)))
}

/// The first two numbers of a version.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-', '~']).map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// The server's refusal, in the words that lead out.
fn refused(config: &CqlConfig, what: &str, error: &ExecutionError) -> OpenError {
    match server_error(error) {
        Some(DbError::Unauthorized) => OpenError::Forbidden(Reason::new(error), config.keyspace.clone()),
        _ => OpenError::Refused { what: what.to_owned(), reason: Reason::new(error) },
    }
}

struct Schema<'a> {
    cluster: &'a Cluster,
    config: &'a CqlConfig,
    server: Server,
}

impl Schema<'_> {
    async fn run(&self, cql: &str) -> Result<Answer, OpenError> {
        self.cluster.plain(cql).await.map_err(|error| refused(self.config, cql, &error))
    }

    /// The tables that are there.
    async fn tables(&self) -> Result<HashSet<String>, OpenError> {
        let keyspace = &self.config.keyspace;
        let cql = format!("SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{keyspace}'");
        let answer = self.run(&cql).await?;
        Ok(answer.rows().filter_map(|row| row.text("table_name").map(str::to_owned)).collect())
    }

    async fn make_keyspace(&self) -> Result<(), OpenError> {
        let keyspace = &self.config.keyspace;
        let there = format!("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = '{keyspace}'");
        if self.run(&there).await?.first().is_some() {
            return Ok(());
        }
        let datacenter = self.cluster.datacenter().replace('\'', "''");
        // A node that was named may not have been met yet, as when all start together.
        let nodes = self.cluster.nodes_in(self.cluster.datacenter()).max(self.config.nodes.len());
        let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
        let replication = self.config.replication.unwrap_or_else(|| nodes.clamp(1, 3));
        let options = self.server.keyspace_options();
        self.run(&format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
             {{'class': 'NetworkTopologyStrategy', '{datacenter}': {replication}}}{options}"
        ))
        .await?;
        tracing::info!(keyspace, replication, datacenter, "made the keyspace");
        Ok(())
    }

    async fn make_meta(&self) -> Result<(), OpenError> {
        let keyspace = &self.config.keyspace;
        let id = match self.server {
            Server::Cassandra(_) => format!(" WITH id = {}", meta_id(keyspace)),
            Server::Scylla(_) => String::new(),
        };
        let made =
            self.cluster.plain(&format!("CREATE TABLE IF NOT EXISTS {keyspace}.meta ({META_COLUMNS}){id}")).await;
        match made {
            // Somebody made it at the same time.
            Err(error) if matches!(server_error(&error), Some(DbError::AlreadyExists { .. })) => Ok(()),
            made => made.map(|_| ()).map_err(|error| refused(self.config, "CREATE TABLE meta", &error)),
        }
    }

    /// A table that another process makes at the same time is not known to every node at once.
    async fn prepare_meta(&self) -> Result<Meta<'_>, OpenError> {
        for _ in 1..META_TRIES {
            match Meta::prepare(self).await {
                Err(OpenError::Refused { .. } | OpenError::NoConditionalWrites { .. }) => {
                    tokio::time::sleep(META_PAUSE).await;
                }
                ended => return ended,
            }
        }
        Meta::prepare(self).await
    }

    async fn make_tables(&self, meta: &Meta<'_>, tables: &mut HashSet<String>) -> Result<(), OpenError> {
        // Whoever had the lock before may have made them.
        *tables = self.tables().await?;
        let form = meta.form().await?;
        let forms = FORMS.iter().flat_map(|form| form.iter()).map(|table| (table.name.to_owned(), table.columns));
        let families = families::ALL.iter().map(|family| (table(family), FAMILY_COLUMNS));
        for (name, columns) in forms.chain(families) {
            if tables.contains(&name) {
                continue;
            }
            meta.renew().await?;
            let (keyspace, options) = (&self.config.keyspace, self.server.table_options());
            self.run(&format!("CREATE TABLE IF NOT EXISTS {keyspace}.{name} ({columns}){options}")).await?;
        }
        if form < newest() {
            meta.set_form(form).await?;
            tracing::info!(keyspace = self.config.keyspace, form = newest(), "brought the keyspace to a newer form");
        }
        Ok(())
    }

    /// A Cassandra that acknowledges before it syncs keeps DURABLE against everything but a power cut of all copies.
    async fn warn_of_late_syncs(&self) {
        let Server::Cassandra(4..) = self.server else { return };
        let cql = "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'";
        let Ok(answer) = self.cluster.plain(cql).await else { return };
        if answer.first().and_then(|row| row.text("value").map(|value| value == "periodic")) == Some(true) {
            tracing::warn!(
                "this Cassandra acknowledges writes before they are synced (commitlog_sync: periodic); to survive a power \
                 cut of all copies at once, set commitlog_sync: group"
            );
        }
    }
}

/// The same wherever it is made, so that two who make it at once make one.
fn meta_id(keyspace: &str) -> Uuid {
    let digest = Sha256::new().chain_update("hubbub meta ").chain_update(keyspace).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_servers_spell_it() {
        assert_eq!(numbers("2025.4.1-0.20251203.abc"), Some((2025, 4)));
        assert_eq!(numbers("2025.1~rc1"), Some((2025, 1)));
        assert_eq!(numbers("5.0.6"), Some((5, 0)));
        assert_eq!(numbers("x"), None);
    }

    #[test]
    fn tablets_are_left_out_only_where_they_cannot_do_conditional_writes() {
        assert!(Server::Scylla(Some((2025, 3))).keyspace_options().contains("tablets"));
        assert_eq!(Server::Scylla(Some((2025, 4))).keyspace_options(), "");
        assert_eq!(Server::Scylla(None).keyspace_options(), "");
        assert_eq!(Server::Cassandra(5).keyspace_options(), "");
        assert!(Server::Cassandra(5).table_options().contains("Unified"));
        assert_eq!(Server::Cassandra(4).table_options(), "");
        assert!(Server::Scylla(None).table_options().contains("Incremental"));
    }

    #[test]
    fn a_keyspace_that_could_be_anything_else_in_a_statement_is_refused() {
        let named = |name: &str| check(&CqlConfig::at(["n"], name)).is_ok();
        assert!(named("hubbub") && named("h2_b"));
        for name in ["", "Hubbub", "2h", "_h", "h;DROP", "h-b", "h\"", &"h".repeat(49)] {
            assert!(!named(name), "{name:?}");
        }
    }

    #[test]
    fn the_table_of_a_name_is_the_same_wherever_it_is_made() {
        assert_eq!(meta_id("hubbub"), meta_id("hubbub"));
        assert_ne!(meta_id("hubbub"), meta_id("other"));
    }
}
