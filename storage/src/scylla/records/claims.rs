//! Claims: who holds what. Each is a row whose value is its owner, and made and given back as rows are: see
//! [`write`](super::write) for why no late try can undo what came after it.
//!
//! Whoever claims what they hold already makes it anew, under a new stamp: a release of theirs whose outcome was unknown
//! can then no longer come after it.

use uuid::Uuid;

use super::super::log::partition::Sight;
use super::rows::{Found, RowKey, Rows, Swap};
use super::write::{Trying, Writer, mark_on, row_on};
use crate::error::StoreResult;
use crate::records::{Claimed, FamilyDef};

/// The claims' table, a family's in form.
pub(in crate::scylla) const CLAIMS: FamilyDef = FamilyDef { name: "claims" };

impl<R: Rows> Writer<R> {
    pub(super) async fn claim(&self, name: &'static str, value: &[u8], owner: &[u8]) -> StoreResult<Claimed> {
        let (key, mut stamp) = (key(name, value), Uuid::new_v4());
        let mut trying = Trying::begin(self.patience);
        let mut base: Option<Found> = None;
        loop {
            let (change, _) = row_on(base.as_ref(), &CLAIMS, &key, owner, stamp);
            let look = match self.rows.swap(&key, base.as_ref().map(|base| base.stamp), &change).await {
                Ok(Swap::Done) => return Ok(trying.settled(Claimed::Yours, true)),
                Ok(Swap::Refused) => true,
                Err(failure) => trying.failed(failure),
            };
            if look {
                match self.rows.get(&key, Sight::Serial).await {
                    Ok(Some(found)) if found.stamp == stamp => return Ok(trying.settled(Claimed::Yours, true)),
                    Ok(found) => match holder(&key, found.clone())? {
                        Some(other) if other != owner => return Ok(trying.settled(Claimed::Taken(other), false)),
                        // Nothing new stands there: the same again.
                        _ if found.as_ref().map(|found| found.stamp) == base.as_ref().map(|base| base.stamp) => {}
                        _ => (base, stamp) = (found, Uuid::new_v4()),
                    },
                    Err(_) if trying.in_doubt() => {}
                    Err(error) => return Err(error),
                }
            }
            trying.pause().await?;
        }
    }

    pub(super) async fn claimant(&self, name: &'static str, value: &[u8]) -> StoreResult<Option<Vec<u8>>> {
        let key = key(name, value);
        let found = self.rows.get(&key, Sight::Quorum).await?;
        holder(&key, found)
    }

    pub(super) async fn release(&self, name: &'static str, value: &[u8], owner: &[u8]) -> StoreResult<()> {
        let (key, stamp) = (key(name, value), Uuid::new_v4());
        let mut trying = Trying::begin(self.patience);
        let mut given_back = None;
        loop {
            match self.rows.get(&key, Sight::Serial).await {
                Ok(found) => {
                    let theirs = holder(&key, found.clone())?.is_some_and(|holder| holder == owner);
                    let Some(found) = found.filter(|_| theirs) else { break };
                    // Claimed anew meanwhile: that comes after this release.
                    if *given_back.get_or_insert(found.stamp) != found.stamp {
                        break;
                    }
                    match self.rows.swap(&key, Some(found.stamp), &mark_on(&found, stamp)).await {
                        // Refused: it was given back or claimed anew meanwhile.
                        Ok(Swap::Done | Swap::Refused) => break,
                        Err(failure) => {
                            trying.failed(failure);
                        }
                    }
                }
                Err(_) if trying.in_doubt() => {}
                Err(error) => return Err(error),
            }
            trying.pause().await?;
        }
        trying.settled((), true);
        Ok(())
    }
}

/// Names have no zero in them, so that no two claims have the same key.
fn key(name: &str, value: &[u8]) -> RowKey {
    let partition = [name.as_bytes(), &[0], value].concat();
    RowKey { family: CLAIMS.name, partition, sort: Vec::new() }
}

fn holder(key: &RowKey, found: Option<Found>) -> StoreResult<Option<Vec<u8>>> {
    let row = found.map(|found| found.checked(&CLAIMS, &key.partition)).transpose()?.flatten();
    Ok(row.map(|row| row.value))
}
