//! What REST asks of the other processes of its cluster, as a trait that this crate owns and `server` implements.
//!
//! Nothing here is needed to be right: a cluster that cannot be asked is a cluster of one (REDIS-FREE TRUTH).

use std::time::Duration;

use futures_util::future::BoxFuture;

/// The other processes, as far as REST cares.
pub trait Cluster: Send + Sync + 'static {
    /// Whether they can be told anything now.
    fn is_up(&self) -> bool;

    /// Counts one for this key on all processes together, and answers how many there were in its current window of this
    /// length; `None` while that cannot be known.
    fn count(&self, key: &[u8], window: Duration) -> BoxFuture<'static, Option<u64>>;
}
