//! The store's life: whether the cluster answers, and closing.
//!
//! A cluster that is away is no reason to end: calls are refused as `Unavailable` or told as `Unknown`, and go on when it
//! is back. A probe reads one row at the usual consistency; two failures in a row make the store
//! [`Health::Unreachable`], one success makes it ready again. It never stops by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use scylla::errors::PrepareError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::log::partition::Sight;
use super::metrics;
use super::session::{Cluster, Reading};
use super::work::Work;
use crate::error::{Reason, StoreResult};
use crate::store::{Engine, Health};

/// How often the cluster is asked.
const EVERY: Duration = Duration::from_secs(2);
/// How long it may take.
const WITHIN: Duration = Duration::from_secs(3);
/// Failures in a row that count.
const FAILURES: u32 = 2;

/// The life of a CQL store.
pub(super) struct CqlEngine {
    work: Arc<Work>,
    unreachable: Arc<watch::Sender<Option<Reason>>>,
    probe: Mutex<Option<JoinHandle<()>>>,
}

impl CqlEngine {
    /// Begins to ask the cluster how it is.
    pub(super) async fn start(cluster: Arc<Cluster>, keyspace: &str, work: Arc<Work>) -> Result<Self, PrepareError> {
        let asking = cluster.prepare_read(&format!("SELECT number FROM {keyspace}.meta WHERE name = ?")).await?;
        let unreachable = Arc::new(watch::Sender::new(None));
        let probe = work.runtime().spawn(probe(cluster, asking, Arc::clone(&unreachable)));
        Ok(Self { work, unreachable, probe: Mutex::new(Some(probe)) })
    }
}

async fn probe(cluster: Arc<Cluster>, asking: Reading, unreachable: Arc<watch::Sender<Option<Reason>>>) {
    let mut failures = 0;
    metrics::reachable(true);
    loop {
        tokio::time::sleep(EVERY).await;
        let values = ["form".into()];
        let read = cluster.read(&asking, Sight::Quorum, &values, |_| {});
        let answer = tokio::time::timeout(WITHIN, read).await;
        match answer.unwrap_or_else(|_| Err(Reason::new("no answer within 3 s"))) {
            Ok(()) => {
                failures = 0;
                if unreachable.send_replace(None).is_some() {
                    metrics::reachable(true);
                    tracing::info!("the CQL cluster answers again");
                }
            }
            Err(reason) => {
                failures += 1;
                if failures >= FAILURES && unreachable.send_replace(Some(reason.clone())).is_none() {
                    metrics::reachable(false);
                    tracing::error!(%reason, "the CQL cluster does not answer");
                }
            }
        }
    }
}

impl Engine for CqlEngine {
    fn health(&self) -> Health {
        if self.work.is_closed() {
            return Health::Stopped(Reason::new("it was closed"));
        }
        self.unreachable.borrow().clone().map_or(Health::Ready, Health::Unreachable)
    }

    fn stopped(&self) -> BoxFuture<'static, Reason> {
        future::pending().boxed()
    }

    fn close(&self) -> BoxFuture<'static, StoreResult<()>> {
        let probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner).take();
        let done = self.work.close();
        let closing = async move {
            done.await;
            if let Some(probe) = probe {
                probe.abort();
                drop(probe.await);
            }
        };
        // On a task of its own: it goes on when nobody waits for it.
        let closing = self.work.runtime().spawn(closing);
        closing.map(|_| Ok(())).boxed()
    }
}
