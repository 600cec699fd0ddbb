//! Thousands of seeded runs of row writes and claims over a cluster that fails, and a checker of what was told of them.
//!
//! What is late has its moment at any time, however much was written, deleted and given back since; only marks do not end
//! before it: it is late by less than a day.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::super::log::base::Patience;
use super::super::log::partition::Sight;
use super::super::outcome::Failure;
use super::rows::{Change, Found, Held, RowKey, Rows, Swap};
use super::write::Writer;
use crate::error::{Reason, StoreError, StoreResult};
use crate::families::snapshots::Snapshots;
use crate::records::{Claimed, Expect, Family, FamilyDef, RawRow, Version, Written};

const FAMILY: &FamilyDef = &Snapshots::DEF;
const RUNS: u64 = 800;
const WRITES: u64 = 12;
const NAME: &str = "name";

/// One row, or one claim, that fails in every way that a cluster's may.
#[derive(Clone)]
struct Model(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    state: u64,
    row: Option<Found>,
    late: Vec<(Option<Uuid>, Change)>,
    /// Everything that was applied: puts by their value, deletions by the version that went.
    puts: Vec<(Vec<u8>, Version)>,
    deletions: Vec<Version>,
    /// Values whose writers were told what became of them: never written from then on.
    told: HashSet<Vec<u8>>,
    /// Whether an owner holds the claim, where it is known to them.
    holds: HashMap<Vec<u8>, bool>,
}

impl World {
    fn draw(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (self.state >> 33) % below
    }

    fn holder(&self) -> Option<&Vec<u8>> {
        self.row.as_ref().and_then(|found| found.held.as_ref()).map(|held| &held.row.value)
    }

    fn decide(&mut self, on: Option<Uuid>, change: &Change) -> Swap {
        if self.row.as_ref().map(|found| found.stamp) != on {
            return Swap::Refused;
        }
        let held = change.put.as_ref().map(|put| {
            assert!(!self.told.contains(&put.value), "HONEST: written after its writer was told what became of it");
            self.puts.push((put.value.clone(), put.version));
            let row = RawRow { sort: Vec::new(), version: put.version, value: put.value.clone() };
            Held { row, checksum: put.checksum }
        });
        if held.is_none() {
            let version = self.row.as_ref().and_then(Found::version);
            self.deletions.push(version.expect("a deletion deletes a row"));
        }
        self.row = Some(Found { stamp: change.stamp, turn: change.turn, held });
        for (owner, holds) in &self.holds {
            assert_eq!(self.holder() == Some(owner), *holds, "HONEST: a claim that its owner was told of changed");
        }
        Swap::Done
    }

    fn late(&mut self) {
        if !self.late.is_empty() {
            let place = usize::try_from(self.draw(self.late.len() as u64)).unwrap();
            let (on, change) = self.late.swap_remove(place);
            self.decide(on, &change);
        }
    }

    /// A day later.
    fn rest(&mut self) {
        while !self.late.is_empty() {
            self.late();
        }
        self.row.take_if(|found| found.held.is_none());
    }

    fn carry_out(&mut self, on: Option<Uuid>, change: &Change) -> Result<Swap, Failure> {
        match self.draw(10) {
            0 => return Err(Failure::NotDone(Reason::new("too few are alive"))),
            1 => {}
            2 => drop(self.decide(on, change)),
            3 | 4 => self.late.push((on, change.clone())),
            _ => return Ok(self.decide(on, change)),
        }
        Err(Failure::Unknown(Reason::new("the answer was lost")))
    }
}

impl Model {
    fn new(state: u64) -> Self {
        Self(Arc::new(Mutex::new(World { state, ..World::default() })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, below: u64) -> u64 {
        self.world().draw(below)
    }

    fn writer(&self) -> Writer<Self> {
        let patience = Patience { refuse: Duration::from_millis(400), settle: Duration::from_secs(1) };
        Writer { rows: self.clone(), patience }
    }

    async fn network(&self) {
        let pause = {
            let mut world = self.world();
            if world.draw(12) == 0 {
                world.late();
            }
            world.draw(20)
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

impl Rows for Model {
    async fn swap(&self, _: &RowKey, on: Option<Uuid>, change: &Change) -> Result<Swap, Failure> {
        self.network().await;
        let answer = self.world().carry_out(on, change);
        self.network().await;
        answer
    }

    async fn get(&self, _: &RowKey, _: Sight) -> StoreResult<Option<Found>> {
        self.network().await;
        let mut world = self.world();
        if world.draw(8) == 0 {
            return Err(StoreError::Unavailable(Reason::new("the read timed out")));
        }
        Ok(world.row.clone())
    }
}

/// A call whose process may end in the middle of it.
async fn cut<T>(model: &Model, call: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
    let ends = Duration::from_millis(if model.draw(5) == 0 { model.draw(100) } else { 10_000 });
    let ended = |_| Err(StoreError::Unknown(Reason::new("the process ended")));
    tokio::time::timeout(ends, call).await.unwrap_or_else(ended)
}

enum Told {
    Put(Vec<u8>, Expect, StoreResult<Written>),
    Delete(StoreResult<Written>),
}

async fn writes(model: Model, deletes: bool) -> Vec<Told> {
    let writer = model.writer();
    let key = RowKey { family: FAMILY.name, partition: vec![1], sort: Vec::new() };
    let mut told = Vec::new();
    let mut known = None;
    for _ in 0..WRITES {
        let expect = match (model.draw(6), known) {
            (0, _) => Expect::Any,
            (1, _) | (_, None) => Expect::Absent,
            (_, Some(version)) => Expect::Version(version),
        };
        let written = if deletes && model.draw(3) == 0 {
            let written = cut(&model, writer.delete(&key, expect)).await;
            told.push(Told::Delete(written.clone()));
            known = None;
            written
        } else {
            let value = Uuid::new_v4().as_bytes().to_vec();
            let written = cut(&model, writer.put(FAMILY, &key, &value, expect)).await;
            if !matches!(written, Err(StoreError::Unknown(_))) {
                model.world().told.insert(value.clone());
            }
            told.push(Told::Put(value, expect, written.clone()));
            written
        };
        if let Ok(Written::Done(version) | Written::Conflict(Some(version))) = written {
            known = Some(version);
        }
    }
    told
}

fn check(world: &World, told: &[Told]) {
    let (mut done, mut unknown) = (0, 0);
    for told in told {
        match told {
            Told::Put(value, expect, written) => {
                let applied: Vec<_> = world.puts.iter().filter(|(put, _)| put == value).map(|(_, at)| *at).collect();
                match written {
                    Ok(Written::Done(version)) => {
                        assert!(applied.contains(version), "DURABLE: done, and never written");
                        assert!(*expect == Expect::Any || applied.len() == 1, "written {} times", applied.len());
                    }
                    Err(StoreError::Unknown(_)) => assert!(*expect == Expect::Any || applied.len() <= 1),
                    refused => assert!(applied.is_empty(), "HONEST: {refused:?} ({expect:?}), and written"),
                }
            }
            Told::Delete(Ok(Written::Done(_))) => done += 1,
            Told::Delete(Err(StoreError::Unknown(_))) => unknown += 1,
            Told::Delete(_) => {}
        }
    }
    let deletions = world.deletions.len();
    assert!(
        done <= deletions && deletions <= done + unknown,
        "HONEST: {deletions} deletions, {done} told, {unknown} unknown"
    );
}

async fn rows(model: Model, deletes: bool) {
    let mut told = Vec::new();
    for _day in 0..2 {
        let writers: Vec<_> = (0..3).map(|_| tokio::spawn(writes(model.clone(), deletes))).collect();
        for writer in writers {
            told.extend(writer.await.unwrap());
        }
        model.world().rest();
    }
    check(&model.world(), &told);
}

/// One owner's claims and releases. What is certain between two of them must stay so, whatever is late.
async fn claims(model: Model, owner: Vec<u8>) {
    let writer = model.writer();
    // A claim of theirs may still be carried out; the next that is answered ends that.
    let mut loose = false;
    for _ in 0..WRITES {
        if model.draw(2) == 0 {
            let before = model.world().holds.remove(&owner);
            let holds = match cut(&model, writer.claim(NAME, b"v", &owner)).await {
                Ok(Claimed::Yours) => Some(true),
                Ok(Claimed::Taken(other)) => {
                    assert_ne!(other, owner);
                    Some(false)
                }
                Err(StoreError::Unknown(_)) => None,
                Err(refused) => {
                    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
                    before
                }
            };
            loose = holds.is_none() || (loose && holds != Some(true));
            certain(&model, &owner, holds.filter(|_| !loose));
        } else {
            let before = model.world().holds.remove(&owner);
            let holds = match cut(&model, writer.release(NAME, b"v", &owner)).await {
                Ok(()) => Some(false),
                Err(StoreError::Unknown(_)) => None,
                Err(_) => before,
            };
            certain(&model, &owner, holds.filter(|_| !loose));
        }
    }
}

fn certain(model: &Model, owner: &[u8], holds: Option<bool>) {
    let mut world = model.world();
    if let Some(holds) = holds {
        let found = world.holder().is_some_and(|holder| holder == owner);
        assert_eq!(found, holds, "HONEST: a claim is not as its owner was told");
        world.holds.insert(owner.to_vec(), holds);
    }
}

async fn owners(model: Model) {
    for _day in 0..2 {
        let owners: Vec<_> = (0..3_u8).map(|owner| tokio::spawn(claims(model.clone(), vec![owner]))).collect();
        for owner in owners {
            owner.await.unwrap();
        }
        model.world().rest();
        model.world().holds.clear();
    }
}

fn run(seed: u64, what: impl AsyncFnOnce(Model)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(what(Model::new(seed)))));
    assert!(outcome.is_ok(), "the run of seed {seed} failed");
}

#[test]
fn whatever_fails_a_row_is_written_as_its_writers_were_told() {
    for seed in 0..RUNS {
        run(seed, async |model| rows(model, false).await);
    }
}

#[test]
fn whatever_is_late_a_row_that_was_deleted_does_not_come_back() {
    for seed in 0..RUNS {
        run(seed, async |model| rows(model, true).await);
    }
}

#[test]
fn whatever_is_late_a_claim_stays_as_its_owner_was_told() {
    for seed in 0..RUNS {
        run(seed, owners);
    }
}
