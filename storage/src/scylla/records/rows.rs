//! What a family's row can do: the seam between the outcome logic and the driver.

use std::future::Future;

use uuid::Uuid;

use super::super::log::partition::Sight;
use super::super::outcome::Failure;
use crate::error::{Reason, StoreError, StoreResult};
use crate::records::{FamilyDef, RawRow, Version};
use crate::stored::row::row_checksum;

/// Which row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::scylla) struct RowKey {
    pub(in crate::scylla) family: &'static str,
    pub(in crate::scylla) partition: Vec<u8>,
    pub(in crate::scylla) sort: Vec<u8>,
}

/// What stands at a row's place: the row, or the mark that its deletion leaves for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scylla) struct Found {
    /// Which write made it so; no two have the same.
    pub(in crate::scylla) stamp: Uuid,
    /// How many writes made it so, deletions among them: one more with each, as long as anything stands there.
    pub(in crate::scylla) turn: u64,
    /// `None`: the mark.
    pub(in crate::scylla) held: Option<Held>,
}

/// A row as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scylla) struct Held {
    pub(in crate::scylla) row: RawRow,
    pub(in crate::scylla) checksum: u32,
}

impl Found {
    /// The row's version; `None` for a mark.
    pub(in crate::scylla) fn version(&self) -> Option<Version> {
        self.held.as_ref().map(|held| held.row.version)
    }

    /// The row, if there is one and it is what was written at its place.
    pub(in crate::scylla) fn checked(self, family: &FamilyDef, partition: &[u8]) -> StoreResult<Option<RawRow>> {
        let Some(Held { row, checksum }) = self.held else { return Ok(None) };
        if row_checksum(family, partition, &row.sort, row.version, &row.value) == checksum {
            return Ok(Some(row));
        }
        let what = format_args!("family {}: the checksum of a row does not match", family.name);
        Err(StoreError::Damaged(Reason::new(what)))
    }
}

/// What a write makes of a row's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scylla) struct Change {
    pub(in crate::scylla) stamp: Uuid,
    pub(in crate::scylla) turn: u64,
    /// `None`: a mark.
    pub(in crate::scylla) put: Option<Put>,
}

/// A row to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scylla) struct Put {
    pub(in crate::scylla) version: Version,
    pub(in crate::scylla) value: Vec<u8>,
    pub(in crate::scylla) checksum: u32,
}

/// How a write was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scylla) enum Swap {
    Done,
    /// Nothing was written by this try.
    Refused,
}

/// What rows can do.
pub(in crate::scylla) trait Rows: Send + Sync + 'static {
    /// Tries once to write on top of what has this stamp; `None`: where nothing stands.
    fn swap(
        &self,
        key: &RowKey,
        on: Option<Uuid>,
        change: &Change,
    ) -> impl Future<Output = Result<Swap, Failure>> + Send;

    /// What stands at the row's place; `None`: nothing.
    fn get(&self, key: &RowKey, sight: Sight) -> impl Future<Output = StoreResult<Option<Found>>> + Send;
}
