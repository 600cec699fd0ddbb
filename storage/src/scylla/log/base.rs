//! What the log knows besides the partitions: heads of late, filters, patience.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hubbub_protocol::{ConversationId, Sequence};
use tokio::time::Instant;

use super::buckets::Buckets;
use super::filter::Filters;
use super::partition::{Bucket, Erasure, Partitions};
use crate::error::{Reason, StoreError};
use crate::stored::recent::Recent;

/// Heads of one generation: two of them know 100,000 conversations or more, in about 10 MiB (BOUNDED).
const HEADS: usize = 100_000;

/// The log over some partitions.
pub(in crate::scylla) struct Core<P> {
    pub(super) partitions: P,
    pub(super) buckets: Buckets,
    pub(super) filters: Filters,
    pub(super) patience: Patience,
    heads: Mutex<Recent<ConversationId, Head>>,
}

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub(in crate::scylla) struct Patience {
    /// While it is known that nothing happened.
    pub(in crate::scylla) refuse: Duration,
    /// While it is not known what happened.
    pub(in crate::scylla) settle: Duration,
}

/// A head that the log had: it has this one or a higher one. Always the end of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) head: Sequence,
    /// The bucket that it was read in, which holds it if that has any record.
    pub(super) bucket: i64,
}

/// What is left to do after the answer, at leisure: without it all stays true, and dearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scylla) enum After {
    /// The payload of a recalled message of an older bucket goes; until then readers leave it out.
    Erase(Bucket, Erasure),
    /// A sealed bucket's filter is built; until then each fresh act costs a read there.
    Learn(Bucket),
}

impl After {
    /// Whether it holds even where the append that brought it up is not stored.
    pub(super) fn holds_anyway(&self) -> bool {
        matches!(self, Self::Learn(_))
    }
}

impl<P: Partitions> Core<P> {
    /// The log over these partitions, with buckets of this size.
    pub(in crate::scylla) fn new(partitions: P, bucket_size: u32, patience: Patience) -> Self {
        let buckets = Buckets::new(bucket_size);
        let filters = Filters::new(buckets.size(), *uuid::Uuid::new_v4().as_bytes());
        Self { partitions, buckets, filters, patience, heads: Mutex::new(Recent::new(HEADS)) }
    }

    fn heads(&self) -> MutexGuard<'_, Recent<ConversationId, Head>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The highest head that was met here; zero if none was.
    pub(super) fn known(&self, id: ConversationId) -> Head {
        self.heads().find(&id).unwrap_or_default()
    }

    /// A head was met.
    pub(super) fn met(&self, id: ConversationId, head: Sequence, bucket: i64) {
        let mut heads = self.heads();
        if heads.find(&id).is_none_or(|known| known.head < head) {
            heads.set(id, Head { head, bucket });
        }
    }
}

/// Waits between tries: a little longer each time, and never as long as anybody else.
#[derive(Debug, Default)]
pub(in crate::scylla) struct Pauses(u32);

impl Pauses {
    /// Waits, or not, if the time is up.
    pub(in crate::scylla) async fn wait(&mut self, until: Instant) -> bool {
        let most = 8_u64 << self.0.min(6);
        self.0 += 1;
        let pause = Duration::from_millis(most / 2 + RandomState::new().hash_one(self.0) % most);
        if Instant::now() + pause >= until {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}

/// A read's failure, where nothing was or will be stored.
pub(in crate::scylla) fn unavailable(reason: Reason) -> StoreError {
    StoreError::Unavailable(reason)
}
