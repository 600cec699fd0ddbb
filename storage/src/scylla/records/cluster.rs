//! The families' tables and the claims over CQL: the statements, and what their answers say.

use std::collections::HashMap;
use std::sync::Arc;

use scylla::errors::PrepareError;
use scylla::statement::prepared::PreparedStatement;

use super::super::log::partition::Sight;
use super::super::outcome::{Answer, Failure, Named};
use super::super::schema::table;
use super::super::session::{Cluster, Reading};
use super::super::value::Value;
use super::rows::{Change, Condition, FoundRow, RowKey, Rows, Swap};
use crate::error::{Reason, StoreError, StoreResult};
use crate::families;
use crate::records::{FamilyDef, MAX_LIST_ROWS, RawRow, Slice, Version};
use crate::stored::row::{end_of, next_key};

/// Every family's table, and that of the claims.
pub(in crate::scylla) struct RowTables {
    cluster: Arc<Cluster>,
    families: HashMap<&'static str, Family>,
    claim: PreparedStatement,
    release: PreparedStatement,
    holder: Reading,
}

/// The statements of one family.
struct Family {
    insert: PreparedStatement,
    update: PreparedStatement,
    delete: PreparedStatement,
    get: Reading,
    list: Reading,
    list_below: Reading,
}

/// Who holds a claim.
pub(super) struct Holder {
    pub(super) owner: Vec<u8>,
    pub(super) checksum: u32,
}

impl Family {
    async fn prepare(cluster: &Cluster, table: &str) -> Result<Self, PrepareError> {
        let row = "sort, version, stamp, value, checksum";
        let at = "WHERE part = ? AND sort = ?";
        let list = format!("SELECT {row} FROM {table} WHERE part = ? AND sort >= ?");
        let insert = format!("INSERT INTO {table} (part, {row}) VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS");
        let set = "version = ?, stamp = ?, value = ?, checksum = ?";
        Ok(Self {
            insert: cluster.prepare_write(&insert).await?,
            update: cluster.prepare_write(&format!("UPDATE {table} SET {set} {at} IF version = ?")).await?,
            delete: cluster.prepare_write(&format!("DELETE FROM {table} {at} IF stamp = ?")).await?,
            get: cluster.prepare_read(&format!("SELECT {row} FROM {table} {at}")).await?,
            list_below: cluster.prepare_read(&format!("{list} AND sort < ? LIMIT ?")).await?,
            list: cluster.prepare_read(&format!("{list} LIMIT ?")).await?,
        })
    }
}

impl RowTables {
    /// Makes every statement ready.
    pub(in crate::scylla) async fn prepare(cluster: Arc<Cluster>, keyspace: &str) -> Result<Self, PrepareError> {
        let mut families = HashMap::new();
        for family in families::ALL {
            let statements = Family::prepare(&cluster, &format!("{keyspace}.{}", table(family))).await?;
            families.insert(family.name, statements);
        }
        let claims = format!("{keyspace}.claims");
        let claim = format!("INSERT INTO {claims} (name, value, owner, checksum) VALUES (?, ?, ?, ?) IF NOT EXISTS");
        let at = "WHERE name = ? AND value = ?";
        Ok(Self {
            families,
            claim: cluster.prepare_write(&claim).await?,
            release: cluster.prepare_write(&format!("DELETE FROM {claims} {at} IF owner = ?")).await?,
            holder: cluster.prepare_read(&format!("SELECT owner, checksum FROM {claims} {at}")).await?,
            cluster,
        })
    }

    fn of(&self, family: &str) -> StoreResult<&Family> {
        let found = self.families.get(family);
        found.ok_or_else(|| StoreError::Invalid(Reason::new(format_args!("{family} is not in families::ALL"))))
    }

    /// Whether the family has a table.
    pub(super) fn check(&self, family: &FamilyDef) -> StoreResult<()> {
        self.of(family.name).map(|_| ())
    }

    /// Rows of a partition, in the order of their keys.
    pub(super) async fn list(
        &self,
        family: &'static FamilyDef,
        partition: &[u8],
        slice: Slice,
    ) -> StoreResult<Vec<RawRow>> {
        let Slice { prefix, after, limit } = slice;
        let statements = self.of(family.name)?;
        let limit = limit.min(MAX_LIST_ROWS);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let end = end_of(&prefix);
        let start = after.map_or(prefix.clone(), |after| next_key(after).max(prefix));
        if end.as_ref().is_some_and(|end| *end <= start) {
            return Ok(Vec::new());
        }
        let part = stored_key(partition);
        let mut values: Vec<Value<'_>> = vec![part[..].into(), start[..].into()];
        let reading = match &end {
            None => &statements.list,
            Some(end) => {
                values.push(end[..].into());
                &statements.list_below
            }
        };
        values.push(Value::Int(i32::try_from(limit).unwrap_or(i32::MAX)));
        let mut rows = Vec::new();
        let read = self.cluster.read(reading, Sight::Quorum, &values, |page| rows.extend(page.rows().map(found_row)));
        read.await.map_err(StoreError::Unavailable)?;
        rows.into_iter().map(|row| row.ok_or_else(|| unreadable(family.name))?.checked(family, partition)).collect()
    }

    /// Tries once to claim. Whether it was applied.
    pub(super) async fn claim(&self, name: &str, value: &[u8], owner: &[u8], checksum: u32) -> Result<bool, Failure> {
        let values = [name.into(), value.into(), owner.into(), i64::from(checksum).into()];
        self.cluster.write("claim", &self.claim, &values).await?.applied()
    }

    /// Tries once to give a claim back; not to hold it is as good.
    pub(super) async fn release(&self, name: &str, value: &[u8], owner: &[u8]) -> Result<(), Failure> {
        self.cluster.write("claim", &self.release, &[name.into(), value.into(), owner.into()]).await.map(|_| ())
    }

    /// Who holds a claim.
    pub(super) async fn holder(&self, name: &str, value: &[u8], sight: Sight) -> Result<Option<Holder>, Reason> {
        let mut holder = None;
        self.cluster
            .read(&self.holder, sight, &[name.into(), value.into()], |page| {
                holder = holder.take().or_else(|| page.first().and_then(found_holder));
            })
            .await?;
        Ok(holder)
    }
}

/// CQL has no empty partition keys.
fn stored_key(partition: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + partition.len());
    key.push(1);
    key.extend_from_slice(partition);
    key
}

fn found_holder(row: Named<'_>) -> Option<Holder> {
    let owner = row.bytes("owner")?.to_vec();
    Some(Holder { owner, checksum: row.number("checksum").and_then(|sum| u32::try_from(sum).ok()).unwrap_or_default() })
}

fn found_row(row: Named<'_>) -> Option<FoundRow> {
    Some(FoundRow {
        row: RawRow { sort: row.bytes("sort")?.to_vec(), version: version(row)?, value: row.bytes("value")?.to_vec() },
        stamp: row.uuid("stamp")?,
        checksum: u32::try_from(row.number("checksum")?).ok()?,
    })
}

fn version(row: Named<'_>) -> Option<Version> {
    Version::try_from(row.number("version")?).ok()
}

fn unreadable(family: &str) -> StoreError {
    StoreError::Damaged(Reason::new(format_args!("family {family}: a row lacks some of its columns")))
}

/// A version as CQL spells it; none of ours is above what it can.
fn number(version: Version) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

fn swapped(answer: &Answer) -> Result<Swap, Failure> {
    if answer.applied()? {
        return Ok(Swap::Done);
    }
    Ok(Swap::Refused(answer.rows().find_map(version)))
}

impl Rows for RowTables {
    async fn swap(&self, key: &RowKey, condition: Condition, change: &Change) -> Result<Swap, Failure> {
        let unknown = |error: StoreError| Failure::NotDone(Reason::new(error));
        let statements = self.of(key.family).map_err(unknown)?;
        let part = stored_key(&key.partition);
        let at: [Value<'_>; 2] = [part[..].into(), key.sort[..].into()];
        let answer = match (change, condition) {
            (Change::Put { version, stamp, value, checksum }, Condition::Version(expected)) => {
                let [part, sort] = at;
                let (version, checksum) = (number(*version).into(), i64::from(*checksum).into());
                let values =
                    [version, (*stamp).into(), value[..].into(), checksum, part, sort, number(expected).into()];
                self.cluster.write("put", &statements.update, &values).await?
            }
            (Change::Put { version, stamp, value, checksum }, _) => {
                let [part, sort] = at;
                let (version, checksum) = (number(*version).into(), i64::from(*checksum).into());
                let values = [part, sort, version, (*stamp).into(), value[..].into(), checksum];
                self.cluster.write("put", &statements.insert, &values).await?
            }
            (Change::Delete, Condition::Stamp(stamp)) => {
                let [part, sort] = at;
                self.cluster.write("delete", &statements.delete, &[part, sort, stamp.into()]).await?
            }
            (Change::Delete, _) => return Err(Failure::NotDone(Reason::new("a deletion names the stamp of its row"))),
        };
        swapped(&answer)
    }

    async fn get(&self, key: &RowKey, sight: Sight) -> StoreResult<Option<FoundRow>> {
        let statements = self.of(key.family)?;
        let part = stored_key(&key.partition);
        let mut found = None;
        let values = [part[..].into(), key.sort[..].into()];
        let read = self.cluster.read(&statements.get, sight, &values, |page| {
            found = found.take().or_else(|| page.first().map(found_row));
        });
        read.await.map_err(StoreError::Unavailable)?;
        found.map(|row: Option<FoundRow>| row.ok_or_else(|| unreadable(key.family))).transpose()
    }
}
