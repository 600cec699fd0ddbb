//! The checks of the families' rows and the claims, and the arithmetic of sort keys.

use crate::error::{Reason, StoreError, StoreResult};
use crate::records::{FamilyDef, Version};

/// Over all that the row says, and where it stands.
pub(crate) fn row_checksum(family: &FamilyDef, partition: &[u8], sort: &[u8], version: Version, value: &[u8]) -> u32 {
    checksum(&[family.name.as_bytes(), partition, sort, &version.to_be_bytes(), value])
}

/// Over all that the claim says.
pub(crate) fn claim_checksum(name: &str, value: &[u8], owner: &[u8]) -> u32 {
    checksum(&[name.as_bytes(), value, owner])
}

/// Each part after its length, so that no two lists of parts read alike.
fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

/// A version as engines keep it.
pub(crate) fn version(number: i64) -> StoreResult<Version> {
    Version::try_from(number).map_err(|error| StoreError::Damaged(Reason::new(error)))
}

/// The first key above this one.
pub(crate) fn next_key(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// The first key above all that start so; `None` where there is no such key.
pub(crate) fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end)
}
