//! The store's tests against real engines, in one binary.

mod memory;
mod sqlite;
