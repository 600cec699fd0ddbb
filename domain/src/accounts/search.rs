//! Finding people by the beginning of their handle.

use futures_util::{StreamExt, TryStreamExt, stream};
use hubbub_protocol::ErrorBody;
use hubbub_storage::families::handles::Handles;
use hubbub_storage::records::{Row, Slice};

use super::{Accounts, MAX_HANDLE_BYTES, PublicProfile, public, validate};
use crate::fields::invalid;
use crate::refusal::never_stored;

/// People in one answer, at most.
pub const MAX_FOUND: usize = 50;

/// Accounts read at once for one answer.
const READS_AT_ONCE: usize = 8;

impl Accounts {
    /// The people whose handles begin so, in the order of their handles. A leading `@` is passed over.
    ///
    /// # Errors
    ///
    /// `validation_failed` for an empty query; the store's refusals.
    pub async fn search(&self, query: &str, limit: usize) -> Result<Vec<PublicProfile>, ErrorBody> {
        let query = query.trim().trim_start_matches('@').to_lowercase();
        let Some(first) = query.chars().next() else {
            return Err(invalid("q", "the query is empty: give the beginning of a handle"));
        };
        if query.len() > MAX_HANDLE_BYTES || !validate::is_handle_text(&query) {
            return Ok(Vec::new());
        }
        let slice = Slice { prefix: query.into_bytes(), after: None, limit: limit.clamp(1, MAX_FOUND) };
        let rows = self.handles.slice(&first.to_string(), slice).await.map_err(|error| never_stored(&error))?;
        let reads: Vec<_> = rows.into_iter().map(|row| self.of_handle(row)).collect();
        let found: Vec<_> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The account behind a row, unless the row is stale: then the handle is another's, or nobody's.
    async fn of_handle(&self, row: Row<Handles>) -> Result<Option<PublicProfile>, ErrorBody> {
        let user = row.value.user_id;
        let account = self.rows.get(&user, &()).await.map_err(|error| never_stored(&error))?;
        Ok(account.filter(|account| account.value.handle == row.sort).map(|account| public(user, &account.value)))
    }
}
