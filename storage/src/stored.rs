//! What the engines that keep bytes have in common: how a record is spelt, how a row is checked, what was of late.

pub(crate) mod fields;
pub(crate) mod recent;
pub(crate) mod record;
pub(crate) mod row;
