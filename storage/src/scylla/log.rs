//! The conversations' logs over CQL: the handle that takes appends in order and reads.
//!
//! | File | What it knows |
//! | --- | --- |
//! | `buckets` | which bucket a record is in |
//! | `plan` | an append's bytes |
//! | `append` | how an append ends: the outcome logic, where ONCE, GAPLESS and HONEST are kept |
//! | `recall` | how payloads go |
//! | `read` | records, heads and acts over many buckets |
//! | `filter` | which acts an old bucket surely does not hold |
//! | `partition` | what a partition can do: the seam |
//! | `cluster` | the same over CQL |

mod append;
pub(super) mod base;
mod buckets;
pub(super) mod cluster;
#[cfg(test)]
mod faults;
mod filter;
#[cfg(test)]
mod model;
pub(super) mod partition;
mod plan;
mod read;
mod recall;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use hubbub_protocol::{ClientMessageId, ConversationId, Record, Sequence, UserId};
use tokio::time::Instant;

use self::base::{Core, unavailable};
use self::cluster::LogTable;
use self::partition::Sight;
use super::work::{Lane, Work};
use crate::error::{Reason, StoreError, StoreResult};
use crate::log::{Append, Appended, MessageLog, Range};

/// What a record takes besides its payload, about.
const RECORD_BYTES: usize = 512;
/// Bytes of one append: half of what servers take as one write by default (16 MiB).
const MAX_APPEND_BYTES: usize = 8 * 1024 * 1024;

/// The log's handle.
pub(super) struct CqlLog {
    core: Arc<Core<LogTable>>,
    work: Arc<Work>,
}

impl CqlLog {
    pub(super) fn new(core: Core<LogTable>, work: Arc<Work>) -> Self {
        Self { core: Arc::new(core), work }
    }
}

impl MessageLog for CqlLog {
    fn append(&self, append: Append) -> BoxFuture<'static, StoreResult<Appended>> {
        let bytes = append.records.iter().map(|record| RECORD_BYTES + record.body.payload_bytes()).sum();
        if bytes > MAX_APPEND_BYTES {
            let refused = StoreError::Invalid(Reason::new("an append of too many bytes"));
            return future::ready(Err(refused)).boxed();
        }
        let core = Arc::clone(&self.core);
        let handed_over = Instant::now();
        self.work.write(Lane::Conversation(append.conversation_id), bytes, move |answer| async move {
            let (appended, after) = core.append(append, handed_over).await;
            // Whoever asked may be gone; what is left is done all the same.
            drop(answer.send(appended));
            core.follow_up(after).await;
        })
    }

    fn read(
        &self,
        conversation_id: ConversationId,
        range: Range,
        limit: usize,
    ) -> BoxFuture<'static, StoreResult<Vec<Record>>> {
        let core = Arc::clone(&self.core);
        self.work.read(move |answer| async move {
            let (records, after) = match core.read(conversation_id, range, limit).await {
                Ok((records, after)) => (Ok(records), after),
                Err(error) => (Err(error), Vec::new()),
            };
            drop(answer.send(records));
            core.follow_up(after).await;
        })
    }

    fn head(&self, conversation_id: ConversationId) -> BoxFuture<'static, StoreResult<Sequence>> {
        let core = Arc::clone(&self.core);
        self.work.read(move |answer| async move {
            drop(answer.send(core.find_head(conversation_id, Sight::Quorum).await.map_err(unavailable)));
        })
    }

    fn lookup(
        &self,
        conversation_id: ConversationId,
        sender_id: UserId,
        client_message_id: ClientMessageId,
    ) -> BoxFuture<'static, StoreResult<Option<Sequence>>> {
        let core = Arc::clone(&self.core);
        self.work.read(move |answer| async move {
            let found = core.lookup(conversation_id, sender_id, client_message_id).await;
            drop(answer.send(found.map_err(unavailable)));
        })
    }
}
