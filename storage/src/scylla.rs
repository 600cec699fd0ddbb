//! The backend of many nodes: ScyllaDB, or Apache Cassandra, which speaks the same CQL.

mod config;
mod error;

pub use self::config::CqlConfig;
pub use self::error::OpenError;
use crate::error::Reason;
use crate::store::Store;

/// Opens the store in a keyspace, which is made and brought to the newest form.
///
/// # Errors
///
/// [`OpenError`] says what to do about it.
#[expect(clippy::unused_async, reason = "a place to build on: the body is being written")]
pub async fn open(config: &CqlConfig) -> Result<Store, OpenError> {
    Err(OpenError::Unreachable { nodes: config.nodes.join(", "), reason: Reason::new("not built yet") })
}
