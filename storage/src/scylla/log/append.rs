//! An append's way to one answer: committed, stale, duplicate, not stored, or unknown.
//!
//! The condition on the head is what makes trying again safe. All tries of an append carry the same batch, whose condition
//! is the head it was decided against; whichever applies moves the head, and then no other try, late or repeated, can ever
//! apply. So:
//!
//! | What is known | What follows |
//! | --- | --- |
//! | applied | `Committed` |
//! | the head has moved, and the record right after the expected head carries our append's id | `Committed` |
//! | the head has moved, and it does not | nothing of ours is or will be stored: `Duplicate` or `Stale`, truthfully |
//! | the head is as expected, an act is there already | the same, for ever: `Duplicate` |
//! | the head is as expected | undecided: a try may be under way still; the same batch is tried again |
//! | the head is below the expected one, a try was unknown | undecided too: the log may come to where it applies |
//!
//! Time up while nothing can have happened is `Unavailable`; once any try was unknown, it is `Unknown` (HONEST).
//!
//! **Buckets.** A bucket is begun with the condition that it has no head, and only after a serial read has shown the one
//! before it to end right at the expected head. A sealed bucket's head never moves again, so that fact is for ever; all
//! who begin a bucket know the same one, their conditions exclude each other, and one that comes late finds a head and is
//! refused. The serial read also makes the sealed bucket spread to a quorum before anything follows it: whoever sees a
//! bucket begun can look into all earlier ones with ordinary reads and miss nothing (ONCE across buckets). A batch is
//! put into a bucket other than the first only when the log was seen to stand at its expected head; if that bucket then has
//! no head, its first append will be decided against the very same one, and the batch, which expects it there, never applies.

use std::sync::Arc;

use hubbub_protocol::Sequence;
use tokio::time::Instant;

use super::super::metrics;
use super::super::outcome::Failure;
use super::base::{After, Core, Pauses, unavailable};
use super::buckets::LAST;
use super::partition::{ActKey, Batch, Bucket, Cas, Partitions, Sight};
use super::plan::Plan;
use crate::error::{Reason, StoreError, StoreResult};
use crate::log::{Append, Appended};

/// Until when to go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    /// While nothing happened.
    pub(super) refuse: Instant,
    /// While it is not known.
    pub(super) settle: Instant,
}

/// Whether and how a batch can be tried.
enum Place {
    /// With this batch.
    Here(Batch),
    /// Not at all: the log does not stand at the expected head.
    Nowhere,
    /// Not at all: these acts are stored.
    Known(Vec<(ActKey, Sequence)>),
}

/// How the tries of a batch ended.
enum Verdict {
    Committed,
    /// Nothing of it is or will be stored. The log's head, if it came to light.
    Refused(Option<Sequence>),
    /// The same, because of these acts.
    Known(Vec<(ActKey, Sequence)>),
    /// The same, because its bucket has no head yet.
    NotBegun,
}

impl<P: Partitions> Core<P> {
    /// Carries an append out, and tells what is left to do after it is answered.
    pub(in crate::scylla) async fn append(
        &self,
        append: Append,
        handed_over: Instant,
    ) -> (StoreResult<Appended>, Vec<After>) {
        let ends = Ends { refuse: handed_over + self.patience.refuse, settle: handed_over + self.patience.settle };
        let mut after = Vec::new();
        let answer = match Plan::of(append) {
            Ok(plan) => self.carry_out(&plan, ends, &mut after).await,
            Err(refused) => Err(refused),
        };
        if !matches!(answer, Ok(Appended::Committed { .. })) {
            after.retain(After::holds_anyway);
        }
        (answer, after)
    }

    async fn carry_out(&self, plan: &Plan, ends: Ends, after: &mut Vec<After>) -> StoreResult<Appended> {
        let mut begin = false;
        let mut pauses = Pauses::default();
        loop {
            if Instant::now() >= ends.refuse {
                return Err(unavailable(Reason::new("there was no time left to try it")));
            }
            let verdict = match self.place(plan, begin, ends, after).await? {
                Place::Here(batch) => self.settle(&batch, plan, ends).await?,
                Place::Nowhere => Verdict::Refused(None),
                Place::Known(known) => Verdict::Known(known),
            };
            let answer = match verdict {
                Verdict::Committed => return Ok(self.committed(plan)),
                Verdict::Known(known) => Some(Appended::Duplicate { known: plan.places(&known) }),
                Verdict::Refused(head) => self.refusal(plan, head, after).await?,
                Verdict::NotBegun => {
                    begin = true;
                    None
                }
            };
            after.retain(After::holds_anyway);
            if let Some(answer) = answer {
                return Ok(answer);
            }
            pauses.wait(ends.refuse).await;
        }
    }

    fn committed(&self, plan: &Plan) -> Appended {
        self.met(plan.id, plan.last, self.buckets.after(plan.expected));
        metrics::appended(plan.rows.len());
        Appended::Committed { first: plan.expected.next(), last: plan.last }
    }

    /// Where the append stands and under which condition, after everything that must be seen before it.
    async fn place(&self, plan: &Plan, begin: bool, ends: Ends, after: &mut Vec<After>) -> StoreResult<Place> {
        let (id, expected) = (plan.id, plan.expected);
        if plan.last > LAST || self.known(id).head > expected {
            return Ok(Place::Nowhere);
        }
        let bucket = self.buckets.after(expected);
        if bucket > 0 && self.known(id).head < expected {
            // What is decided against a head that is none would be looked for in buckets that are none.
            let head = self.find_head(id, Sight::Quorum).await.map_err(unavailable)?;
            if head != expected {
                return Ok(Place::Nowhere);
            }
        }
        let known = self.known(id);
        let begins = begin || self.buckets.begins(expected) || (known.head == expected && known.bucket < bucket);
        if begins && bucket > 0 && !self.ended(plan).await.map_err(unavailable)? {
            return Ok(Place::Nowhere);
        }
        let keys = plan.keys();
        let mut known = self.acts_in(id, &keys, 0..bucket, None, after).await.map_err(unavailable)?;
        if !known.is_empty() {
            known.extend(self.acts_in(id, &keys, 0..0, Some(bucket), after).await.map_err(unavailable)?);
            return Ok(Place::Known(known));
        }
        let Some(erasures) = self.prepare_recalls(plan, ends, after).await? else { return Ok(Place::Nowhere) };
        Ok(Place::Here(Batch {
            bucket: Bucket::new(id, bucket),
            expected: if begins { None } else { Some(expected) },
            head: plan.last,
            append: plan.append,
            acts: plan.acts.iter().map(|(_, key, at)| (*key, *at)).collect(),
            rows: Arc::clone(&plan.rows),
            erasures,
        }))
    }

    /// Whether the bucket before the one to begin ends right at the expected head, seen by a serial read.
    async fn ended(&self, plan: &Plan) -> Result<bool, Reason> {
        let bucket = self.buckets.after(plan.expected);
        for before in (bucket.saturating_sub(self.buckets.window()).max(0)..bucket).rev() {
            if let Some(head) = self.partitions.head(Bucket::new(plan.id, before), Sight::Serial).await? {
                self.met(plan.id, head, before);
                return Ok(head == plan.expected);
            }
        }
        Ok(false)
    }

    /// Tries a batch until it is known how it ended, or the time is up.
    async fn settle(&self, batch: &Batch, plan: &Plan, ends: Ends) -> StoreResult<Verdict> {
        let mut doubt: Option<Reason> = None;
        let mut pauses = Pauses::default();
        loop {
            let verdict = match self.partitions.cas(batch).await {
                Ok(Cas::Applied) => Some(Verdict::Committed),
                Ok(Cas::Refused { head, known }) => self.judge_refused(batch, plan, head, known, &mut doubt).await,
                Err(Failure::NotDone(reason)) => {
                    if doubt.is_none() && !pauses.wait(ends.refuse).await {
                        return Err(StoreError::Unavailable(reason));
                    }
                    None
                }
                Err(Failure::Unknown(reason)) => {
                    metrics::doubted();
                    tracing::debug!(conversation.id = %plan.id, %reason, "the outcome of an append is unknown; looking");
                    doubt = Some(reason);
                    self.look(batch, plan).await
                }
            };
            if let Some(verdict) = verdict {
                if doubt.is_some() {
                    metrics::settled(matches!(verdict, Verdict::Committed));
                }
                return Ok(verdict);
            }
            if let Some(reason) = &doubt
                && !pauses.wait(ends.settle).await
            {
                metrics::given_up();
                return Err(StoreError::Unknown(reason.clone()));
            }
        }
    }

    /// What a refusal means. `None`: it is undecided still.
    async fn judge_refused(
        &self,
        batch: &Batch,
        plan: &Plan,
        head: Option<Sequence>,
        known: Vec<(ActKey, Sequence)>,
        doubt: &mut Option<Reason>,
    ) -> Option<Verdict> {
        if head == batch.expected {
            if known.is_empty() {
                // Refused, and no condition says why: nothing to rest on.
                doubt.get_or_insert_with(|| Reason::new("the server refused it without a reason"));
                return None;
            }
            return Some(Verdict::Known(known));
        }
        let Some(head) = begun(batch, head) else { return Some(Verdict::NotBegun) };
        if head < plan.expected {
            return if doubt.is_none() { Some(Verdict::Refused(None)) } else { None };
        }
        // The refused round has spread what was decided before it.
        match self.partitions.winner(batch.bucket, plan.expected.next(), Sight::Quorum).await {
            Ok(winner) => Some(self.judge_moved(batch, plan, head, winner == Some(plan.append))),
            Err(reason) => {
                doubt.get_or_insert(reason);
                None
            }
        }
    }

    /// Looks how an unknown try ended. `None`: it is undecided still.
    async fn look(&self, batch: &Batch, plan: &Plan) -> Option<Verdict> {
        let head = self.partitions.head(batch.bucket, Sight::Serial).await.ok()?;
        if head == batch.expected {
            return None;
        }
        let Some(head) = begun(batch, head) else { return Some(Verdict::NotBegun) };
        if head < plan.expected {
            return None;
        }
        let winner = self.partitions.winner(batch.bucket, plan.expected.next(), Sight::Serial).await.ok()?;
        Some(self.judge_moved(batch, plan, head, winner == Some(plan.append)))
    }

    fn judge_moved(&self, batch: &Batch, plan: &Plan, head: Sequence, ours: bool) -> Verdict {
        self.met(plan.id, head, batch.bucket.number);
        if ours {
            return Verdict::Committed;
        }
        Verdict::Refused(Some(head).filter(|head| !self.buckets.is_sealed(batch.bucket.number, *head)))
    }

    /// The answer to what is not and will not be stored: a duplicate before a stale head. `None`: the log stands at the
    /// expected head after all.
    async fn refusal(
        &self,
        plan: &Plan,
        head: Option<Sequence>,
        after: &mut Vec<After>,
    ) -> StoreResult<Option<Appended>> {
        let head = match head {
            Some(head) => head,
            None => self.find_head(plan.id, Sight::Serial).await.map_err(unavailable)?,
        };
        let last = self.buckets.after(head);
        let known = self.acts_in(plan.id, &plan.keys(), 0..last, Some(last), after).await.map_err(unavailable)?;
        if !known.is_empty() {
            return Ok(Some(Appended::Duplicate { known: plan.places(&known) }));
        }
        Ok((head != plan.expected).then_some(Appended::Stale { head }))
    }
}

/// A bucket's head, which in the first bucket is zero before it is begun.
fn begun(batch: &Batch, head: Option<Sequence>) -> Option<Sequence> {
    if batch.bucket.number == 0 { Some(head.unwrap_or(Sequence::ZERO)) } else { head }
}
