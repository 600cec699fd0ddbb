//! What one partition of the log can do: the seam between the outcome logic and the driver.
//!
//! [`cluster`](super::cluster) carries it out over CQL; the tests put a partition in its place that fails in every way that
//! a cluster may. Nothing else of the log knows CQL.

use std::future::Future;
use std::sync::Arc;

use hubbub_protocol::{ClientMessageId, ConversationId, Sequence, UserId};
use uuid::Uuid;

use super::super::outcome::Failure;
use crate::error::Reason;

/// One partition: a conversation's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::scylla) struct Bucket {
    /// The conversation.
    pub(in crate::scylla) conversation: ConversationId,
    /// Which of its buckets.
    pub(in crate::scylla) number: i64,
}

impl Bucket {
    pub(in crate::scylla) fn new(conversation: ConversationId, number: i64) -> Self {
        Self { conversation, number }
    }
}

/// Whose act: sender and client id, one after the other.
pub(in crate::scylla) type ActKey = [u8; 32];

/// The key of an act.
pub(in crate::scylla) fn act_key(sender: UserId, client_id: ClientMessageId) -> ActKey {
    let mut key = [0; 32];
    key[..16].copy_from_slice(sender.as_bytes());
    key[16..].copy_from_slice(client_id.as_bytes());
    key
}

/// A record to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scylla) struct NewRow {
    pub(in crate::scylla) sequence: Sequence,
    /// The record without its payload, with its checksum.
    pub(in crate::scylla) record: Vec<u8>,
    /// A message's payload with its checksum; nothing else has one.
    pub(in crate::scylla) payload: Option<Vec<u8>>,
}

/// The payload of a message goes, by a recall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scylla) struct Erasure {
    /// The message.
    pub(in crate::scylla) target: Sequence,
    /// The record that takes it back.
    pub(in crate::scylla) recall: Sequence,
}

/// One append as one conditional batch: all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scylla) struct Batch {
    pub(in crate::scylla) bucket: Bucket,
    /// The head that the bucket must have; `None`: none yet.
    pub(in crate::scylla) expected: Option<Sequence>,
    /// The head that it gets.
    pub(in crate::scylla) head: Sequence,
    /// Which append this is: of two that race for the same place, it tells whose records stand there.
    pub(in crate::scylla) append: Uuid,
    /// Acts that must not be in the bucket yet, and the sequences they get (ONCE).
    pub(in crate::scylla) acts: Vec<(ActKey, Sequence)>,
    /// The records, in order.
    pub(in crate::scylla) rows: Arc<Vec<NewRow>>,
    /// Payloads of this bucket that go in the same commit.
    pub(in crate::scylla) erasures: Vec<Erasure>,
}

/// How a batch was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scylla) enum Cas {
    /// All of it is stored.
    Applied,
    /// Nothing of it is stored by this try.
    Refused {
        /// The bucket's head.
        head: Option<Sequence>,
        /// Those of the batch's acts that are in the bucket.
        known: Vec<(ActKey, Sequence)>,
    },
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scylla) struct StoredRow {
    pub(in crate::scylla) sequence: Sequence,
    pub(in crate::scylla) record: Vec<u8>,
    pub(in crate::scylla) payload: Option<Vec<u8>>,
    /// The recall that erased the payload.
    pub(in crate::scylla) erased: Option<Sequence>,
    /// Recalls in later buckets that meant to, whether they came to be or not.
    pub(in crate::scylla) recalls: Vec<Sequence>,
    /// The bucket's head when this was read.
    pub(in crate::scylla) head: Option<Sequence>,
}

/// How sure a read is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scylla) enum Sight {
    /// `LOCAL_QUORUM`: sees whatever was acknowledged before, and perhaps what was decided and is still spreading.
    Quorum,
    /// `LOCAL_SERIAL`: ends what is under way first, and then sees all that was decided.
    Serial,
}

/// What a partition can do. Errors of reads say why it cannot be reached: there is nothing to settle after a read.
pub(in crate::scylla) trait Partitions: Send + Sync + 'static {
    /// Tries a batch once.
    fn cas(&self, batch: &Batch) -> impl Future<Output = Result<Cas, Failure>> + Send;

    /// The bucket's head; `None` if it was never appended to.
    fn head(&self, at: Bucket, sight: Sight) -> impl Future<Output = Result<Option<Sequence>, Reason>> + Send;

    /// Which append stored the record at a sequence.
    fn winner(
        &self,
        at: Bucket,
        sequence: Sequence,
        sight: Sight,
    ) -> impl Future<Output = Result<Option<Uuid>, Reason>> + Send;

    /// The bucket's records from one sequence to another, in order.
    fn rows(
        &self,
        at: Bucket,
        from: Sequence,
        to: Sequence,
        sight: Sight,
    ) -> impl Future<Output = Result<Vec<StoredRow>, Reason>> + Send;

    /// Those of the acts that are in the bucket.
    fn acts(&self, at: Bucket, acts: &[ActKey])
    -> impl Future<Output = Result<Vec<(ActKey, Sequence)>, Reason>> + Send;

    /// Every act in the bucket.
    fn all_acts(&self, at: Bucket) -> impl Future<Output = Result<Vec<ActKey>, Reason>> + Send;

    /// Notes at a message that a record of a later bucket is about to recall it.
    fn intend(&self, at: Bucket, erasure: Erasure) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Erases the payload of a message whose recall is stored in a later bucket.
    fn erase(&self, at: Bucket, erasure: Erasure) -> impl Future<Output = Result<(), Failure>> + Send;
}
