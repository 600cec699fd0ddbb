//! The connection to the cluster: which nodes are asked, how long, and what is never tried again unasked.
//!
//! Three ways to ask. **Writes** are all conditional: `LOCAL_QUORUM` with `LOCAL_SERIAL`, never tried again by the
//! driver and never called idempotent, since only the caller can tell what a second try would do; they go to a row's
//! first replica while it lives, so that writers of one partition meet there and not in the middle of a round. **Quorum**
//! and **serial** reads may be tried again, and are asked of a second node when the first is slow. All datacenters but one
//! are left out: `LOCAL_SERIAL` agrees within one.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError, MetadataError,
    NewSessionError, PrepareError, RequestAttemptError,
};
use scylla::frame::types::{Consistency, SerialConsistency};
use scylla::policies::load_balancing::{DefaultPolicy, LoadBalancingPolicy};
use scylla::policies::retry::{DefaultRetryPolicy, FallthroughRetryPolicy};
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::response::PagingState;
use scylla::response::query_result::QueryResult;
use scylla::statement::batch::Batch;
use scylla::statement::prepared::PreparedStatement;

use super::config::CqlConfig;
use super::error::OpenError;
use super::log::partition::Sight;
use super::metrics;
use super::outcome::{Answer, Failure};
use super::value::Value;
use crate::error::Reason;

/// A node that says nothing for so long is asked whether it lives …
const SILENT: Duration = Duration::from_secs(2);
/// … and is left out if it does not answer within this. Together less than a write may take.
const DEAD: Duration = Duration::from_secs(3);
/// A second node is asked when the first is this slow.
const SLOW_QUORUM: Duration = Duration::from_millis(500);
const SLOW_SERIAL: Duration = Duration::from_millis(1500);
/// Making a table on a busy cluster takes this long at most.
const SCHEMA_TIMEOUT: Duration = Duration::from_mins(1);
/// Rows in one page of an answer.
const PAGE_ROWS: i32 = 500;

/// The connection.
pub(super) struct Cluster {
    session: Session,
    write: ExecutionProfileHandle,
    quorum: ExecutionProfileHandle,
    serial: ExecutionProfileHandle,
    datacenter: String,
}

impl Cluster {
    /// Connects to any of the nodes, and learns the others from it.
    pub(super) async fn connect(config: &CqlConfig) -> Result<Self, OpenError> {
        let mut builder = SessionBuilder::new()
            .known_nodes(&config.nodes)
            .connection_timeout(config.connect_timeout)
            .keyspaces_to_fetch([&config.keyspace])
            .keepalive_interval(SILENT)
            .keepalive_timeout(DEAD)
            .schema_agreement_timeout(SCHEMA_TIMEOUT)
            .default_execution_profile_handle(
                ExecutionProfile::builder()
                    .consistency(Consistency::LocalQuorum)
                    .serial_consistency(Some(SerialConsistency::LocalSerial))
                    .request_timeout(Some(SCHEMA_TIMEOUT))
                    .build()
                    .into_handle(),
            );
        if let Some(user) = &config.user {
            builder = builder.user(user, config.password.as_deref().unwrap_or_default());
        }
        let session = builder.build().await.map_err(|error| refused(config, &error))?;
        let datacenter = datacenter(config, &session).await?;
        Ok(Self {
            write: write_profile(config, policy(&datacenter, false)),
            quorum: read_profile(config, policy(&datacenter, true), Consistency::LocalQuorum, SLOW_QUORUM),
            serial: read_profile(config, policy(&datacenter, false), Consistency::LocalSerial, SLOW_SERIAL),
            datacenter,
            session,
        })
    }

    /// The datacenter to work in.
    pub(super) fn datacenter(&self) -> &str {
        &self.datacenter
    }

    /// The nodes of the datacenter of a name.
    pub(super) fn nodes_in(&self, datacenter: &str) -> usize {
        let state = self.session.get_cluster_state();
        state.get_nodes_info().iter().filter(|node| node.datacenter.as_deref() == Some(datacenter)).count()
    }

    /// A statement as it stands, for the schema alone; waits until all nodes agree on what it changed.
    pub(super) async fn plain(&self, statement: &str) -> Result<Answer, ExecutionError> {
        let result = self.session.query_unpaged(statement, ()).await?;
        Ok(Answer::of(result).unwrap_or_default())
    }

    /// Makes a conditional write ready.
    pub(super) async fn prepare_write(&self, statement: &str) -> Result<PreparedStatement, PrepareError> {
        let mut prepared = self.session.prepare(statement).await?;
        prepared.set_execution_profile_handle(Some(self.write.clone()));
        prepared.set_is_idempotent(false);
        Ok(prepared)
    }

    /// Makes a read ready.
    pub(super) async fn prepare_read(&self, statement: &str) -> Result<Reading, PrepareError> {
        let mut quorum = self.session.prepare(statement).await?;
        quorum.set_is_idempotent(true);
        quorum.set_page_size(PAGE_ROWS);
        let mut serial = quorum.clone();
        quorum.set_execution_profile_handle(Some(self.quorum.clone()));
        serial.set_execution_profile_handle(Some(self.serial.clone()));
        Ok(Reading { quorum, serial })
    }

    /// Tries a conditional write once.
    pub(super) async fn write(
        &self,
        of: &'static str,
        statement: &PreparedStatement,
        values: &[Value<'_>],
    ) -> Result<Answer, Failure> {
        let started = Instant::now();
        let result = self.session.execute_single_page(statement, values, PagingState::start()).await;
        judged(of, started, result.map(|(result, _)| result))
    }

    /// Tries a conditional batch once. Its first statement says which partition it is for.
    pub(super) async fn batch(
        &self,
        of: &'static str,
        batch: &mut Batch,
        values: &[Vec<Value<'_>>],
    ) -> Result<Answer, Failure> {
        batch.set_execution_profile_handle(Some(self.write.clone()));
        batch.set_is_idempotent(false);
        let started = Instant::now();
        let result = self.session.batch(batch, values).await;
        judged(of, started, result)
    }

    /// Reads, page by page; `each` is given every page.
    pub(super) async fn read(
        &self,
        reading: &Reading,
        sight: Sight,
        values: &[Value<'_>],
        mut each: impl FnMut(&Answer) + Send,
    ) -> Result<(), Reason> {
        let (statement, name) = match sight {
            Sight::Quorum => (&reading.quorum, "quorum"),
            Sight::Serial => (&reading.serial, "serial"),
        };
        let started = Instant::now();
        let mut state = PagingState::start();
        loop {
            let (result, next) =
                self.session.execute_single_page(statement, values, state).await.map_err(Reason::new)?;
            each(&Answer::of(result)?);
            match next.into_paging_control_flow() {
                ControlFlow::Continue(next) => state = next,
                ControlFlow::Break(()) => break,
            }
        }
        metrics::read(name, started.elapsed());
        Ok(())
    }
}

/// A read made ready, with either sight.
pub(super) struct Reading {
    quorum: PreparedStatement,
    serial: PreparedStatement,
}

fn judged(of: &'static str, started: Instant, result: Result<QueryResult, ExecutionError>) -> Result<Answer, Failure> {
    let answer = result
        .map_err(|error| Failure::of_write(&error))
        .and_then(|result| Answer::of(result).map_err(Failure::Unknown))
        .and_then(|answer| answer.applied().map(|applied| (answer, applied)));
    let outcome = match &answer {
        Ok((_, true)) => "applied",
        Ok((_, false)) => "refused",
        Err(Failure::NotDone(_)) => "not_done",
        Err(Failure::Unknown(_)) => "unknown",
    };
    metrics::write(of, outcome, started.elapsed());
    answer.map(|(answer, _)| answer)
}

fn policy(datacenter: &str, shuffled: bool) -> Arc<dyn LoadBalancingPolicy> {
    DefaultPolicy::builder()
        .prefer_datacenter(datacenter.to_owned())
        .permit_dc_failover(false)
        .token_aware(true)
        .enable_shuffling_replicas(shuffled)
        .build()
}

fn write_profile(config: &CqlConfig, policy: Arc<dyn LoadBalancingPolicy>) -> ExecutionProfileHandle {
    ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(config.write_timeout))
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .speculative_execution_policy(None)
        .load_balancing_policy(policy)
        .build()
        .into_handle()
}

fn read_profile(
    config: &CqlConfig,
    policy: Arc<dyn LoadBalancingPolicy>,
    consistency: Consistency,
    slow: Duration,
) -> ExecutionProfileHandle {
    let second = SimpleSpeculativeExecutionPolicy { max_retry_count: 1, retry_interval: slow };
    ExecutionProfile::builder()
        .consistency(consistency)
        .request_timeout(Some(config.read_timeout))
        .retry_policy(Arc::new(DefaultRetryPolicy::new()))
        .speculative_execution_policy(Some(Arc::new(second)))
        .load_balancing_policy(policy)
        .build()
        .into_handle()
}

/// The datacenter to work in: the named one, if it is there; else that of the node which answers.
async fn datacenter(config: &CqlConfig, session: &Session) -> Result<String, OpenError> {
    let state = session.get_cluster_state();
    let mut present: Vec<_> = state.get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect();
    present.sort();
    present.dedup();
    match &config.datacenter {
        Some(name) if present.contains(name) => Ok(name.clone()),
        Some(name) => Err(OpenError::NoDatacenter { name: name.clone(), present: present.join(", ") }),
        None => {
            let asked = session.query_unpaged("SELECT data_center FROM system.local", ()).await;
            let refused =
                |reason| OpenError::Refused { what: "SELECT data_center FROM system.local".to_owned(), reason };
            let answer = asked.map_err(Reason::new).and_then(Answer::of).map_err(refused)?;
            let name = answer.first().and_then(|row| row.text("data_center").map(str::to_owned));
            name.ok_or_else(|| refused(Reason::new("it names none")))
        }
    }
}

fn refused(config: &CqlConfig, error: &NewSessionError) -> OpenError {
    if let NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken {
        last_connection_error: ConnectionError::ConnectionSetupRequestError(setup),
    })) = error
    {
        match &setup.error {
            ConnectionSetupRequestErrorKind::MissingAuthentication => {
                return OpenError::Login(Reason::new("it asks for a user and a password, and none are set"));
            }
            ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError | DbError::Unauthorized, words) => {
                return OpenError::Login(Reason::new(words));
            }
            _ => {}
        }
    }
    OpenError::Unreachable { nodes: config.nodes.join(", "), reason: Reason::new(error) }
}

/// The server's own error, where the error is one.
pub(super) fn server_error(error: &ExecutionError) -> Option<&DbError> {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => Some(error),
        ExecutionError::PrepareError(error) => server_refused(error),
        _ => None,
    }
}

/// The server's own error to a statement that was to be made ready.
pub(super) fn server_refused(error: &PrepareError) -> Option<&DbError> {
    match error {
        PrepareError::AllAttemptsFailed { first_attempt: RequestAttemptError::DbError(error, _) } => Some(error),
        _ => None,
    }
}
