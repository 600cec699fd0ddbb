//! The backend of many nodes: ScyllaDB, or Apache Cassandra, which speaks the same CQL.
//!
//! Any number of Hubbubs share one keyspace, each may write at any time, and none needs to know of the others: an append
//! is one conditional batch on one partition, whose condition is the head it was decided against. Who owns a conversation,
//! who is alive, what was said on the bus: all of it is speed, none of it is safety.
//!
//! | Promise | How it is kept |
//! | --- | --- |
//! | DURABLE | an answered batch was accepted by a quorum; ScyllaDB syncs it first, Cassandra with `commitlog_sync: group` |
//! | ONCE | an act's row is in the batch of its record, `IF NOT EXISTS`, for ever; older buckets are asked before |
//! | GAPLESS | the batch moves the head from the expected one, and nothing else does |
//! | HONEST | an unknown outcome is settled by looking, and trying the same again; else it is told as unknown |
//! | BOUNDED | appends and writes by their bytes, reads by their number; over it: `Overloaded` |
//! | DRAINED | closing waits until all that was handed over is answered |
//!
//! All writes are conditional ("lightweight transactions"): plain ones beside them would be ordered by other clocks. They
//! agree within one datacenter (`LOCAL_SERIAL`); so all Hubbubs of one keyspace must write in the same one.
//!
//! ```text
//! config, error   where it is; why it cannot be opened
//! session         connections, consistencies, patience; value, outcome: what goes in, and what comes out of it
//! schema          keyspace and tables, made by one at a time
//! log             the conversations' logs         records   the families and claims
//! work            lanes, bounds, the drain        engine    whether the cluster answers
//! ```

mod config;
mod engine;
mod error;
mod log;
mod metrics;
mod outcome;
mod records;
mod schema;
mod session;
mod value;
mod work;

use std::sync::Arc;

use scylla::errors::PrepareError;
use tokio::runtime::Handle;

pub use self::config::CqlConfig;
use self::engine::CqlEngine;
pub use self::error::OpenError;
use self::log::CqlLog;
use self::log::base::{Core, Patience};
use self::log::cluster::LogTable;
use self::records::CqlRecords;
use self::records::cluster::RowTables;
use self::session::Cluster;
use self::work::Work;
use crate::error::Reason;
use crate::store::Store;

/// Of the time to settle an unknown outcome, the part in which what surely did not happen is tried again.
const REFUSE_IN: u32 = 3;

/// Opens the store in a keyspace, which is made and brought to the newest form.
///
/// The store's tasks run on the runtime that this is called on: one that lives longer than the store, and whose threads
/// have nothing better to do.
///
/// # Errors
///
/// [`OpenError`] says what to do about it.
pub async fn open(config: &CqlConfig) -> Result<Store, OpenError> {
    let cluster = Arc::new(Cluster::connect(config).await?);
    let keyspace = schema::open(&cluster, config).await?;
    let name = &config.keyspace;
    let log = LogTable::prepare(Arc::clone(&cluster), name).await.map_err(unprepared)?;
    let rows = RowTables::prepare(Arc::clone(&cluster), name).await.map_err(unprepared)?;
    let work = Arc::new(Work::new(Handle::current(), config.max_write_bytes, config.max_reads));
    let engine = CqlEngine::start(cluster, name, Arc::clone(&work)).await.map_err(unprepared)?;
    let patience = Patience { refuse: config.settle_within / REFUSE_IN, settle: config.settle_within };
    Ok(Store {
        log: Arc::new(CqlLog::new(Core::new(log, keyspace.bucket_size, patience), Arc::clone(&work))),
        records: Arc::new(CqlRecords::new(rows, patience, work)),
        engine: Arc::new(engine),
    })
}

fn unprepared(error: PrepareError) -> OpenError {
    OpenError::Refused { what: "to make a statement ready".to_owned(), reason: Reason::new(error) }
}
