//! A row's write to one answer: done, conflict, not written, or unknown.
//!
//! A write whose outcome is unknown looks serially: the row carries its stamp → done. The row is as it was → the same
//! write again, since only one of the two can apply. The row is one version on, by another's stamp → conflict. Anything
//! further (two versions on, or gone; another's first version) may have come after ours or instead of it; that is
//! `Unknown`, and whoever repeats the call learns more (HONEST). [`Expect::Any`] writes again on top of whatever it meets.
//!
//! What deletions leave open, as versions begin anew after them: a new row that was written, and deleted by somebody else
//! while its unknown outcome was being settled, is written again; and where the row was deleted and made anew up to the
//! very version in question, a late try is applied, or one that was applied is called a conflict. All of it takes a
//! deletion in the few seconds in which one write is settled; nothing here deletes what is being written.

use tokio::time::Instant;
use uuid::Uuid;

use super::super::log::base::{Patience, Pauses};
use super::super::log::partition::Sight;
use super::super::metrics;
use super::super::outcome::Failure;
use super::rows::{Change, Condition, FoundRow, RowKey, Rows, Swap};
use crate::error::{Reason, StoreError, StoreResult};
use crate::records::{Expect, FamilyDef, Version, Written};
use crate::stored::row::row_checksum;

/// Writes rows.
pub(super) struct Writer<R> {
    pub(super) rows: R,
    pub(super) patience: Patience,
}

/// What became of a write that is being settled.
enum Look {
    Done,
    /// As it was before: undecided.
    AsBefore,
    /// Another write came first.
    Other(Option<Version>),
    /// Ours or another's: it cannot be told.
    Unclear(Option<Version>),
}

impl<R: Rows> Writer<R> {
    pub(super) async fn put(
        &self,
        family: &'static FamilyDef,
        key: &RowKey,
        value: &[u8],
        expect: Expect,
    ) -> StoreResult<Written> {
        let stamp = Uuid::new_v4();
        let mut base = match expect {
            Expect::Absent => None,
            Expect::Version(version) => Some(version),
            Expect::Any => self.rows.get(key, Sight::Quorum).await?.map(|found| found.row.version),
        };
        let mut trying = Trying::begin(self.patience);
        loop {
            let version = base.unwrap_or_default().saturating_add(1);
            let checksum = row_checksum(family, &key.partition, &key.sort, version, value);
            let change = Change::Put { version, stamp, value: value.to_vec(), checksum };
            let met = match self.rows.swap(key, base.map_or(Condition::Absent, Condition::Version), &change).await {
                Ok(Swap::Done) => return Ok(trying.settled(Written::Done(version), true)),
                Ok(Swap::Refused(found)) if !trying.in_doubt() && found != base => Look::Other(found),
                Ok(Swap::Refused(_)) => self.look(key, base, stamp, &mut trying).await,
                Err(failure) => {
                    if trying.failed(failure) {
                        self.look(key, base, stamp, &mut trying).await
                    } else {
                        Look::AsBefore
                    }
                }
            };
            match met {
                Look::Done => return Ok(trying.settled(Written::Done(version), true)),
                Look::Other(found) if expect != Expect::Any => {
                    return Ok(trying.settled(Written::Conflict(found), false));
                }
                Look::Unclear(_) if expect != Expect::Any => return Err(trying.unknown()),
                Look::Other(found) | Look::Unclear(found) => base = found,
                Look::AsBefore => {}
            }
            trying.pause().await?;
        }
    }

    async fn look(&self, key: &RowKey, base: Option<Version>, stamp: Uuid, trying: &mut Trying) -> Look {
        let found = match self.rows.get(key, Sight::Serial).await {
            Ok(found) => found,
            Err(error) => {
                trying.doubt(Reason::new(error));
                return Look::AsBefore;
            }
        };
        let next = base.unwrap_or_default().saturating_add(1);
        let version = found.as_ref().map(|found| found.row.version);
        match found {
            Some(FoundRow { stamp: found, .. }) if found == stamp => Look::Done,
            _ if version == base => Look::AsBefore,
            // A first version may be one that was made after ours was deleted.
            _ if version == Some(next) && base.is_some() => Look::Other(version),
            _ => Look::Unclear(version),
        }
    }

    pub(super) async fn delete(&self, key: &RowKey, expect: Expect) -> StoreResult<Written> {
        let mut trying = Trying::begin(self.patience);
        let mut tried: Option<Uuid> = None;
        let mut sight = Sight::Quorum;
        loop {
            let found = match self.rows.get(key, sight).await {
                Ok(found) => found,
                Err(_) if trying.in_doubt() => {
                    trying.pause().await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            sight = Sight::Serial;
            let stamp = found.as_ref().map(|found| found.stamp);
            if trying.in_doubt() && stamp != tried {
                // Gone, or made anew: by ours or by another's.
                return Err(trying.unknown());
            }
            let version = found.map(|found| found.row.version);
            let (Some(version), Some(stamp)) = (version, stamp) else { return Ok(Written::Conflict(None)) };
            if !expect.is_met_by(Some(version)) {
                return Ok(Written::Conflict(Some(version)));
            }
            tried = Some(stamp);
            match self.rows.swap(key, Condition::Stamp(stamp), &Change::Delete).await {
                Ok(Swap::Done) => return Ok(trying.settled(Written::Done(version), true)),
                Ok(Swap::Refused(_)) => {}
                Err(failure) => {
                    trying.failed(failure);
                }
            }
            trying.pause().await?;
        }
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

    pub(super) fn doubt(&mut self, reason: Reason) {
        self.doubt.get_or_insert(reason);
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
