//! The hash table of this crate: keyed by ids, with a hash that is cheap for 16 bytes.
//!
//! Its seed is drawn anew for every process, and ids that clients make up are looked up in none of these for longer than
//! it takes to see that nothing is there; so there is nothing to gain by colliding.

use std::collections::HashMap;

/// The table.
pub(crate) type Table<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
