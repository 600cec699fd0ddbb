//! The conversations a person may be in: written before they join, cleaned after they leave, so never too few.
//!
//! A row may be cleaned only if no join in flight relies on it. Joins write their row anew with the time, so a row written
//! well before somebody's removal is not one of those; a younger one is left, and cleaned by a later reading of the list.

use futures_util::{StreamExt, TryStreamExt, stream};
use hubbub_protocol::limits::MAX_CONVERSATIONS_PER_USER;
use hubbub_protocol::{ConversationId, ErrorBody, Timestamp, UserId};
use hubbub_storage::error::StoreResult;
use hubbub_storage::families::memberships::{Candidate, Memberships};
use hubbub_storage::log::NewRecord;
use hubbub_storage::records::{Expect, Row, Version};

use super::Conversations;
use crate::conversation::audience;
use crate::refusal::never_stored;

/// Longer than an append can be under way, and than the clocks of two nodes are apart.
const JOIN_IN_FLIGHT_MS: i64 = 60_000;

/// Rows written at once: enough for one group commit, few enough for the store's queue.
const ROWS_AT_ONCE: usize = 32;

/// Rows read at once.
const LIST_PAGE: usize = 500;

impl Conversations {
    /// Puts the conversation on the lists of those whom these records add. To be called before they are appended.
    ///
    /// # Errors
    ///
    /// The refusal to answer: nothing is appended then, so nothing is stored.
    pub async fn before_append(&self, id: ConversationId, records: &[NewRecord]) -> Result<(), ErrorBody> {
        let joins = records.iter().flat_map(|record| {
            audience(&record.body).joins.into_iter().map(|user| (user, Candidate { since: record.created_at }))
        });
        // Never a version expected: a row that stands is written anew, which tells cleaners that somebody relies on it.
        let writes = joins
            .map(|(user, candidate)| async move { self.memberships.put(&user, &id, &candidate, Expect::Any).await });
        // Collected first, as most appends add nobody and then nothing is awaited.
        let writes: Vec<_> = writes.collect();
        let mut written = stream::iter(writes).buffer_unordered(ROWS_AT_ONCE);
        while written.try_next().await.map_err(|error| never_stored(&error))?.is_some() {}
        Ok(())
    }

    /// Takes the conversation off the lists of those whom these records removed. To be called after the commit.
    ///
    /// # Errors
    ///
    /// As the store's writes. A list may then be too long, which its readers bear.
    pub async fn after_commit(&self, id: ConversationId, records: &[NewRecord]) -> StoreResult<()> {
        for record in records {
            for user in audience(&record.body).leaves {
                if let Some(row) = self.memberships.get(&user, &id).await? {
                    self.clean_candidate(user, &row, record.created_at).await?;
                }
            }
        }
        Ok(())
    }

    /// Every conversation that the person may be in, at most [`MAX_CONVERSATIONS_PER_USER`]. Ask the state of each.
    ///
    /// # Errors
    ///
    /// As the store's reads.
    pub async fn candidates(&self, user: UserId) -> StoreResult<Vec<ConversationId>> {
        let mut found: Vec<ConversationId> = Vec::new();
        loop {
            let limit = LIST_PAGE.min(MAX_CONVERSATIONS_PER_USER - found.len());
            let page = self.memberships.list(&user, found.last(), limit).await?;
            found.extend(page.iter().map(|row| row.sort));
            if page.len() < limit || found.len() >= MAX_CONVERSATIONS_PER_USER {
                return Ok(found);
            }
        }
    }

    /// Deletes a row if it is of before `left`, the moment at which the person was no member for sure.
    pub(super) async fn clean_candidate(
        &self,
        user: UserId,
        row: &Row<Memberships>,
        left: Timestamp,
    ) -> StoreResult<()> {
        if row.value.since.plus_ms(JOIN_IN_FLIGHT_MS) >= left {
            return Ok(());
        }
        // Written anew in between: then somebody relies on it, and it stays.
        let version: Version = row.version;
        self.memberships.delete(&user, &row.sort, Expect::Version(version)).await?;
        Ok(())
    }
}
