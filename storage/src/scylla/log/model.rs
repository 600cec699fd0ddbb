//! A cluster in memory that fails in every way that one may, for tests: by a seed, so that a run can be repeated.
//!
//! Each partition keeps what was decided and what has spread. A batch whose answer is lost may have been applied, or not,
//! or be *late*: it waits somewhere, and is tried at any later moment, after the look that was to settle it, after its
//! own second try, after the end of all else. Only its condition protects from it, as with a real cluster whose
//! coordinator was slow. Ordinary reads see what has spread, and now and then more; a serial read, or an answered batch,
//! spreads what was decided.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hubbub_protocol::Sequence;
use uuid::Uuid;

use super::super::outcome::Failure;
use super::partition::{ActKey, Batch, Bucket, Cas, Erasure, NewRow, Partitions, Sight, StoredRow};
use crate::error::Reason;

/// How often each thing goes wrong, in a thousand calls.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Odds {
    /// A write is refused, and nothing happens.
    pub(super) not_done: u64,
    /// A write's answer is lost, and nothing happens.
    pub(super) lost_before: u64,
    /// A write's answer is lost after it was carried out.
    pub(super) lost_after: u64,
    /// A write's answer is lost, and it is carried out at some later time.
    pub(super) late: u64,
    /// A write is carried out, or will be, and called refused, as a coordinator that lost a round against its own
    /// proposal may.
    pub(super) mistaken: u64,
    /// A read fails.
    pub(super) read: u64,
}

/// What goes wrong with a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    NotDone,
    LostBefore,
    LostAfter,
    Late,
    Mistaken,
}

#[derive(Debug, Clone, Default)]
struct Content {
    head: Option<Sequence>,
    acts: BTreeMap<ActKey, Sequence>,
    rows: BTreeMap<Sequence, (Uuid, StoredRow)>,
}

#[derive(Debug, Default)]
struct Partition {
    decided: Arc<Content>,
    spread: Arc<Content>,
}

#[derive(Debug, Clone)]
enum Write {
    Batch(Batch),
    Intend(Bucket, Erasure),
    Erase(Bucket, Erasure),
}

struct World {
    state: u64,
    odds: Odds,
    partitions: HashMap<Bucket, Partition>,
    late: Vec<Write>,
    counts: Counts,
}

/// What happened, so that a test can tell that it tested something.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) late_applied: u64,
    pub(super) late_refused: u64,
    pub(super) doubts: u64,
    pub(super) filters: u64,
    pub(super) intents: u64,
}

/// The cluster. Clones are the same one.
#[derive(Clone)]
pub(super) struct Model(Arc<Mutex<World>>);

impl Content {
    fn write(&mut self, write: &Write) -> Cas {
        match write {
            Write::Batch(batch) => return self.batch(batch),
            Write::Intend(_, Erasure { target, recall }) => {
                if let Some((_, row)) = self.rows.get_mut(target) {
                    row.recalls.push(*recall);
                }
            }
            Write::Erase(_, erasure) => self.erase(*erasure),
        }
        Cas::Applied
    }

    fn batch(&mut self, batch: &Batch) -> Cas {
        let known: Vec<_> = batch.acts.iter().filter_map(|(act, _)| Some((*act, *self.acts.get(act)?))).collect();
        if self.head != batch.expected || !known.is_empty() {
            return Cas::Refused { head: self.head, known };
        }
        self.head = Some(batch.head);
        self.acts.extend(batch.acts.iter().copied());
        for NewRow { sequence, record, payload } in batch.rows.iter().cloned() {
            let row = StoredRow { sequence, record, payload, erased: None, recalls: Vec::new(), head: None };
            let before = self.rows.insert(sequence, (batch.append, row));
            assert!(before.is_none(), "GAPLESS: two records at {sequence}");
        }
        batch.erasures.iter().for_each(|erasure| self.erase(*erasure));
        Cas::Applied
    }

    fn erase(&mut self, Erasure { target, recall }: Erasure) {
        if let Some((_, row)) = self.rows.get_mut(&target) {
            row.payload = None;
            row.erased = Some(recall);
        }
    }
}

impl World {
    fn draw(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below.max(1)
    }

    fn fault(&mut self) -> Option<Fault> {
        let drawn = self.draw(1000);
        let Odds { not_done, lost_before, lost_after, late, mistaken, .. } = self.odds;
        let mut below = 0;
        for (odds, fault) in [
            (not_done, Fault::NotDone),
            (lost_before, Fault::LostBefore),
            (lost_after, Fault::LostAfter),
            (late, Fault::Late),
            (mistaken, Fault::Mistaken),
        ] {
            below += odds;
            if drawn < below {
                return Some(fault);
            }
        }
        None
    }

    fn partition(&mut self, at: Bucket) -> &mut Partition {
        self.partitions.entry(at).or_default()
    }

    fn decide(&mut self, write: &Write) -> Cas {
        let at = match write {
            Write::Batch(batch) => batch.bucket,
            Write::Intend(at, _) | Write::Erase(at, _) => *at,
        };
        Arc::make_mut(&mut self.partition(at).decided).write(write)
    }

    fn spread(&mut self, at: Bucket) {
        let partition = self.partition(at);
        partition.spread = Arc::clone(&partition.decided);
    }

    /// One of the late writes has its moment.
    fn late(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let place = usize::try_from(self.draw(self.late.len() as u64)).unwrap();
        let write = self.late.swap_remove(place);
        match self.decide(&write) {
            Cas::Applied => self.counts.late_applied += 1,
            Cas::Refused { .. } => self.counts.late_refused += 1,
        }
    }

    fn carry_out(&mut self, write: &Write, at: Bucket) -> Result<Cas, Failure> {
        let lost = || Err(Failure::Unknown(Reason::new("the answer was lost")));
        match self.fault() {
            None => {
                let answer = self.decide(write);
                self.spread(at);
                return Ok(answer);
            }
            Some(Fault::NotDone) => return Err(Failure::NotDone(Reason::new("too few are alive"))),
            Some(Fault::Mistaken) => {
                if let (1, Write::Batch(batch)) = (self.draw(2), write) {
                    self.late.push(write.clone());
                    return Ok(Cas::Refused { head: batch.expected, known: Vec::new() });
                }
                if let (Cas::Applied, Write::Batch(batch)) = (self.decide(write), write) {
                    self.spread(at);
                    let known = batch.acts.clone();
                    return Ok(Cas::Refused { head: Some(batch.head), known });
                }
            }
            Some(Fault::LostBefore) => {}
            Some(Fault::LostAfter) => drop(self.decide(write)),
            Some(Fault::Late) => self.late.push(write.clone()),
        }
        self.counts.doubts += 1;
        lost()
    }
}

impl Model {
    pub(super) fn new(seed: u64, odds: Odds) -> Self {
        let counts = Counts::default();
        Self(Arc::new(Mutex::new(World { state: seed, odds, partitions: HashMap::new(), late: Vec::new(), counts })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn draw(&self, below: u64) -> u64 {
        self.world().draw(below)
    }

    pub(super) fn counts(&self) -> Counts {
        self.world().counts
    }

    /// From here on things go wrong at these odds.
    pub(super) fn set(&self, odds: Odds) {
        self.world().odds = odds;
    }

    /// Nothing fails any more, and what was late has had its moment.
    pub(super) fn heal(&self) {
        let mut world = self.world();
        world.odds = Odds::default();
        while !world.late.is_empty() {
            world.late();
        }
    }

    /// Lets others go first, and a late write have its moment.
    async fn network(&self) {
        let pause = {
            let mut world = self.world();
            if world.draw(4) == 0 {
                world.late();
            }
            world.draw(20)
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    async fn write(&self, write: Write, at: Bucket) -> Result<Cas, Failure> {
        self.network().await;
        let answer = self.world().carry_out(&write, at);
        self.network().await;
        answer
    }

    async fn see<T>(&self, at: Bucket, sight: Sight, see: impl FnOnce(&Content) -> T) -> Result<T, Reason> {
        self.network().await;
        let seen = {
            let mut world = self.world();
            let odds = world.odds.read;
            if world.draw(1000) < odds {
                Err(Reason::new("the read timed out"))
            } else {
                let decided = sight == Sight::Serial || world.draw(2) == 0;
                if sight == Sight::Serial {
                    world.spread(at);
                }
                let partition = world.partition(at);
                Ok(see(if decided { &partition.decided } else { &partition.spread }))
            }
        };
        self.network().await;
        seen
    }
}

impl Partitions for Model {
    async fn cas(&self, batch: &Batch) -> Result<Cas, Failure> {
        self.write(Write::Batch(batch.clone()), batch.bucket).await
    }

    async fn head(&self, at: Bucket, sight: Sight) -> Result<Option<Sequence>, Reason> {
        self.see(at, sight, |content| content.head).await
    }

    async fn winner(&self, at: Bucket, sequence: Sequence, sight: Sight) -> Result<Option<Uuid>, Reason> {
        self.see(at, sight, |content| content.rows.get(&sequence).map(|(append, _)| *append)).await
    }

    async fn rows(&self, at: Bucket, from: Sequence, to: Sequence, sight: Sight) -> Result<Vec<StoredRow>, Reason> {
        self.see(at, sight, |content| {
            let rows = content.rows.range(from..=to);
            rows.map(|(_, (_, row))| StoredRow { head: content.head, ..row.clone() }).collect()
        })
        .await
    }

    async fn acts(&self, at: Bucket, acts: &[ActKey]) -> Result<Vec<(ActKey, Sequence)>, Reason> {
        let found = |content: &Content| acts.iter().filter_map(|act| Some((*act, *content.acts.get(act)?))).collect();
        self.see(at, Sight::Quorum, found).await
    }

    async fn all_acts(&self, at: Bucket) -> Result<Vec<ActKey>, Reason> {
        self.world().counts.filters += 1;
        self.see(at, Sight::Quorum, |content| content.acts.keys().copied().collect()).await
    }

    async fn intend(&self, at: Bucket, erasure: Erasure) -> Result<(), Failure> {
        self.world().counts.intents += 1;
        self.write(Write::Intend(at, erasure), at).await.map(|_| ())
    }

    async fn erase(&self, at: Bucket, erasure: Erasure) -> Result<(), Failure> {
        self.write(Write::Erase(at, erasure), at).await.map(|_| ())
    }
}
