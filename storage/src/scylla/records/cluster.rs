//! The families' tables and the claims' over CQL: the statements, and what their answers say.
//!
//! A place without a stamp holds nothing, whether CQL knows a row of that key or not; one whose version is 0 holds the mark
//! of a deletion, whose cells end by themselves. Both kinds of server take `IF stamp = null` where there is no row.

use std::collections::HashMap;
use std::sync::Arc;

use scylla::errors::PrepareError;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::super::log::partition::Sight;
use super::super::outcome::{Failure, Named};
use super::super::schema::table;
use super::super::session::{Cluster, Reading};
use super::super::value::Value;
use super::claims::CLAIMS;
use super::rows::{Change, Found, Held, Put, RowKey, Rows, Swap};
use crate::error::{Reason, StoreError, StoreResult};
use crate::families;
use crate::records::{FamilyDef, MAX_LIST_ROWS, RawRow, Slice, Version};
use crate::stored::row::{end_of, next_key};

/// How long the mark of a deletion stands, in seconds: longer than any try of a write can be late.
const MARK_SECONDS: u32 = 86_400;
/// What is read of a row.
const ROW: &str = "sort, version, turn, stamp, value, checksum";
/// The version that a mark has.
const MARK: i64 = 0;

/// Every family's table, and that of the claims.
pub(in crate::scylla) struct RowTables {
    cluster: Arc<Cluster>,
    tables: HashMap<&'static str, Statements>,
}

/// The statements of one table. Rows are made by updates too: an `INSERT` would leave something behind when a mark ends.
struct Statements {
    make: PreparedStatement,
    update: PreparedStatement,
    mark: PreparedStatement,
    get: Reading,
    list: Reading,
    list_below: Reading,
}

impl Statements {
    async fn prepare(cluster: &Cluster, table: &str) -> Result<Self, PrepareError> {
        let at = "WHERE part = ? AND sort = ?";
        let list = format!("SELECT {ROW} FROM {table} WHERE part = ? AND sort >= ?");
        let put = format!("UPDATE {table} SET turn = ?, stamp = ?, version = ?, value = ?, checksum = ? {at}");
        let mark = format!(
            "UPDATE {table} USING TTL {MARK_SECONDS} \
             SET turn = ?, stamp = ?, version = {MARK}, value = null, checksum = null {at}"
        );
        Ok(Self {
            make: cluster.prepare_write(&format!("{put} IF stamp = null")).await?,
            update: cluster.prepare_write(&format!("{put} IF stamp = ?")).await?,
            mark: cluster.prepare_write(&format!("{mark} IF stamp = ?")).await?,
            get: cluster.prepare_read(&format!("SELECT {ROW} FROM {table} {at}")).await?,
            list_below: cluster.prepare_read(&format!("{list} AND sort < ? LIMIT ?")).await?,
            list: cluster.prepare_read(&format!("{list} LIMIT ?")).await?,
        })
    }
}

impl RowTables {
    /// Makes every statement ready.
    pub(in crate::scylla) async fn prepare(cluster: Arc<Cluster>, keyspace: &str) -> Result<Self, PrepareError> {
        let mut tables = HashMap::new();
        for family in families::ALL {
            let statements = Statements::prepare(&cluster, &format!("{keyspace}.{}", table(family))).await?;
            tables.insert(family.name, statements);
        }
        let claims = Statements::prepare(&cluster, &format!("{keyspace}.{}", CLAIMS.name)).await?;
        tables.insert(CLAIMS.name, claims);
        Ok(Self { cluster, tables })
    }

    fn of(&self, family: &str) -> StoreResult<&Statements> {
        let found = self.tables.get(family);
        found.ok_or_else(|| StoreError::Invalid(Reason::new(format_args!("{family} is not in families::ALL"))))
    }

    /// Whether the family has a table.
    pub(super) fn check(&self, family: &FamilyDef) -> StoreResult<()> {
        self.of(family.name).map(|_| ())
    }

    /// Rows of a partition, in the order of their keys. Goes on over the marks among them.
    pub(super) async fn list(
        &self,
        family: &'static FamilyDef,
        partition: &[u8],
        slice: Slice,
    ) -> StoreResult<Vec<RawRow>> {
        let Slice { prefix, after, limit } = slice;
        self.check(family)?;
        let limit = limit.min(MAX_LIST_ROWS);
        let end = end_of(&prefix);
        let mut start = after.map_or(prefix.clone(), |after| next_key(after).max(prefix));
        let (mut rows, mut ask) = (Vec::new(), limit);
        while rows.len() < limit && end.as_ref().is_none_or(|end| start < *end) {
            let page = self.page(family, partition, &start, end.as_deref(), ask).await?;
            let whole = page.len() < ask;
            for (sort, found) in page {
                rows.extend(found.map(|found| found.checked(family, partition)).transpose()?.flatten());
                start = next_key(sort);
            }
            if whole {
                break;
            }
            ask = (ask * 2).min(MAX_LIST_ROWS);
        }
        rows.truncate(limit);
        Ok(rows)
    }

    /// What stands from one key to another, so many places at most.
    async fn page(
        &self,
        family: &FamilyDef,
        partition: &[u8],
        start: &[u8],
        end: Option<&[u8]>,
        ask: usize,
    ) -> StoreResult<Vec<(Vec<u8>, Option<Found>)>> {
        let statements = self.of(family.name)?;
        let part = stored_key(partition);
        let mut values: Vec<Value<'_>> = vec![part[..].into(), start.into()];
        values.extend(end.map(Value::from));
        values.push(Value::Int(i32::try_from(ask).unwrap_or(i32::MAX)));
        let reading = if end.is_some() { &statements.list_below } else { &statements.list };
        let mut places = Vec::new();
        let read = self.cluster.read(reading, Sight::Quorum, &values, |page| places.extend(page.rows().map(place)));
        read.await.map_err(StoreError::Unavailable)?;
        places.into_iter().map(|place| place.ok_or_else(|| unreadable(family.name))).collect()
    }
}

/// CQL has no empty partition keys.
fn stored_key(partition: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + partition.len());
    key.push(1);
    key.extend_from_slice(partition);
    key
}

/// A place and what stands there; `None` where it cannot be read. Nothing is there without a stamp.
fn place(row: Named<'_>) -> Option<(Vec<u8>, Option<Found>)> {
    let sort = row.bytes("sort")?.to_vec();
    if row.get("stamp").is_none() && row.get("version").is_none() {
        return Some((sort, None));
    }
    let turn = u64::try_from(row.number("turn")?).ok()?;
    let held = match row.number("version")? {
        MARK => None,
        version => Some(Held {
            row: RawRow {
                sort: sort.clone(),
                version: Version::try_from(version).ok()?,
                value: row.bytes("value")?.to_vec(),
            },
            checksum: u32::try_from(row.number("checksum")?).ok()?,
        }),
    };
    Some((sort, Some(Found { stamp: row.uuid("stamp")?, turn, held })))
}

fn unreadable(family: &str) -> StoreError {
    StoreError::Damaged(Reason::new(format_args!("family {family}: a row lacks some of its columns")))
}

/// A version or turn as CQL spells it; none of ours is above what it can.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Rows for RowTables {
    async fn swap(&self, key: &RowKey, on: Option<Uuid>, change: &Change) -> Result<Swap, Failure> {
        let statements = self.of(key.family).map_err(|error| Failure::NotDone(Reason::new(error)))?;
        let part = stored_key(&key.partition);
        let mut values: Vec<Value<'_>> = vec![number(change.turn).into(), change.stamp.into()];
        if let Some(Put { version, value, checksum }) = &change.put {
            values.extend([number(*version).into(), value[..].into(), i64::from(*checksum).into()]);
        }
        values.extend([part[..].into(), key.sort[..].into()]);
        values.extend(on.map(Value::from));
        let (of, statement) = match (&change.put, on) {
            (Some(_), None) => ("put", &statements.make),
            (Some(_), Some(_)) => ("put", &statements.update),
            (None, Some(_)) => ("delete", &statements.mark),
            (None, None) => return Err(Failure::NotDone(Reason::new("a deletion names the stamp of its row"))),
        };
        let of = if key.family == CLAIMS.name { "claim" } else { of };
        let applied = self.cluster.write(of, statement, &values).await?.applied()?;
        Ok(if applied { Swap::Done } else { Swap::Refused })
    }

    async fn get(&self, key: &RowKey, sight: Sight) -> StoreResult<Option<Found>> {
        let statements = self.of(key.family)?;
        let part = stored_key(&key.partition);
        let mut found = None;
        let values = [part[..].into(), key.sort[..].into()];
        let read = self.cluster.read(&statements.get, sight, &values, |page| {
            found = found.take().or_else(|| page.first().map(place));
        });
        read.await.map_err(StoreError::Unavailable)?;
        let found = found.map(|place| place.ok_or_else(|| unreadable(key.family))).transpose()?;
        Ok(found.and_then(|(_, found)| found))
    }
}
