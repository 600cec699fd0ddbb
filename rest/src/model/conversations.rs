//! Bodies of `/conversations`.

use hubbub_domain::conversations::Summary;
use hubbub_protocol::frame::server::Event;
use hubbub_protocol::member::{ConversationKind, Role};
use hubbub_protocol::{ConversationId, Sequence, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::openapi::words;

/// A conversation as one of its members sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Conversation {
    /// Its id.
    #[serde(rename = "conversation_id")]
    #[schema(value_type = words::Uuid)]
    id: ConversationId,
    /// Direct or group.
    #[schema(value_type = words::ConversationKind)]
    kind: ConversationKind,
    /// A group's name; empty for a direct one.
    name: String,
    /// A group's description; empty for a direct one.
    description: String,
    /// The caller's rank.
    #[schema(value_type = words::Role)]
    role: Role,
    /// The other one of a direct conversation.
    #[schema(required, value_type = Option<words::Uuid>)]
    peer_id: Option<UserId>,
    /// How many members it has.
    member_count: usize,
    /// The sequence at which the caller joined: they read from there on.
    #[schema(value_type = words::Sequence)]
    joined_seq: Sequence,
    /// The sequence of the newest record.
    #[schema(value_type = words::Sequence)]
    head_seq: Sequence,
    /// How far the caller has read.
    #[schema(value_type = words::Sequence)]
    read_seq: Sequence,
    /// The newest record.
    #[schema(required, value_type = Option<words::Event>)]
    last_event: Option<Event>,
}

impl From<Summary> for Conversation {
    fn from(summary: Summary) -> Self {
        Self {
            id: summary.id,
            kind: summary.kind,
            name: summary.name,
            description: summary.description,
            role: summary.role,
            peer_id: summary.peer,
            member_count: summary.member_count,
            joined_seq: summary.joined,
            head_seq: summary.head,
            read_seq: summary.read_seq,
            last_event: summary.last.as_ref().map(Event::of),
        }
    }
}

/// Which conversation to open.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenDirect {
    /// With whom.
    #[schema(value_type = words::Uuid)]
    pub(crate) user_id: UserId,
}

/// How far the caller has read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarkRead {
    /// Up to and including.
    #[schema(value_type = words::Sequence)]
    pub(crate) seq: Sequence,
}

/// Where the read mark is now.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadMark {
    /// Up to and including; marks only move forward.
    #[schema(value_type = words::Sequence)]
    pub(crate) read_seq: Sequence,
}

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListPage {
    /// The `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
    /// How many, 1 to 200; 50 if left out.
    pub(crate) limit: Option<usize>,
}

/// What an act did.
#[derive(Serialize, ToSchema)]
pub(crate) struct Done {
    /// The record that holds it; the newest one if it was so already.
    #[schema(value_type = words::Sequence)]
    pub(crate) conversation_seq: Sequence,
    /// Whether this request changed anything.
    pub(crate) changed: bool,
}
