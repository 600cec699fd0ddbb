//! What is asked of the families' tables, alike on the writer's connection and the readers'.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Params, params};

use super::super::error::{asking, damaged};
use super::super::schema;
use crate::error::{Reason, StoreError, StoreResult};
use crate::families;
use crate::records::{FamilyDef, MAX_LIST_ROWS, RawRow, Slice, Version};
use crate::stored::row::{claim_checksum, end_of, next_key, row_checksum, version};

/// Which row.
#[derive(Debug)]
pub(super) struct RowKey {
    pub(super) family: &'static FamilyDef,
    pub(super) partition: Vec<u8>,
    pub(super) sort: Vec<u8>,
}

/// The statements of every family, spelt once.
pub(in crate::sqlite) struct Families(HashMap<&'static str, Statements>);

/// The statements of one family.
pub(super) struct Statements {
    get: String,
    list: String,
    list_below: String,
    version: String,
    pub(super) put: String,
    pub(super) delete: String,
}

impl Families {
    pub(super) fn all() -> Self {
        Self(families::ALL.iter().map(|family| (family.name, Statements::of(&schema::table(family)))).collect())
    }

    pub(super) fn of(&self, family: &'static FamilyDef) -> StoreResult<&Statements> {
        let found = self.0.get(family.name);
        found.ok_or_else(|| StoreError::Invalid(Reason::new(format_args!("{} is not in families::ALL", family.name))))
    }

    /// The row, checked.
    pub(super) fn get(&self, connection: &Connection, key: &RowKey) -> StoreResult<Option<RawRow>> {
        let sql = &self.of(key.family)?.get;
        Ok(collect(connection, sql, key.family, &key.partition, params![key.partition, key.sort])?.pop())
    }

    /// The row's version, its content unseen.
    pub(super) fn version(&self, connection: &Connection, key: &RowKey) -> StoreResult<Option<Version>> {
        let mut statement = connection.prepare_cached(&self.of(key.family)?.version).map_err(asking)?;
        let found = statement.query_row(params![key.partition, key.sort], |row| row.get::<_, i64>(0));
        found.optional().map_err(asking)?.map(version).transpose()
    }

    /// Rows of a partition, each checked.
    pub(super) fn list(
        &self,
        connection: &Connection,
        family: &'static FamilyDef,
        partition: &[u8],
        slice: Slice,
    ) -> StoreResult<Vec<RawRow>> {
        let Slice { prefix, after, limit } = slice;
        let end = end_of(&prefix);
        let start = after.map_or(prefix.clone(), |after| next_key(after).max(prefix));
        let limit = i64::try_from(limit.min(MAX_LIST_ROWS)).unwrap_or(i64::MAX);
        let statements = self.of(family)?;
        match end {
            None => collect(connection, &statements.list, family, partition, params![partition, start, limit]),
            Some(end) => {
                collect(connection, &statements.list_below, family, partition, params![partition, start, limit, end])
            }
        }
    }
}

impl Statements {
    fn of(table: &str) -> Self {
        let row = "sort, version, value, checksum";
        let at = "WHERE partition = ?1 AND sort = ?2";
        let list = format!("SELECT {row} FROM {table} WHERE partition = ?1 AND sort >= ?2");
        Self {
            get: format!("SELECT {row} FROM {table} {at}"),
            list_below: format!("{list} AND sort < ?4 ORDER BY sort LIMIT ?3"),
            list: format!("{list} ORDER BY sort LIMIT ?3"),
            version: format!("SELECT version FROM {table} {at}"),
            put: format!("INSERT OR REPLACE INTO {table} (partition, {row}) VALUES (?1, ?2, ?3, ?4, ?5)"),
            delete: format!("DELETE FROM {table} {at}"),
        }
    }
}

fn collect(
    connection: &Connection,
    sql: &str,
    family: &FamilyDef,
    partition: &[u8],
    params: impl Params,
) -> StoreResult<Vec<RawRow>> {
    let mut statement = connection.prepare_cached(sql).map_err(asking)?;
    let mut rows = statement.query(params).map_err(asking)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(asking)? {
        found.push(checked(family, partition, row)?);
    }
    Ok(found)
}

/// The row whose sort key, version, value and checksum these columns are.
pub(in crate::sqlite) fn checked(family: &FamilyDef, partition: &[u8], row: &rusqlite::Row<'_>) -> StoreResult<RawRow> {
    let found = RawRow {
        sort: row.get(0).map_err(asking)?,
        version: version(row.get(1).map_err(asking)?)?,
        value: row.get(2).map_err(asking)?,
    };
    let sum: u32 = row.get(3).map_err(asking)?;
    if sum == row_checksum(family, partition, &found.sort, found.version, &found.value) {
        return Ok(found);
    }
    Err(damaged(format_args!("family {}: the checksum of a row does not match", family.name)))
}

/// Who holds a claim, checked.
pub(super) fn claimant(connection: &Connection, name: &str, value: &[u8]) -> StoreResult<Option<Vec<u8>>> {
    let mut statement = connection
        .prepare_cached("SELECT owner, checksum FROM claims WHERE name = ?1 AND value = ?2")
        .map_err(asking)?;
    let found = statement.query_row(params![name, value], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, u32>(1)?)));
    let Some((owner, sum)) = found.optional().map_err(asking)? else { return Ok(None) };
    if sum == claim_checksum(name, value, &owner) {
        return Ok(Some(owner));
    }
    Err(damaged(format_args!("the checksum of a claim of {name} does not match")))
}
