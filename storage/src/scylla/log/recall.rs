//! Recalls: a payload goes in the same commit as the record that takes it back.
//!
//! In the bucket of the append the batch itself erases it. An older bucket is another partition, which no batch reaches
//! too; so an *intent* is noted at the message before the append (`recalls`, the sequence that the recall would get), and
//! the payload is erased after it. A reader who meets an intent looks whether that recall came to be, and leaves the
//! payload out if it did: from the commit on nobody is served it, whoever crashed when. An intent whose append did not
//! come to be means nothing, as the record at its sequence is another one.

use hubbub_protocol::{ConversationId, Record, RecordBody, Sequence};

use super::super::outcome::Failure;
use super::append::Ends;
use super::base::{After, Core, Pauses, unavailable};
use super::partition::{Bucket, Erasure, Partitions, Sight, StoredRow};
use super::plan::{Plan, damaged};
use crate::error::{Reason, StoreError, StoreResult};
use crate::stored::record;

/// Tries of what is done at leisure: whoever reads the message next tries again.
const LEISURE_TRIES: usize = 3;

impl<P: Partitions> Core<P> {
    /// The erasures that go into the batch, after intents are noted for the others. `None`: the log is shorter than the
    /// append says.
    pub(super) async fn prepare_recalls(
        &self,
        plan: &Plan,
        ends: Ends,
        after: &mut Vec<After>,
    ) -> StoreResult<Option<Vec<Erasure>>> {
        let here = self.buckets.after(plan.expected);
        let mut erasures = plan.own_recalls.clone();
        for erasure in &plan.recalls {
            let surely_here =
                self.buckets.of(erasure.target) == here && self.buckets.before(erasure.target).next().is_none();
            if surely_here {
                erasures.push(*erasure);
                continue;
            }
            let Some((bucket, row)) = self.locate(plan.id, erasure.target).await.map_err(unavailable)? else {
                let head = self.find_head(plan.id, Sight::Serial).await.map_err(unavailable)?;
                let gone = head >= erasure.target;
                return if gone { Err(damaged(plan.id, erasure.target, "its record is missing")) } else { Ok(None) };
            };
            if bucket.number == here {
                erasures.push(*erasure);
            } else if row.payload.is_some() && row.erased.is_none() {
                if !row.recalls.contains(&erasure.recall) {
                    self.note_intent(bucket, *erasure, ends).await?;
                }
                after.push(After::Erase(bucket, *erasure));
            }
        }
        Ok(Some(erasures))
    }

    /// Noting twice is noting once, so whatever is not known to be done is done again.
    async fn note_intent(&self, bucket: Bucket, erasure: Erasure, ends: Ends) -> StoreResult<()> {
        let mut pauses = Pauses::default();
        loop {
            let Err(Failure::NotDone(reason) | Failure::Unknown(reason)) =
                self.partitions.intend(bucket, erasure).await
            else {
                return Ok(());
            };
            if !pauses.wait(ends.refuse).await {
                // Of the append nothing was tried, and an intent alone means nothing.
                return Err(StoreError::Unavailable(reason));
            }
        }
    }

    /// A record and the bucket that holds it.
    async fn locate(&self, id: ConversationId, at: Sequence) -> Result<Option<(Bucket, StoredRow)>, Reason> {
        for sight in [Sight::Quorum, Sight::Serial] {
            for number in std::iter::once(self.buckets.of(at)).chain(self.buckets.before(at)) {
                let bucket = Bucket::new(id, number);
                if let Some(row) = self.partitions.rows(bucket, at, at, sight).await?.pop() {
                    return Ok(Some((bucket, row)));
                }
            }
        }
        Ok(None)
    }

    /// The recall of a message that was intended and came to be, if one did.
    pub(super) async fn recalled_by(&self, id: ConversationId, row: &StoredRow) -> Result<Option<Sequence>, Reason> {
        for recall in &row.recalls {
            let Some((_, found)) = self.locate(id, *recall).await? else { continue };
            if let Ok(Record { body: RecordBody::Recalled(recalled), .. }) = record::decode(id, *recall, &found.record)
                && recalled.target == row.sequence
            {
                return Ok(Some(*recall));
            }
        }
        Ok(None)
    }

    /// What is left to do after an answer.
    pub(in crate::scylla) async fn follow_up(&self, after: Vec<After>) {
        let mut learnt = false;
        for left in after {
            match left {
                After::Erase(bucket, erasure) => self.erase(bucket, erasure).await,
                // One at a time, so that the next append need not wait for many.
                After::Learn(bucket) if !learnt => {
                    learnt = true;
                    self.learn(bucket).await;
                }
                After::Learn(_) => {}
            }
        }
    }

    async fn erase(&self, bucket: Bucket, erasure: Erasure) {
        for _ in 0..LEISURE_TRIES {
            let Err(Failure::NotDone(reason) | Failure::Unknown(reason)) = self.partitions.erase(bucket, erasure).await
            else {
                return;
            };
            tracing::debug!(conversation.id = %bucket.conversation, sequence = %erasure.target, %reason, "a recalled payload is still stored");
        }
    }
}
