//! The store's tests against real engines, in one binary.

#[cfg(test)]
mod memory;
#[cfg(test)]
mod sqlite;
