//! The log as readers see it: the journal's parts first, then the tables, as one.
//!
//! In that order, since what leaves the journal stands in the tables already; a record that is met in both is the same
//! but for an erasure, and then the journal's is the later (a recalled payload is not served again).

use hubbub_protocol::{ConversationId, Record, Sequence};
use rusqlite::Connection;

use super::super::journal::{Act, Pending};
use super::ask;
use crate::error::StoreResult;
use crate::log::{MAX_READ_RECORDS, Range};
use crate::stored;

/// The highest sequence of a conversation.
pub(super) fn head(connection: &Connection, pending: &Pending, id: ConversationId) -> StoreResult<Sequence> {
    pending.head(id).map_or_else(|| ask::head(connection, id), Ok)
}

/// Where an author's act is stored (ONCE).
pub(super) fn act(connection: &Connection, pending: &Pending, act: Act) -> StoreResult<Option<Sequence>> {
    let (client_id, id, sender) = act;
    pending.act(&act).map_or_else(|| ask::act(connection, id, sender, client_id), |at| Ok(Some(at)))
}

/// Records above or below a bound, ascending, without a hole (GAPLESS).
pub(super) fn read(
    connection: &Connection,
    pending: &Pending,
    id: ConversationId,
    range: Range,
    limit: usize,
) -> StoreResult<Vec<Record>> {
    let limit = limit.min(MAX_READ_RECORDS);
    let excerpt = pending.excerpt(id, range, limit);
    let mut records = if excerpt.is_all(range) {
        Vec::new()
    } else {
        ask::read(connection, id, range, limit, |at| excerpt.instead_of(at))?
    };
    let from_tables = records.last().map_or(Sequence::ZERO, |last| last.sequence);
    for (at, bytes) in excerpt.rows().filter(|(at, _)| *at > from_tables) {
        records.push(stored::record::decode(id, at, bytes)?);
    }
    let excess = records.len().saturating_sub(limit);
    match range {
        Range::After(_) => records.truncate(limit),
        Range::Before(_) => drop(records.drain(..excess)),
    }
    ask::dense(id, range, limit, records)
}
