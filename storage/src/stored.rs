//! What the engines that keep bytes have in common: how a record is spelt, how a row is checked, what was of late.

pub(crate) mod content;
pub(crate) mod fields;
#[cfg(any(feature = "sqlite", feature = "cql"))]
pub(crate) mod recent;
#[cfg(any(feature = "sqlite", feature = "cql"))]
pub(crate) mod record;
#[cfg(any(feature = "sqlite", feature = "cql"))]
pub(crate) mod row;
