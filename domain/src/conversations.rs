//! The rules of [`crate::conversation`] over a store: load, decide, append; and what members read.
//!
//! Run by the hub's shards (which keep states of busy conversations and use the parts) and by a process without a hub
//! (which uses [`Conversations::submit`], the model of what a shard does). Holds no state of its own: every answer comes
//! from the store, so two of these on two nodes are as good as one.
//! Keeps ONCE and HONEST (a retry gets the first answer, a refusal is never of something stored) and MEMBERS-ONLY (who is
//! no member in the state reads nothing, and nobody reads below the record by which they joined).
//! Leaves fan-out to the hub.

mod candidates;
mod history;
mod load;
mod marks;
mod submit;
mod summary;

use std::sync::Arc;

use hubbub_protocol::limits::MAX_CONVERSATIONS_PER_USER;
use hubbub_protocol::{ConversationId, ErrorBody, UserId};
use hubbub_storage::clock::Clock;
use hubbub_storage::families::{marks::Marks, memberships::Memberships, snapshots::Snapshots};
use hubbub_storage::records::Table;
use hubbub_storage::store::Store;

use crate::conversation::{ConversationState, Membership, not_found};
use crate::refusal::never_stored;

pub use history::{History, HistoryQuery};
pub use marks::MarkOutcome;
pub use submit::Stored;
pub use summary::Summary;

/// Conversations over a store. Cheap to clone.
#[derive(Clone)]
pub struct Conversations {
    store: Store,
    clock: Arc<dyn Clock>,
    snapshots: Table<Snapshots>,
    memberships: Table<Memberships>,
    marks: Table<Marks>,
    max_per_user: usize,
}

impl Conversations {
    /// Those of this store.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            snapshots: Table::new(Arc::clone(&store.records)),
            memberships: Table::new(Arc::clone(&store.records)),
            marks: Table::new(Arc::clone(&store.records)),
            store,
            clock,
            max_per_user: MAX_CONVERSATIONS_PER_USER,
        }
    }

    /// The same, where one person can be in so many; [`MAX_CONVERSATIONS_PER_USER`] if not said.
    #[must_use]
    pub const fn with_max_per_user(mut self, max_per_user: usize) -> Self {
        self.max_per_user = max_per_user;
        self
    }

    /// The state, and what the reader is in it. Strangers and ex-members are told what a missing conversation is told.
    async fn load_for(&self, reader: UserId, id: ConversationId) -> Result<(ConversationState, Membership), ErrorBody> {
        let state = self.load(id).await.map_err(|error| never_stored(&error))?;
        let membership = *state.member(reader).ok_or_else(not_found)?;
        Ok((state, membership))
    }
}
