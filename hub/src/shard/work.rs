//! The work that a home hands out, as futures: every one ends in a [`Done`].
//!
//! Polled by the shard's task among its other inputs, never awaited inline. Leaves deciding to the core.

use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use hubbub_domain::conversations::Conversations;
use hubbub_protocol::{ConversationId, Record, Sequence};
use hubbub_storage::error::{StoreError, StoreResult};
use hubbub_storage::log::{Append, Appended, MAX_READ_RECORDS, Range};
use hubbub_storage::store::Store;

use super::home::{AppendFailure, Done, HomeWork, Loaded};
use crate::cluster::Cluster;
use crate::metrics;

/// What the work needs.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) store: Store,
    pub(crate) conversations: Conversations,
    pub(crate) cluster: Arc<Cluster>,
}

impl Services {
    /// The future of a work.
    pub(crate) fn start(&self, work: HomeWork) -> LocalBoxFuture<'static, Done> {
        if let HomeWork::Append { append, roster_changes: false } = work {
            return self.append(append);
        }
        let this = self.clone();
        match work {
            HomeWork::Load { conversation, since } => Box::pin(async move {
                let result = this.load(conversation, since).await;
                Done::Loaded { conversation, result }
            }),
            HomeWork::ReadTarget { conversation, target } => Box::pin(async move {
                let result = this.conversations.target(conversation, target).await;
                Done::TargetRead { conversation, result }
            }),
            HomeWork::Append { append, .. } => Box::pin(async move { this.append_with_roster(append).await }),
            HomeWork::Settle { conversation, act, otherwise, reply } => Box::pin(async move {
                let result = match this.conversations.settled(conversation, &act).await {
                    Ok(Some(stored)) => Ok(stored),
                    Ok(None) => *otherwise,
                    Err(error) => Err(error),
                };
                Done::Answered { reply, result }
            }),
            HomeWork::Repeat { conversation, act, first, reply } => Box::pin(async move {
                let result = this.conversations.repeated(conversation, &act, first).await;
                Done::Answered { reply, result }
            }),
            HomeWork::Mark { conversation, user, seq, reply } => Box::pin(async move {
                let result = this.conversations.mark_read(conversation, user, seq).await;
                Done::Marked { conversation, user, reply, result }
            }),
            HomeWork::Watch { conversation } => Box::pin(async move {
                this.cluster.watch(conversation).await;
                Done::Watched { conversation }
            }),
            HomeWork::CatchUp { conversation, after } => Box::pin(async move {
                let result = this.store.log.read(conversation, Range::After(after), MAX_READ_RECORDS).await;
                Done::CaughtUp { conversation, result }
            }),
            HomeWork::Forward { conversation, home, acts } => Box::pin(async move {
                let results = this.cluster.forward(home, conversation, acts).await;
                Done::Forwarded { conversation, results }
            }),
            HomeWork::Snapshot { conversation, state } => Box::pin(async move {
                if let Err(error) = this.conversations.save_snapshot(conversation, &state).await {
                    // A missing snapshot costs time at the next load and nothing else.
                    tracing::warn!(conversation.id = %conversation, %error, "a snapshot was not saved");
                }
                Done::Nothing
            }),
        }
    }

    fn append(&self, append: Append) -> LocalBoxFuture<'static, Done> {
        let (conversation, records, begun) = (append.conversation_id, append.records.len(), Instant::now());
        let appended = self.store.log.append(append).map(move |result| {
            if result.is_ok() {
                metrics::append(begun.elapsed().as_secs_f64(), records);
            }
            Done::Appended { conversation, result: result.map_err(AppendFailure::Store) }
        });
        appended.boxed_local()
    }

    /// Lists of conversations are written before the log and thinned out after it, so that they never lack one.
    async fn append_with_roster(&self, append: Append) -> Done {
        let (conversation, roster) = (append.conversation_id, append.records.clone());
        if let Err(refusal) = self.conversations.before_append(conversation, &roster).await {
            return Done::Appended { conversation, result: Err(AppendFailure::Refused(refusal)) };
        }
        let done = self.append(append).await;
        let committed = matches!(done, Done::Appended { result: Ok(Appended::Committed { .. }), .. });
        if committed && let Err(error) = self.conversations.after_commit(conversation, &roster).await {
            tracing::warn!(conversation.id = %conversation, %error, "a list of conversations keeps a leaver's row");
        }
        done
    }

    async fn load(&self, conversation: ConversationId, since: Option<Sequence>) -> StoreResult<Loaded> {
        let state = self.conversations.load(conversation).await?;
        let Some(since) = since.filter(|since| *since < state.head()) else {
            return Ok(Loaded { state: Some(Box::new(state)), missed: Vec::new() });
        };
        let missed = self.read_above(conversation, since, state.head(), MAX_READ_RECORDS).await?;
        let whole = missed.last().is_some_and(|last| last.sequence == state.head());
        Ok(Loaded { state: whole.then(|| Box::new(state)), missed })
    }

    /// Records above `after`, no higher than `head`: at least one, at most `limit`.
    pub(crate) async fn read_above(
        &self,
        conversation: ConversationId,
        after: Sequence,
        head: Sequence,
        limit: usize,
    ) -> StoreResult<Vec<Record>> {
        let mut page = self.store.log.read(conversation, Range::After(after), limit).await?;
        page.retain(|record| record.sequence <= head);
        let whole = page.first().is_some_and(|first| first.sequence == after.next());
        if whole {
            Ok(page)
        } else {
            let reason = format_args!("GAPLESS: nothing right after {after} of {conversation}, whose head is {head}");
            Err(StoreError::Damaged(hubbub_storage::error::Reason::new(reason)))
        }
    }
}
