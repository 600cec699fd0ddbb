//! The store's tests against real engines, in one binary.

#[cfg(test)]
mod bus;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod model;
#[cfg(test)]
#[cfg(feature = "cql")]
mod scylla;
#[cfg(test)]
mod sqlite;
