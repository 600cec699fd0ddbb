//! The store's promises, kept apart from any engine and proved alike on all.
//!
//! Two contracts: [`log::MessageLog`] for the conversations' logs (the hot path), and [`records::Records`] with its typed
//! face [`records::Table`] for everything else. Both promise the weakest that every backend can keep: one partition is
//! atomic, nothing spans two, and an outcome can be unknown.
//!
//! | Promise | Where it is kept |
//! | --- | --- |
//! | DURABLE | [`log::MessageLog::append`] answers after the commit is synced |
//! | ONCE | a client id is refused for ever once stored, and the refusal names the first sequence |
//! | GAPLESS | an append names the head it was decided against, and nothing else moves the head |
//! | HONEST | [`error::StoreError`] tells "never stored" from "unknown" |
//! | BOUNDED | every queue has a limit; over it: [`error::StoreError::Overloaded`] |
//!
//! To add a backend: implement the two and [`store::Engine`], bundle them as a [`store::Store`], and call the conformance suite's macro
//! once. To add a record family: one file in `families/`.

pub mod bus;
pub mod clock;
pub mod error;
pub mod families;
pub mod log;
pub mod records;
pub mod store;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "conformance")]
pub mod faulty;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "cql")]
pub mod scylla;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "memory", feature = "sqlite", feature = "cql"))]
mod stored;
