//! Hundreds of seeded runs of row writes over a cluster that fails, and a checker of what the writers were told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::super::log::base::Patience;
use super::super::log::partition::Sight;
use super::super::outcome::Failure;
use super::rows::{Change, Condition, FoundRow, RowKey, Rows, Swap};
use super::write::Writer;
use crate::error::{Reason, StoreError, StoreResult};
use crate::families::snapshots::Snapshots;
use crate::records::{Expect, Family, FamilyDef, RawRow, Version, Written};

const FAMILY: &FamilyDef = &Snapshots::DEF;
const RUNS: u64 = 600;
const WRITES: u64 = 12;

/// One row that fails in every way that a cluster's may; what is late has its moment at any time.
#[derive(Clone)]
struct Model(Arc<Mutex<World>>);

struct World {
    state: u64,
    faults: bool,
    late_ones: bool,
    row: Option<FoundRow>,
    late: Vec<(Condition, Change)>,
    /// Everything that was applied: puts by their value, deletions by the version that went.
    puts: Vec<(Vec<u8>, Version)>,
    deletions: Vec<Version>,
}

impl World {
    fn draw(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (self.state >> 33) % below
    }

    fn decide(&mut self, condition: Condition, change: &Change) -> Swap {
        let version = self.row.as_ref().map(|found| found.row.version);
        let met = match condition {
            Condition::Absent => version.is_none(),
            Condition::Version(expected) => version == Some(expected),
            Condition::Stamp(expected) => self.row.as_ref().is_some_and(|found| found.stamp == expected),
        };
        if !met {
            return Swap::Refused(version);
        }
        self.row = match change {
            Change::Put { version, stamp, value, checksum } => {
                self.puts.push((value.clone(), *version));
                let row = RawRow { sort: Vec::new(), version: *version, value: value.clone() };
                Some(FoundRow { row, stamp: *stamp, checksum: *checksum })
            }
            Change::Delete => {
                self.deletions.extend(version);
                None
            }
        };
        Swap::Done
    }

    fn late(&mut self) {
        if !self.late.is_empty() {
            let place = usize::try_from(self.draw(self.late.len() as u64)).unwrap();
            let (condition, change) = self.late.swap_remove(place);
            self.decide(condition, &change);
        }
    }

    fn carry_out(&mut self, condition: Condition, change: &Change) -> Result<Swap, Failure> {
        match if self.faults { self.draw(10) } else { 9 } {
            0 => return Err(Failure::NotDone(Reason::new("too few are alive"))),
            1 => {}
            2 => drop(self.decide(condition, change)),
            3 if self.late_ones => self.late.push((condition, change.clone())),
            _ => return Ok(self.decide(condition, change)),
        }
        Err(Failure::Unknown(Reason::new("the answer was lost")))
    }
}

impl Model {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, below: u64) -> u64 {
        self.world().draw(below)
    }

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
}

impl Rows for Model {
    async fn swap(&self, _: &RowKey, condition: Condition, change: &Change) -> Result<Swap, Failure> {
        self.network().await;
        let answer = self.world().carry_out(condition, change);
        self.network().await;
        answer
    }

    async fn get(&self, _: &RowKey, _: Sight) -> StoreResult<Option<FoundRow>> {
        self.network().await;
        let mut world = self.world();
        if world.faults && world.draw(8) == 0 {
            return Err(StoreError::Unavailable(Reason::new("the read timed out")));
        }
        Ok(world.row.clone())
    }
}

enum Told {
    Put(Vec<u8>, Expect, StoreResult<Written>),
    Delete(StoreResult<Written>),
}

async fn writer(model: Model, number: u64, deletes: bool) -> Vec<Told> {
    let patience = Patience { refuse: Duration::from_millis(400), settle: Duration::from_secs(1) };
    let writer = Writer { rows: model.clone(), patience };
    let key = RowKey { family: FAMILY.name, partition: vec![1], sort: Vec::new() };
    let mut told = Vec::new();
    let mut known = None;
    for count in 0..WRITES {
        let expect = match (model.draw(6), known) {
            (0, _) => Expect::Any,
            (1, _) | (_, None) => Expect::Absent,
            (_, Some(version)) => Expect::Version(version),
        };
        let written = if deletes && model.draw(3) == 0 {
            let written = writer.delete(&key, expect).await;
            told.push(Told::Delete(written.clone()));
            known = None;
            written
        } else {
            let value = format!("{number}.{count}.{}", Uuid::new_v4()).into_bytes();
            let written = writer.put(FAMILY, &key, &value, expect).await;
            told.push(Told::Put(value, expect, written.clone()));
            written
        };
        if let Ok(Written::Done(version) | Written::Conflict(Some(version))) = written {
            known = Some(version);
        }
    }
    told
}

fn check(world: &World, told: &[Told], deletes: bool) {
    let (mut done, mut unknown) = (0, 0);
    for told in told {
        match told {
            Told::Put(value, expect, written) => {
                let applied: Vec<_> = world.puts.iter().filter(|(put, _)| put == value).map(|(_, at)| *at).collect();
                match written {
                    Ok(Written::Done(version)) => {
                        assert!(applied.contains(version), "DURABLE: done, and never written");
                        // What is deleted before it is settled is written again.
                        let once = *expect != Expect::Any && !(deletes && *expect == Expect::Absent);
                        assert!(!once || applied.len() == 1, "written {} times", applied.len());
                    }
                    Err(StoreError::Unknown(_)) => assert!(*expect != Expect::Absent || deletes || applied.len() <= 1),
                    // What deletions leave open, see `write`.
                    Ok(Written::Conflict(_)) if deletes => {}
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

fn run(seed: u64, deletes: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let model = Model(Arc::new(Mutex::new(World {
            state: seed,
            faults: true,
            late_ones: !deletes,
            row: None,
            late: Vec::new(),
            puts: Vec::new(),
            deletions: Vec::new(),
        })));
        let writers: Vec<_> = (0..3).map(|number| tokio::spawn(writer(model.clone(), number, deletes))).collect();
        let mut told = Vec::new();
        for writer in writers {
            told.extend(writer.await.unwrap());
        }
        let mut world = model.world();
        while !world.late.is_empty() {
            world.late();
        }
        check(&world, &told, deletes);
    });
}

#[test]
fn whatever_fails_a_row_is_written_as_its_writers_were_told() {
    for seed in 0..RUNS {
        for deletes in [false, true] {
            let outcome = std::panic::catch_unwind(|| run(seed, deletes));
            assert!(outcome.is_ok(), "the run of seed {seed}, with deletions: {deletes}, failed");
        }
    }
}
