//! The home without a store.
