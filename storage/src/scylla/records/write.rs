//! A write to one answer: done, conflict, not written, or unknown.
//!
//! Every write stands on the stamp of what it found, and leaves its own: no two stamps are alike, so that of all tries of
//! one write at most one applies on the same thing found, and once anything was written there none ever will, however
//! late it comes (HONEST). For that a deletion leaves a mark with a stamp too, and takes the row away only in what is
//! read; where nothing stands (never did, or the mark has ended, after a day) a new row expects that no stamp is there.
//! So the one thing that must not be later than a day is a new row's try, where the row was deleted since.
//!
//! A write whose outcome is unknown looks serially. Its stamp is there → done. What it found still stands → the same write
//! again. One turn on, by another's stamp → it was not written and never will be: conflict, or on top of that, as was
//! expected. Further on, others may have come after it or instead of it: `Unknown`, and whoever repeats the call learns
//! more; [`Expect::Any`] puts once more on top of whatever it meets.

use tokio::time::Instant;
use uuid::Uuid;

use super::super::log::base::{Patience, Pauses};
use super::super::log::partition::Sight;
use super::super::metrics;
use super::super::outcome::Failure;
use super::rows::{Change, Found, Put, RowKey, Rows, Swap};
use crate::error::{Reason, StoreError, StoreResult};
use crate::records::{Expect, FamilyDef, Version, Written};
use crate::stored::row::row_checksum;

/// Writes rows.
pub(super) struct Writer<R> {
    pub(super) rows: R,
    pub(super) patience: Patience,
}

/// What is to be done with a row.
#[derive(Clone, Copy)]
enum Deed<'a> {
    Put(&'static FamilyDef, &'a [u8]),
    Delete,
}

/// What became of a write whose try was refused, or is unknown.
enum Look {
    Done,
    /// What it found still stands.
    AsBefore,
    /// It was not written and never will be: this stands there.
    Other(Option<Found>),
    /// Written or not, this stands there now.
    Unclear(Option<Found>),
}

/// A row on top of what was found.
pub(super) fn row_on(
    on: Option<&Found>,
    family: &FamilyDef,
    key: &RowKey,
    value: &[u8],
    stamp: Uuid,
) -> (Change, Version) {
    let version = on.and_then(Found::version).unwrap_or_default().saturating_add(1);
    let checksum = row_checksum(family, &key.partition, &key.sort, version, value);
    let put = Some(Put { version, value: value.to_vec(), checksum });
    (Change { stamp, turn: turn(on).saturating_add(1), put }, version)
}

/// A mark on top of what was found.
pub(super) fn mark_on(on: &Found, stamp: Uuid) -> Change {
    Change { stamp, turn: on.turn.saturating_add(1), put: None }
}

fn turn(found: Option<&Found>) -> u64 {
    found.map_or(0, |found| found.turn)
}

impl Deed<'_> {
    /// The change on top of what was found, and the version to tell; `Err`: what was found is not what was expected.
    fn on(
        self,
        found: Option<&Found>,
        key: &RowKey,
        expect: Expect,
        stamp: Uuid,
    ) -> Result<(Change, Version), Written> {
        let version = found.and_then(Found::version);
        if !expect.is_met_by(version) {
            return Err(Written::Conflict(version));
        }
        match (self, found, version) {
            (Self::Put(family, value), _, _) => Ok(row_on(found, family, key, value, stamp)),
            (Self::Delete, Some(found), Some(version)) => Ok((mark_on(found, stamp), version)),
            (Self::Delete, _, _) => Err(Written::Conflict(None)),
        }
    }
}

impl<R: Rows> Writer<R> {
    pub(super) async fn put(
        &self,
        family: &'static FamilyDef,
        key: &RowKey,
        value: &[u8],
        expect: Expect,
    ) -> StoreResult<Written> {
        self.write(key, Deed::Put(family, value), expect).await
    }

    pub(super) async fn delete(&self, key: &RowKey, expect: Expect) -> StoreResult<Written> {
        self.write(key, Deed::Delete, expect).await
    }

    async fn write(&self, key: &RowKey, deed: Deed<'_>, expect: Expect) -> StoreResult<Written> {
        let mut stamp = Uuid::new_v4();
        let mut trying = Trying::begin(self.patience);
        let mut base = self.first(key, deed, expect, stamp).await?;
        loop {
            let (change, version) = match deed.on(base.as_ref(), key, expect, stamp) {
                Ok(change) => change,
                Err(conflict) => return Ok(trying.settled(conflict, false)),
            };
            let look = match self.rows.swap(key, base.as_ref().map(|base| base.stamp), &change).await {
                Ok(Swap::Done) => Look::Done,
                Ok(Swap::Refused) => self.look(key, base.as_ref(), stamp, &trying).await?,
                Err(failure) => {
                    if trying.failed(failure) {
                        self.look(key, base.as_ref(), stamp, &trying).await?
                    } else {
                        Look::AsBefore
                    }
                }
            };
            match look {
                Look::Done => return Ok(trying.settled(Written::Done(version), true)),
                Look::Unclear(_) if expect != Expect::Any || matches!(deed, Deed::Delete) => {
                    return Err(trying.unknown());
                }
                Look::Other(found) | Look::Unclear(found) => {
                    if let Err(conflict) = deed.on(found.as_ref(), key, expect, stamp) {
                        return Ok(trying.settled(conflict, false));
                    }
                    // Of two times that it is written, each has its own.
                    (base, stamp) = (found, Uuid::new_v4());
                }
                Look::AsBefore => {}
            }
            trying.pause().await?;
        }
    }

    /// What the first try stands on. A row that is to be new is mostly new: that is tried unseen. What would be a conflict
    /// is looked at twice, as a write before this one may just be coming to light.
    async fn first(&self, key: &RowKey, deed: Deed<'_>, expect: Expect, stamp: Uuid) -> StoreResult<Option<Found>> {
        if expect == Expect::Absent && matches!(deed, Deed::Put(..)) {
            return Ok(None);
        }
        let found = self.rows.get(key, Sight::Quorum).await?;
        if deed.on(found.as_ref(), key, expect, stamp).is_ok() {
            return Ok(found);
        }
        self.rows.get(key, Sight::Serial).await
    }

    async fn look(&self, key: &RowKey, base: Option<&Found>, stamp: Uuid, trying: &Trying) -> StoreResult<Look> {
        let found = match self.rows.get(key, Sight::Serial).await {
            Ok(found) => found,
            Err(_) if trying.in_doubt() => return Ok(Look::AsBefore),
            Err(error) => return Err(error),
        };
        let there = found.as_ref().map(|found| found.stamp);
        Ok(if there == Some(stamp) {
            Look::Done
        } else if there == base.map(|base| base.stamp) {
            Look::AsBefore
        } else if !trying.in_doubt() || turn(found.as_ref()) == turn(base).saturating_add(1) {
            Look::Other(found)
        } else {
            Look::Unclear(found)
        })
    }
}

/// How long a write has been tried, and whether any try may have been carried out.
pub(super) struct Trying {
    refuse: Instant,
    settle: Instant,
    pauses: Pauses,
    doubt: Option<Reason>,
    last: Option<Reason>,
}

impl Trying {
    pub(super) fn begin(patience: Patience) -> Self {
        let now = Instant::now();
        let (refuse, settle) = (now + patience.refuse, now + patience.settle);
        Self { refuse, settle, pauses: Pauses::default(), doubt: None, last: None }
    }

    pub(super) fn in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// A try failed. Whether its outcome is unknown.
    pub(super) fn failed(&mut self, failure: Failure) -> bool {
        match failure {
            Failure::NotDone(reason) => {
                self.last = Some(reason);
                false
            }
            Failure::Unknown(reason) => {
                metrics::doubted();
                self.doubt = Some(reason);
                true
            }
        }
    }

    /// Waits for the next try; an error when the time is up.
    pub(super) async fn pause(&mut self) -> StoreResult<()> {
        let until = if self.in_doubt() { self.settle } else { self.refuse };
        if self.pauses.wait(until).await {
            return Ok(());
        }
        if self.in_doubt() {
            return Err(self.unknown());
        }
        let reason = self.last.take().unwrap_or_else(|| Reason::new("others were always faster"));
        Err(StoreError::Unavailable(reason))
    }

    pub(super) fn settled<T>(&self, answer: T, done: bool) -> T {
        if self.in_doubt() {
            metrics::settled(done);
        }
        answer
    }

    pub(super) fn unknown(&mut self) -> StoreError {
        metrics::given_up();
        StoreError::Unknown(self.doubt.take().unwrap_or_else(|| Reason::new("it cannot be told whose write it was")))
    }
}
