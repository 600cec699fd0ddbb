//! A conversation's state: its snapshot, if a usable one is there, and the log's records above it folded in.

use hubbub_protocol::{ConversationId, Payload, Record, Sequence};
use hubbub_storage::error::{Reason, StoreError, StoreResult};
use hubbub_storage::families::snapshots::Snapshot;
use hubbub_storage::log::Range;
use hubbub_storage::records::Expect;

use super::Conversations;
use crate::conversation::{ConversationState, FORM, evolve};

/// Records folded at a time: at 64 KiB each, 16 MiB are held at most.
const FOLD_PAGE: usize = 256;

/// Whoever had to fold this many leaves a snapshot, so that the next one need not: a write for a thousand reads.
const SNAPSHOT_AFTER: u64 = 1_000;

impl Conversations {
    /// The state at the log's head. A conversation that was never opened has the default state.
    ///
    /// # Errors
    ///
    /// As the store's reads; `Damaged` also when the log has a hole (GAPLESS).
    pub async fn load(&self, id: ConversationId) -> StoreResult<ConversationState> {
        let mut state = self.snapshot(id).await?.unwrap_or_default();
        let from = state.head();
        self.catch_up(id, &mut state).await?;
        if state.head().get() - from.get() >= SNAPSHOT_AFTER
            && let Err(error) = self.save_snapshot(id, &state).await
        {
            // A view: without it, the next load folds the same records again.
            tracing::warn!(conversation.id = %id, %error, "a snapshot could not be written");
        }
        Ok(state)
    }

    /// Folds what the log holds above the state's head.
    ///
    /// # Errors
    ///
    /// As [`Conversations::load`].
    pub async fn catch_up(&self, id: ConversationId, state: &mut ConversationState) -> StoreResult<()> {
        loop {
            let records = self.store.log.read(id, Range::After(state.head()), FOLD_PAGE).await?;
            for record in &records {
                fold(state, record)?;
            }
            if records.len() < FOLD_PAGE {
                return Ok(());
            }
        }
    }

    /// Keeps a state, so that loading reads from there on. Only ever a state whose records are committed.
    ///
    /// # Errors
    ///
    /// As the store's writes. Nothing is lost without it.
    pub async fn save_snapshot(&self, id: ConversationId, state: &ConversationState) -> StoreResult<()> {
        let bytes = rmp_serde::to_vec(state).map_err(|error| StoreError::Invalid(Reason::new(error)))?;
        let snapshot = Snapshot { form: FORM, head: state.head(), state: Payload::from(bytes) };
        // An older one may overwrite a newer one: that costs the next reader a few records more.
        self.snapshots.put(&id, &(), &snapshot, Expect::Any).await?;
        Ok(())
    }

    /// The record at a sequence, if there is one.
    ///
    /// # Errors
    ///
    /// As the store's reads.
    pub async fn target(&self, id: ConversationId, sequence: Sequence) -> StoreResult<Option<Record>> {
        let found = self.store.log.read(id, Range::After(sequence.previous()), 1).await?;
        Ok(found.into_iter().find(|record| record.sequence == sequence))
    }

    /// The state that the snapshot holds, if it is of our form and of this log.
    async fn snapshot(&self, id: ConversationId) -> StoreResult<Option<ConversationState>> {
        let Some(row) = self.snapshots.get(&id, &()).await? else { return Ok(None) };
        let snapshot = row.value;
        if snapshot.form != FORM {
            return Ok(None);
        }
        let state: ConversationState = match rmp_serde::from_slice(snapshot.state.as_bytes()) {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(conversation.id = %id, %error, "a snapshot could not be read; the log is folded instead");
                return Ok(None);
            }
        };
        // The records and the log are stored apart: after a restore the log may be shorter than the view of it.
        let of_this_log = state.head() == snapshot.head && self.target(id, snapshot.head).await?.is_some();
        Ok(of_this_log.then_some(state))
    }
}

fn fold(state: &mut ConversationState, record: &Record) -> StoreResult<()> {
    if record.sequence != state.head().next() {
        let found = record.sequence;
        let hole = format_args!("GAPLESS: after record {} of {} came {found}", state.head(), record.conversation_id);
        return Err(StoreError::Damaged(Reason::new(hole)));
    }
    evolve(state, record.sequence, &record.author, &record.body);
    Ok(())
}
