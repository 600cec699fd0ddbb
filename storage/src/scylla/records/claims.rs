//! Claims: who holds what. An owner is their own stamp, so a claim whose outcome is unknown is settled by looking.

use super::super::log::partition::Sight;
use super::cluster::{Holder, RowTables};
use super::write::{Trying, Writer};
use crate::error::{Reason, StoreError, StoreResult};
use crate::records::Claimed;
use crate::stored::row::claim_checksum;

impl Writer<RowTables> {
    pub(super) async fn claim(&self, name: &'static str, value: &[u8], owner: &[u8]) -> StoreResult<Claimed> {
        let checksum = claim_checksum(name, value, owner);
        let mut trying = Trying::begin(self.patience);
        loop {
            let refused = match self.rows.claim(name, value, owner, checksum).await {
                Ok(true) => return Ok(trying.settled(Claimed::Yours, true)),
                Ok(false) => true,
                Err(failure) => trying.failed(failure),
            };
            // A refusal names the holder only on some servers; a look does on all.
            if refused {
                match self.rows.holder(name, value, Sight::Serial).await {
                    Ok(Some(holder)) if holder.owner == owner => return Ok(trying.settled(Claimed::Yours, true)),
                    Ok(Some(holder)) => return Ok(trying.settled(Claimed::Taken(checked(name, value, holder)?), false)),
                    // Given back meanwhile, or not there yet.
                    Ok(None) => {}
                    Err(reason) => trying.doubt(reason),
                }
            }
            trying.pause().await?;
        }
    }

    pub(super) async fn claimant(&self, name: &'static str, value: &[u8]) -> StoreResult<Option<Vec<u8>>> {
        let holder = self.rows.holder(name, value, Sight::Quorum).await.map_err(StoreError::Unavailable)?;
        holder.map(|holder| checked(name, value, holder)).transpose()
    }

    pub(super) async fn release(&self, name: &'static str, value: &[u8], owner: &[u8]) -> StoreResult<()> {
        let mut trying = Trying::begin(self.patience);
        loop {
            match self.rows.release(name, value, owner).await {
                // Applied, or it is not theirs: either way it is not theirs now.
                Ok(()) => {
                    trying.settled((), true);
                    return Ok(());
                }
                Err(failure) => {
                    trying.failed(failure);
                }
            }
            trying.pause().await?;
        }
    }
}

fn checked(name: &str, value: &[u8], holder: Holder) -> StoreResult<Vec<u8>> {
    if claim_checksum(name, value, &holder.owner) == holder.checksum {
        return Ok(holder.owner);
    }
    let what = format_args!("the checksum of a claim of {name} does not match");
    Err(StoreError::Damaged(Reason::new(what)))
}
