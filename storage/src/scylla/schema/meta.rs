//! The table `meta`: what the keyspace is, and the lock under which its tables are made.
//!
//! All of it is conditional writes and serial reads, so those who start at once agree. Each write here is the same when
//! done twice, so one whose outcome is unknown is done again and then looked at.

use std::time::Duration;

use scylla::errors::DbError;
use scylla::statement::prepared::PreparedStatement;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::config::CqlConfig;
use super::super::error::OpenError;
use super::super::log::partition::Sight;
use super::super::outcome::Failure;
use super::super::session::{Cluster, Reading, server_refused};
use super::super::value::Value;
use super::{Schema, newest};
use crate::error::Reason;

/// How long the lock lasts without being renewed: longer than one table takes.
const LOCK: Duration = Duration::from_mins(1);
/// How long to wait for somebody else's.
const WAIT: Duration = Duration::from_mins(2);
/// Tries of a conditional write whose outcome is unknown.
const TRIES: usize = 5;

/// The table that says what the keyspace is.
pub(super) struct Meta<'a> {
    cluster: &'a Cluster,
    config: &'a CqlConfig,
    holder: Uuid,
    get: Reading,
    put: PreparedStatement,
    set: PreparedStatement,
    lock: PreparedStatement,
    renew: PreparedStatement,
    unlock: PreparedStatement,
}

impl<'a> Meta<'a> {
    pub(super) async fn prepare(schema: &Schema<'a>) -> Result<Self, OpenError> {
        let (cluster, config) = (schema.cluster, schema.config);
        let table = format!("{}.meta", config.keyspace);
        let ttl = LOCK.as_secs();
        let lock = "name = 'lock'";
        let write = async |cql: String| {
            cluster.prepare_write(&cql).await.map_err(|error| match server_refused(&error) {
                Some(DbError::Unauthorized) => OpenError::Forbidden(Reason::new(error), config.keyspace.clone()),
                Some(DbError::Invalid) => Self::no_conditions(config, Reason::new(error)),
                _ => OpenError::Refused { what: cql.clone(), reason: Reason::new(error) },
            })
        };
        let get = format!("SELECT number, holder FROM {table} WHERE name = ?");
        let reading = cluster.prepare_read(&get).await;
        Ok(Self {
            holder: Uuid::new_v4(),
            get: reading.map_err(|error| OpenError::Refused { what: get, reason: Reason::new(error) })?,
            put: write(format!("INSERT INTO {table} (name, number) VALUES (?, ?) IF NOT EXISTS")).await?,
            set: write(format!("UPDATE {table} SET number = ? WHERE name = 'form' IF number = ?")).await?,
            lock: write(format!("INSERT INTO {table} (name, holder) VALUES ('lock', ?) IF NOT EXISTS USING TTL {ttl}"))
                .await?,
            renew: write(format!("UPDATE {table} USING TTL {ttl} SET holder = ? WHERE {lock} IF holder = ?")).await?,
            unlock: write(format!("DELETE FROM {table} WHERE {lock} IF holder = ?")).await?,
            cluster,
            config,
        })
    }

    fn no_conditions(config: &CqlConfig, reason: Reason) -> OpenError {
        OpenError::NoConditionalWrites { keyspace: config.keyspace.clone(), reason }
    }

    /// A conditional write that is the same when done twice.
    async fn write(&self, statement: &PreparedStatement, values: &[Value<'_>]) -> Result<(), OpenError> {
        let mut last = None;
        for _ in 0..TRIES {
            match self.cluster.write("schema", statement, values).await {
                Ok(_) => return Ok(()),
                Err(Failure::NotDone(reason) | Failure::Unknown(reason)) => last = Some(reason),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let reason = last.unwrap_or_else(|| Reason::new("it did not answer"));
        let words = reason.to_string();
        if ["LWT", "ightweight", "onditional", "ablets"].iter().any(|sign| words.contains(sign)) {
            return Err(Self::no_conditions(self.config, reason));
        }
        Err(self.refused(statement.get_statement(), reason))
    }

    fn refused(&self, what: &str, reason: Reason) -> OpenError {
        if reason.to_string().contains("permission") {
            return OpenError::Forbidden(reason, self.config.keyspace.clone());
        }
        OpenError::Refused { what: what.to_owned(), reason }
    }

    async fn row(&self, name: &str) -> Result<(Option<i64>, Option<Uuid>), OpenError> {
        let mut found = (None, None);
        let values = [name.into()];
        let read = self.cluster.read(&self.get, Sight::Serial, &values, |page| {
            if let Some(row) = page.first() {
                found = (row.number("number"), row.uuid("holder"));
            }
        });
        read.await.map_err(|reason| self.refused("SELECT … FROM meta", reason))?;
        Ok(found)
    }

    /// The size of buckets, settled for ever by whoever comes first. The first conditional write of all.
    pub(super) async fn settle_bucket_size(&self) -> Result<u32, OpenError> {
        let mut found = self.row("bucket_size").await?.0;
        if found.is_none() {
            self.write(&self.put, &["bucket_size".into(), i64::from(self.config.bucket_size).into()]).await?;
            found = self.row("bucket_size").await?.0;
        }
        let found = found.unwrap_or_default();
        let size = u32::try_from(found).ok().filter(|size| *size > 0);
        size.ok_or_else(|| OpenError::Refused {
            what: "the keyspace's bucket size".to_owned(),
            reason: Reason::new(format_args!("it is {found}")),
        })
    }

    /// The form that the keyspace has; one that is too new is refused.
    pub(super) async fn form(&self) -> Result<i64, OpenError> {
        let found = self.row("form").await?.0.unwrap_or_default();
        if found > newest() {
            return Err(OpenError::Newer { keyspace: self.config.keyspace.clone(), found, supported: newest() });
        }
        Ok(found)
    }

    pub(super) async fn set_form(&self, from: i64) -> Result<(), OpenError> {
        self.write(&self.put, &["form".into(), newest().into()]).await?;
        self.write(&self.set, &[newest().into(), from.into()]).await
    }

    pub(super) async fn lock(&self) -> Result<(), OpenError> {
        let until = Instant::now() + WAIT;
        loop {
            self.write(&self.lock, &[self.holder.into()]).await?;
            if self.row("lock").await?.1 == Some(self.holder) {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(OpenError::Locked { keyspace: self.config.keyspace.clone(), seconds: LOCK.as_secs() });
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    pub(super) async fn renew(&self) -> Result<(), OpenError> {
        self.write(&self.renew, &[self.holder.into(), self.holder.into()]).await?;
        if self.row("lock").await?.1 == Some(self.holder) {
            return Ok(());
        }
        Err(OpenError::Locked { keyspace: self.config.keyspace.clone(), seconds: LOCK.as_secs() })
    }

    /// If it fails, the lock ends by itself.
    pub(super) async fn unlock(&self) {
        if let Err(error) = self.write(&self.unlock, &[self.holder.into()]).await {
            tracing::debug!(%error, "the lock on the tables ends by itself");
        }
    }
}
