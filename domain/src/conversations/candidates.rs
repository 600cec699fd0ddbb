//! The conversations a person may be in: written before they join, cleaned after they leave, so never too few.
//!
//! A row may be cleaned only if no join in flight relies on it. Joins write their row anew with the time, so a row written
//! well before somebody's removal is not one of those; a younger one is left, and cleaned by a later reading of the list.
//!
//! BOUNDED: a list that is full takes nobody further in. Its rows are what is counted, as they are what a login reads.

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, Timestamp, UserId};
use hubbub_storage::error::StoreResult;
use hubbub_storage::families::memberships::{Candidate, Memberships};
use hubbub_storage::log::NewRecord;
use hubbub_storage::records::{Expect, Row, Version};

use super::Conversations;
use crate::conversation::audience;
use crate::refusal::never_stored;

/// Longer than an append can be under way, and than the clocks of two nodes are apart.
const JOIN_IN_FLIGHT_MS: i64 = 60_000;

/// People looked after at once: enough rows for one group commit, few enough for the store's queue.
const PEOPLE_AT_ONCE: usize = 32;

/// Rows read at once.
const LIST_PAGE: usize = 500;

impl Conversations {
    /// Puts the conversation on the lists of those whom these records add. To be called before they are appended.
    ///
    /// # Errors
    ///
    /// `limit_reached` if one of them is in as many conversations as one can be, and not in this one; `params.user_id`
    /// says who. Else the refusal to answer. Nothing is appended then, so nothing is stored: but an earlier try of the same
    /// act may have been, so ask [`Conversations::settled`] before a refusal is told.
    pub async fn before_append(&self, id: ConversationId, records: &[NewRecord]) -> Result<(), ErrorBody> {
        let joins = records.iter().flat_map(|record| {
            audience(&record.body).joins.into_iter().map(|user| (user, Candidate { since: record.created_at }))
        });
        let joins: Vec<_> = joins.collect();
        // Most appends add nobody, and then nothing is awaited.
        if joins.is_empty() {
            return Ok(());
        }
        // All are asked before one is written, so that a refusal leaves no row behind.
        let checks: Vec<_> = joins.iter().map(|(user, _)| self.check_room(*user, id)).collect();
        all_of(stream::iter(checks).buffer_unordered(PEOPLE_AT_ONCE)).await?;
        // Never a version expected: a row that stands is written anew, which tells cleaners that somebody relies on it.
        let writes = joins.iter().map(|(user, candidate)| async move {
            let written = self.memberships.put(user, &id, candidate, Expect::Any).await;
            written.map(drop).map_err(|error| never_stored(&error))
        });
        let writes: Vec<_> = writes.collect();
        all_of(stream::iter(writes).buffer_unordered(PEOPLE_AT_ONCE)).await
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

    /// Every conversation that the person may be in. Ask the state of each.
    ///
    /// At most as many as one can be in, and a page more: those who join several at the same moment may pass the limit by a
    /// few, and what they joined must not be missing.
    ///
    /// # Errors
    ///
    /// As the store's reads.
    pub async fn candidates(&self, user: UserId) -> StoreResult<Vec<ConversationId>> {
        let mut found: Vec<ConversationId> = Vec::new();
        loop {
            let page = self.memberships.list(&user, found.last(), LIST_PAGE).await?;
            found.extend(page.iter().map(|row| row.sort));
            if page.len() < LIST_PAGE || found.len() > self.max_per_user {
                return Ok(found);
            }
        }
    }

    /// The conversations that were put on the person's list, or put there anew, since a moment.
    ///
    /// # Errors
    ///
    /// As the store's reads.
    pub async fn candidates_since(&self, user: UserId, since: Timestamp) -> StoreResult<Vec<ConversationId>> {
        let (mut found, mut after): (_, Option<ConversationId>) = (Vec::new(), None);
        loop {
            let page = self.memberships.list(&user, after.as_ref(), LIST_PAGE).await?;
            after = page.last().map(|row| row.sort);
            found.extend(page.iter().filter(|row| row.value.since >= since).map(|row| row.sort));
            if page.len() < LIST_PAGE || found.len() > self.max_per_user {
                return Ok(found);
            }
        }
    }

    /// Whether the person can be in this conversation besides their others: one page for whom has few.
    async fn check_room(&self, user: UserId, id: ConversationId) -> Result<(), ErrorBody> {
        let held = self.candidates(user).await.map_err(|error| never_stored(&error))?;
        let max = self.max_per_user;
        if held.len() < max || held.contains(&id) {
            return Ok(());
        }
        let message =
            format!("user {user} is in {max} conversations, and nobody can be in more: they have to leave one");
        Err(ErrorBody::new(ErrorCode::LimitReached, message)
            .with("limit", "max_conversations_per_user")
            .with("max", max)
            .with("user_id", user.to_string()))
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

async fn all_of(mut done: impl Stream<Item = Result<(), ErrorBody>> + Unpin) -> Result<(), ErrorBody> {
    while done.try_next().await?.is_some() {}
    Ok(())
}
