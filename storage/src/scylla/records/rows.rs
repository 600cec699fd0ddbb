//! What a family's row can do: the seam between the outcome logic and the driver.

use std::future::Future;

use uuid::Uuid;

use super::super::log::partition::Sight;
use super::super::outcome::Failure;
use crate::error::{StoreError, StoreResult};
use crate::records::{FamilyDef, RawRow, Version};
use crate::stored::row::row_checksum;

/// Which row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::scylla) struct RowKey {
    pub(in crate::scylla) family: &'static str,
    pub(in crate::scylla) partition: Vec<u8>,
    pub(in crate::scylla) sort: Vec<u8>,
}

/// A row as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scylla) struct FoundRow {
    pub(in crate::scylla) row: RawRow,
    /// Which write made it so.
    pub(in crate::scylla) stamp: Uuid,
    pub(in crate::scylla) checksum: u32,
}

impl FoundRow {
    /// The row, if it is what was written at its place.
    pub(in crate::scylla) fn checked(self, family: &FamilyDef, partition: &[u8]) -> StoreResult<RawRow> {
        let RawRow { sort, version, value } = &self.row;
        if row_checksum(family, partition, sort, *version, value) == self.checksum {
            return Ok(self.row);
        }
        let what = format_args!("family {}: the checksum of a row does not match", family.name);
        Err(StoreError::Damaged(crate::error::Reason::new(what)))
    }
}

/// What a write finds, or it does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scylla) enum Condition {
    Absent,
    Version(Version),
    Stamp(Uuid),
}

/// What a write does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scylla) enum Change {
    Put { version: Version, stamp: Uuid, value: Vec<u8>, checksum: u32 },
    Delete,
}

/// How a write was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scylla) enum Swap {
    Done,
    /// Nothing was written by this try; the row has this version.
    Refused(Option<Version>),
}

/// What rows can do.
pub(in crate::scylla) trait Rows: Send + Sync + 'static {
    /// Tries a write once.
    fn swap(
        &self,
        key: &RowKey,
        condition: Condition,
        change: &Change,
    ) -> impl Future<Output = Result<Swap, Failure>> + Send;

    /// The row.
    fn get(&self, key: &RowKey, sight: Sight) -> impl Future<Output = StoreResult<Option<FoundRow>>> + Send;
}
