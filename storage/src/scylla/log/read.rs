//! Reading the log: records, heads and acts, over as many buckets as it takes.
//!
//! An ordinary read sees all that was acknowledged (DURABLE). It may also see part of what was decided and is still
//! spreading; a hole in what it found is therefore read again serially, partition by partition, and only then is it
//! damage. That nothing is missing at the end is checked against the heads: the bucket's own, which comes with each
//! row, and the highest one met in this process.

use std::ops::Range as Span;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use hubbub_protocol::{ClientMessageId, ConversationId, Record, Sequence, UserId};

use super::base::{After, Core, unavailable};
use super::buckets::LAST;
use super::partition::{ActKey, Bucket, Erasure, Partitions, Sight, StoredRow, act_key};
use super::plan::{self, damaged};
use crate::error::{Reason, StoreResult};
use crate::log::{MAX_READ_RECORDS, Range, erase_payload};

/// Buckets that one call asks at the same time.
const AT_ONCE: usize = 16;
/// Sealed buckets that are walked before it is leapt.
const HOPS: u32 = 2;

/// What was found of a stretch.
struct Stretch {
    /// Each with its bucket.
    rows: Vec<(i64, StoredRow)>,
    /// Nothing is missing that is known to be there.
    whole: bool,
}

impl<P: Partitions> Core<P> {
    /// Records of a conversation, and what came to light that is left to do.
    pub(in crate::scylla) async fn read(
        &self,
        id: ConversationId,
        range: Range,
        limit: usize,
    ) -> StoreResult<(Vec<Record>, Vec<After>)> {
        let limit = limit.min(MAX_READ_RECORDS) as u64;
        let Some((from, to)) = self.stretch(id, range, limit).await.map_err(unavailable)? else {
            return Ok((Vec::new(), Vec::new()));
        };
        for sight in [Sight::Quorum, Sight::Serial] {
            let stretch = self.collect(id, from, to, sight).await.map_err(unavailable)?;
            if stretch.whole
                && let Some(opened) = self.open(id, &stretch.rows, sight).await?
            {
                return Ok(opened);
            }
        }
        Err(damaged(id, from, "records are missing from here on"))
    }

    /// The sequences to read, first and last; `None`: there are none.
    async fn stretch(
        &self,
        id: ConversationId,
        range: Range,
        limit: u64,
    ) -> Result<Option<(Sequence, Sequence)>, Reason> {
        let (from, to) = match range {
            Range::After(after) => (after.next(), after.plus(limit).min(LAST)),
            Range::Before(before) => {
                let mut to = before.previous();
                if to > self.known(id).head {
                    to = to.min(self.find_head(id, Sight::Quorum).await?);
                }
                (Sequence::new(to.get().saturating_sub(limit) + 1), to)
            }
        };
        Ok((limit > 0 && from <= to && from <= LAST).then_some((from, to)))
    }

    /// The rows of a stretch, bucket after bucket, as far as they are dense.
    async fn collect(&self, id: ConversationId, from: Sequence, to: Sequence, sight: Sight) -> Result<Stretch, Reason> {
        // Before the reads: what is met meanwhile may be newer than they are.
        let floor = self.known(id).head;
        let mut rows: Vec<(i64, StoredRow)> = Vec::new();
        let mut next = from;
        let (mut bucket, mut page) = self.first_page(id, from, to, sight).await?;
        loop {
            let head = page.iter().filter_map(|row| row.head).max().unwrap_or_default();
            for row in page {
                if row.sequence != next {
                    return Ok(Stretch { rows, whole: false });
                }
                next = next.next();
                rows.push((bucket, row));
            }
            // The bucket has no more; if its last record is its head, what follows is in the next one.
            let last = next.previous();
            let following = self.buckets.after(last);
            if last >= to || head != last || following <= bucket {
                return Ok(Stretch { rows, whole: last >= to.min(floor.max(head)) });
            }
            bucket = following;
            page = self.partitions.rows(Bucket::new(id, bucket), next, to, sight).await?;
        }
    }

    /// The first rows of a stretch and the bucket that holds them.
    async fn first_page(
        &self,
        id: ConversationId,
        from: Sequence,
        to: Sequence,
        sight: Sight,
    ) -> Result<(i64, Vec<StoredRow>), Reason> {
        let own = self.buckets.of(from);
        let page = self.partitions.rows(Bucket::new(id, own), from, to, sight).await?;
        if page.first().is_some_and(|row| row.sequence == from) {
            return Ok((own, page));
        }
        for before in self.buckets.before(from) {
            let earlier = self.partitions.rows(Bucket::new(id, before), from, to, sight).await?;
            if !earlier.is_empty() {
                return Ok((before, earlier));
            }
        }
        Ok((own, page))
    }

    /// The records of rows, payloads of recalled messages left out. `None`: something is not as it was written, which an
    /// ordinary read may meet while it spreads.
    async fn open(
        &self,
        id: ConversationId,
        rows: &[(i64, StoredRow)],
        sight: Sight,
    ) -> StoreResult<Option<(Vec<Record>, Vec<After>)>> {
        let mut records = Vec::with_capacity(rows.len());
        let mut after = Vec::new();
        for (bucket, row) in rows {
            let mut record = match plan::open(id, row) {
                Ok(record) => record,
                Err(_) if sight == Sight::Quorum => return Ok(None),
                Err(damage) => return Err(damage),
            };
            let intended = row.erased.is_none() && !row.recalls.is_empty();
            if intended && let Some(recall) = self.recalled_by(id, row).await.map_err(unavailable)? {
                erase_payload(&mut record.body);
                after.push(After::Erase(Bucket::new(id, *bucket), Erasure { target: row.sequence, recall }));
            }
            records.push(record);
        }
        Ok(Some((records, after)))
    }

    /// The head, from the highest one that was met here.
    pub(in crate::scylla) async fn find_head(&self, id: ConversationId, sight: Sight) -> Result<Sequence, Reason> {
        let mut head = self.known(id).head;
        for hop in 0_u32.. {
            let bucket = self.buckets.after(head);
            let Some(found) = self.partitions.head(Bucket::new(id, bucket), sight).await? else { break };
            self.met(id, found, bucket);
            head = head.max(found);
            if !self.buckets.is_sealed(bucket, found) {
                break;
            }
            if hop >= HOPS
                && let Some((bucket, found)) = self.leap(id, bucket, sight).await?
            {
                self.met(id, found, bucket);
                head = head.max(found);
            }
        }
        Ok(head)
    }

    /// The last bucket above this one that was begun, and its head: in as many reads as its number has bits, about.
    async fn leap(&self, id: ConversationId, from: i64, sight: Sight) -> Result<Option<(i64, Sequence)>, Reason> {
        let (mut low, mut step, mut last) = (from, 1, None);
        while let Some(begun) = self.begun(id, low + step, sight).await? {
            (low, step, last) = (begun.0, step * 2, Some(begun));
        }
        let mut high = low + step;
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            match self.begun(id, middle, sight).await? {
                Some(begun) => (low, last) = (begun.0, Some(begun)),
                None => high = middle,
            }
        }
        Ok(last)
    }

    /// The first bucket from here on that was begun, with its head. None near: none at all.
    async fn begun(&self, id: ConversationId, from: i64, sight: Sight) -> Result<Option<(i64, Sequence)>, Reason> {
        for number in from..from + self.buckets.window() {
            if let Some(head) = self.partitions.head(Bucket::new(id, number), sight).await? {
                return Ok(Some((number, head)));
            }
        }
        Ok(None)
    }

    /// Where an act is stored.
    pub(in crate::scylla) async fn lookup(
        &self,
        id: ConversationId,
        sender: UserId,
        client_id: ClientMessageId,
    ) -> Result<Option<Sequence>, Reason> {
        let last = self.buckets.after(self.find_head(id, Sight::Quorum).await?);
        let found = self.acts_in(id, &[act_key(sender, client_id)], 0..last, Some(last), &mut Vec::new()).await?;
        Ok(found.first().map(|(_, at)| *at))
    }

    /// Those of the acts that are in these sealed buckets or in the open one.
    pub(super) async fn acts_in(
        &self,
        id: ConversationId,
        acts: &[ActKey],
        sealed: Span<i64>,
        open: Option<i64>,
        after: &mut Vec<After>,
    ) -> Result<Vec<(ActKey, Sequence)>, Reason> {
        if acts.is_empty() {
            return Ok(Vec::new());
        }
        let marks: Vec<_> =
            if sealed.is_empty() { Vec::new() } else { acts.iter().map(|act| self.filters.mark(act)).collect() };
        let mut asked: Vec<(Bucket, Vec<ActKey>)> = Vec::new();
        for number in sealed {
            let bucket = Bucket::new(id, number);
            let ask = self.filters.ask(bucket, &marks);
            if ask.worth_a_filter {
                after.push(After::Learn(bucket));
            }
            if !ask.acts.is_empty() {
                asked.push((bucket, ask.acts));
            }
        }
        asked.extend(open.map(|number| (Bucket::new(id, number), acts.to_vec())));
        let asking = asked.into_iter().map(|(bucket, acts)| async move { self.partitions.acts(bucket, &acts).await });
        stream::iter(asking).buffer_unordered(AT_ONCE).try_concat().await
    }

    /// Builds the filter of a sealed bucket.
    pub(super) async fn learn(&self, bucket: Bucket) {
        let acts = async {
            // Ends and spreads whatever is under way there, so that nothing is left out.
            let head = self.partitions.head(bucket, Sight::Serial).await?;
            match head {
                Some(head) if !self.buckets.is_sealed(bucket.number, head) => Err(Reason::new("it is not sealed")),
                Some(_) => self.partitions.all_acts(bucket).await.map(Some),
                // Skipped by an append that overflowed it: it never gets any.
                None => Ok(None),
            }
        };
        match acts.await {
            Ok(acts) => self.filters.build(bucket, &acts.unwrap_or_default()),
            Err(reason) => {
                tracing::debug!(conversation.id = %bucket.conversation, %reason, "no filter for a bucket yet");
            }
        }
    }
}
