//! Bodies of messages and of their history.

use hubbub_domain::conversations;
use hubbub_protocol::frame::server::Event;
use hubbub_protocol::limits::MAX_PAYLOAD_BYTES;
use hubbub_protocol::record::fitting;
use hubbub_protocol::{ClientMessageId, MessageId, Payload, Sequence, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, ApiResult};
use crate::openapi::words;

/// A message to send.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMessage {
    /// The sender's own id of it: repeat a send of unknown outcome with the same, and it is stored once.
    #[schema(value_type = words::ClientMessageId)]
    pub(crate) client_message_id: ClientMessageId,
    /// What the clients agree the payload is.
    #[schema(examples("text"))]
    pub(crate) content_type: String,
    /// The sealed bytes, at most 64 KiB.
    #[schema(value_type = words::Payload)]
    pub(crate) encrypted_payload: Payload,
    /// The message it answers.
    #[schema(value_type = Option<words::MessageId>)]
    pub(crate) reply_to: Option<MessageId>,
    /// The key epoch it was sealed in.
    pub(crate) epoch: Option<u32>,
}

/// A message that is on disk.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sent {
    /// Its id from now on.
    #[schema(value_type = words::MessageId)]
    pub(crate) message_id: MessageId,
    /// The sender's own id of it.
    #[schema(value_type = words::ClientMessageId)]
    pub(crate) client_message_id: ClientMessageId,
    /// Its place. A repeated send gets the first one's.
    #[schema(value_type = words::Sequence)]
    pub(crate) conversation_seq: Sequence,
    /// When the server decided it.
    #[schema(value_type = words::Timestamp)]
    pub(crate) created_at: Timestamp,
}

/// Which way a reaction changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReactionAction {
    /// Put it there.
    Add,
    /// Take it away.
    Remove,
}

/// A reaction to a message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reaction {
    /// The emoji, up to 64 bytes.
    #[schema(examples("👍"))]
    pub(crate) emoji: String,
    /// Which way.
    pub(crate) action: ReactionAction,
}

/// Which page of a conversation's history: the newest if nothing is named.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryPage {
    /// The page that ends right before this sequence.
    #[param(value_type = Option<words::Sequence>)]
    pub(crate) before_seq: Option<Sequence>,
    /// The page that begins right after this sequence.
    #[param(value_type = Option<words::Sequence>)]
    pub(crate) after_seq: Option<Sequence>,
    /// The `next_cursor` of the page before, instead of either.
    pub(crate) cursor: Option<String>,
    /// How many, 1 to 200; 50 if left out.
    pub(crate) limit: Option<usize>,
}

/// A page of a conversation's history.
#[derive(Serialize, ToSchema)]
pub(crate) struct History {
    /// The events, oldest first: the same objects that sockets get.
    #[schema(value_type = Vec<words::Event>)]
    pub(crate) data: Vec<Event>,
    /// Send it as `cursor` for the next page in the same direction; null on the last.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
    /// The sequence of the conversation's newest record.
    #[schema(value_type = words::Sequence)]
    pub(crate) head_seq: Sequence,
}

/// Which way a page of history goes from its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Downwards, from the newest if there is no bound.
    Before(Option<Sequence>),
    /// Upwards.
    After(Sequence),
}

impl HistoryPage {
    /// The one bound that was named.
    pub(crate) fn direction(&self) -> ApiResult<Direction> {
        match (self.before_seq, self.after_seq, self.cursor.as_deref()) {
            (before, None, None) => Ok(Direction::Before(before)),
            (None, Some(after), None) => Ok(Direction::After(after)),
            (None, None, Some(cursor)) => Direction::from_cursor(cursor),
            _ => Err(ApiError::field("query", "name one of `before_seq`, `after_seq` and `cursor`")),
        }
    }
}

impl Direction {
    fn from_cursor(cursor: &str) -> ApiResult<Self> {
        let bound = |digits: &str| digits.parse().ok().map(Sequence::new);
        let found = match cursor.split_at_checked(1) {
            Some(("b", digits)) => bound(digits).map(|before| Self::Before(Some(before))),
            Some(("a", digits)) => bound(digits).map(Self::After),
            _ => None,
        };
        found.ok_or_else(|| ApiError::field("cursor", "`cursor` is no `next_cursor` of this list"))
    }
}

/// Payload bytes of a page, at most: 16 of the largest messages (BOUNDED). A page that reaches it is shorter than asked
/// for, and its cursor goes on from there.
const PAGE_PAYLOAD_BYTES_MAX: usize = 16 * MAX_PAYLOAD_BYTES;

impl History {
    /// The page of these records, which were asked for in this direction and number.
    pub(crate) fn of(found: &conversations::History, direction: Direction, limit: usize) -> Self {
        let records = found.records.as_slice();
        let (kept, next_cursor) = match direction {
            Direction::Before(_) => {
                let kept = &records[records.len() - fitting(records.iter().rev(), PAGE_PAYLOAD_BYTES_MAX)..];
                let more = kept.len() < records.len() || records.len() == limit;
                let first = kept.first().map(|record| record.sequence.get()).filter(|first| more && *first > 1);
                (kept, first.map(|first| format!("b{first}")))
            }
            Direction::After(_) => {
                let kept = &records[..fitting(records, PAGE_PAYLOAD_BYTES_MAX)];
                let last = kept.last().map(|record| record.sequence).filter(|last| *last < found.head);
                (kept, last.map(|last| format!("a{last}")))
            }
        };
        Self { data: kept.iter().map(Event::of).collect(), next_cursor, head_seq: found.head }
    }
}
