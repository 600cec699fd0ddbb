//! A conversation at a glance, and a person's list of them.

use futures_util::{StreamExt, TryStreamExt, stream};
use hubbub_protocol::limits::{DEFAULT_PAGE, MAX_PAGE};
use hubbub_protocol::member::{ConversationKind, Member, Role};
use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, Record, Sequence, UserId};
use hubbub_storage::families::memberships::Memberships;
use hubbub_storage::records::Row;

use super::Conversations;
use crate::conversation::{ConversationState, Membership};
use crate::refusal::never_stored;

/// Conversations looked at at once for one list.
const SUMMARIES_AT_ONCE: usize = 8;

/// A conversation as one of its members sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its id.
    pub id: ConversationId,
    /// Direct or group.
    pub kind: ConversationKind,
    /// The group's name.
    pub name: String,
    /// The group's description.
    pub description: String,
    /// The sequence of its last record.
    pub head: Sequence,
    /// The reader's rank.
    pub role: Role,
    /// The record by which the reader joined: they read from it on.
    pub joined: Sequence,
    /// How many members it has.
    pub member_count: usize,
    /// The other one of a direct conversation.
    pub peer: Option<UserId>,
    /// How far the reader has read.
    pub read_seq: Sequence,
    /// The last record.
    pub last: Option<Record>,
}

impl Conversations {
    /// One conversation.
    ///
    /// # Errors
    ///
    /// `not_found` for who is no member.
    pub async fn summary(&self, reader: UserId, id: ConversationId) -> Result<Summary, ErrorBody> {
        let (state, membership) = self.load_for(reader, id).await?;
        self.summarise(reader, id, &state, membership).await
    }

    /// A page of the reader's conversations in the order of their ids, and where the next page begins if there is one.
    /// A page may hold fewer than `limit` and still have a next one: candidates that the state denies are passed over.
    ///
    /// # Errors
    ///
    /// As the store's reads.
    pub async fn list(
        &self,
        reader: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<(Vec<Summary>, Option<ConversationId>), ErrorBody> {
        let limit = if limit == 0 { DEFAULT_PAGE } else { limit.min(MAX_PAGE) };
        let mut rows = self.memberships.list(&reader, after.as_ref(), limit + 1).await.map_err(|e| never_stored(&e))?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| row.sort);
        let looks: Vec<_> = rows.into_iter().map(|row| self.summarise_candidate(reader, row)).collect();
        let found: Vec<_> = stream::iter(looks).buffered(SUMMARIES_AT_ONCE).try_collect().await?;
        Ok((found.into_iter().flatten().collect(), next))
    }

    /// Every member with their rank, in the order in which they joined.
    ///
    /// # Errors
    ///
    /// `not_found` for who is no member.
    pub async fn members(&self, reader: UserId, id: ConversationId) -> Result<Vec<Member>, ErrorBody> {
        let (state, _) = self.load_for(reader, id).await?;
        let mut members: Vec<_> = state.members().map(|(user_id, held)| (held.joined, user_id, held.role)).collect();
        members.sort_unstable_by_key(|(joined, user_id, _)| (*joined, *user_id));
        Ok(members.into_iter().map(|(_, user_id, role)| Member { user_id, role }).collect())
    }

    /// The summary, unless the state denies that the reader is a member: then the row is stale, and cleaned.
    async fn summarise_candidate(&self, reader: UserId, row: Row<Memberships>) -> Result<Option<Summary>, ErrorBody> {
        let now = self.clock.now();
        match self.load_for(reader, row.sort).await {
            Ok((state, membership)) => Ok(Some(self.summarise(reader, row.sort, &state, membership).await?)),
            Err(error) if error.code == ErrorCode::NotFound => {
                if let Err(error) = self.clean_candidate(reader, &row, now).await {
                    tracing::debug!(conversation.id = %row.sort, %error, "a stale row stays on a list");
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn summarise(
        &self,
        reader: UserId,
        id: ConversationId,
        state: &ConversationState,
        membership: Membership,
    ) -> Result<Summary, ErrorBody> {
        let last = self.target(id, state.head()).await.map_err(|error| never_stored(&error))?;
        let kind = state.kind().unwrap_or(ConversationKind::Group);
        let peer = (kind == ConversationKind::Direct).then(|| state.members().map(|(user, _)| user));
        Ok(Summary {
            id,
            kind,
            name: state.name().to_owned(),
            description: state.description().to_owned(),
            head: state.head(),
            role: membership.role,
            joined: membership.joined,
            member_count: state.member_count(),
            peer: peer.and_then(|mut members| members.find(|user| *user != reader)),
            read_seq: self.read_mark(id, reader).await?,
            last,
        })
    }
}
