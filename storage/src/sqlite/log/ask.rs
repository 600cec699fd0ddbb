//! What is asked of the log's tables, alike on the writer's connection and the readers'.
//!
//! Every record is decoded and checked before it is served, and a hole among records is damage, not a shorter answer. What
//! the journal has besides is [`both`](super::both)'s.

use hubbub_protocol::{ClientMessageId, ConversationId, Record, Sequence, UserId};
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::super::error::{asking, damaged};
use crate::error::StoreResult;
use crate::log::Range;
use crate::stored;

/// The highest sequence of a conversation.
pub(in crate::sqlite) fn head(connection: &Connection, id: ConversationId) -> StoreResult<Sequence> {
    let mut statement =
        connection.prepare_cached("SELECT MAX(sequence) FROM log WHERE conversation = ?1").map_err(asking)?;
    let head: Option<i64> = statement.query_row([id.as_bytes()], |row| row.get(0)).map_err(asking)?;
    head.map_or(Ok(Sequence::ZERO), sequence)
}

/// The record at a place.
pub(in crate::sqlite) fn record(
    connection: &Connection,
    id: ConversationId,
    at: Sequence,
) -> StoreResult<Option<Record>> {
    let Ok(number) = i64::try_from(at.get()) else { return Ok(None) };
    let mut statement = connection
        .prepare_cached("SELECT record FROM log WHERE conversation = ?1 AND sequence = ?2")
        .map_err(asking)?;
    let mut rows = statement.query(params![id.as_bytes(), number]).map_err(asking)?;
    let Some(found) = rows.next().map_err(asking)? else { return Ok(None) };
    stored::record::decode(id, at, found.get_ref(0).map_err(asking)?.as_blob().map_err(damaged)?).map(Some)
}

/// Whether there is a record at a place, sound or not.
pub(in crate::sqlite) fn exists(connection: &Connection, id: ConversationId, at: Sequence) -> StoreResult<bool> {
    let Ok(number) = i64::try_from(at.get()) else { return Ok(false) };
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM log WHERE conversation = ?1 AND sequence = ?2").map_err(asking)?;
    statement.exists(params![id.as_bytes(), number]).map_err(asking)
}

/// Where an author's act is stored (ONCE). The record itself must agree, so that a damaged entry settles nothing.
pub(in crate::sqlite) fn act(
    connection: &Connection,
    id: ConversationId,
    sender_id: UserId,
    client_id: ClientMessageId,
) -> StoreResult<Option<Sequence>> {
    let Some(at) = act_entry(connection, id, sender_id, client_id)? else { return Ok(None) };
    let agrees = record(connection, id, at)?
        .is_some_and(|found| found.author.sender_id == sender_id && found.client_message_id == Some(client_id));
    if agrees { Ok(Some(at)) } else { Err(damaged(format_args!("conversation {id}: a client id points to {at}"))) }
}

/// Where an author's act is said to be stored.
pub(in crate::sqlite) fn act_entry(
    connection: &Connection,
    id: ConversationId,
    sender_id: UserId,
    client_id: ClientMessageId,
) -> StoreResult<Option<Sequence>> {
    let mut statement = connection
        .prepare_cached("SELECT sequence FROM client_ids WHERE client_id = ?1 AND conversation = ?2 AND sender = ?3")
        .map_err(asking)?;
    let found: Option<i64> = statement
        .query_row(params![client_id.as_bytes(), id.as_bytes(), sender_id.as_bytes()], |row| row.get(0))
        .optional()
        .map_err(asking)?;
    found.map(sequence).transpose()
}

/// The nearest client ids that are stored, below and above one that is not; the outer `None` if it is, be it elsewhere.
pub(in crate::sqlite) fn neighbours(
    connection: &Connection,
    client_id: ClientMessageId,
) -> StoreResult<Option<(Option<ClientMessageId>, Option<ClientMessageId>)>> {
    const BELOW: &str = "SELECT client_id FROM client_ids WHERE client_id <= ?1 ORDER BY client_id DESC LIMIT 1";
    const ABOVE: &str = "SELECT client_id FROM client_ids WHERE client_id > ?1 ORDER BY client_id LIMIT 1";
    let nearest = |sql| -> StoreResult<Option<ClientMessageId>> {
        let mut statement = connection.prepare_cached(sql).map_err(asking)?;
        let found = statement.query_row([client_id.as_bytes()], |row| row.get(0)).optional().map_err(asking)?;
        Ok(found.map(ClientMessageId::from_bytes))
    };
    let below = nearest(BELOW)?;
    if below == Some(client_id) { Ok(None) } else { Ok(Some((below, nearest(ABOVE)?))) }
}

/// Records above or below a bound, ascending; for some of them other bytes than the table has.
pub(super) fn read<'a>(
    connection: &Connection,
    id: ConversationId,
    range: Range,
    limit: usize,
    instead: impl Fn(Sequence) -> Option<&'a [u8]>,
) -> StoreResult<Vec<Record>> {
    const AFTER: &str =
        "SELECT sequence, record FROM log WHERE conversation = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3";
    const BEFORE: &str =
        "SELECT sequence, record FROM log WHERE conversation = ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3";
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let bound = |bound: Sequence| i64::try_from(bound.get()).unwrap_or(i64::MAX);
    match range {
        Range::After(after) => collect(connection, AFTER, id, params![id.as_bytes(), bound(after), rows], instead),
        Range::Before(before) => {
            let mut records = collect(connection, BEFORE, id, params![id.as_bytes(), bound(before), rows], instead)?;
            records.reverse();
            Ok(records)
        }
    }
}

fn collect<'a>(
    connection: &Connection,
    sql: &str,
    id: ConversationId,
    params: impl Params,
    instead: impl Fn(Sequence) -> Option<&'a [u8]>,
) -> StoreResult<Vec<Record>> {
    let mut statement = connection.prepare_cached(sql).map_err(asking)?;
    let mut rows = statement.query(params).map_err(asking)?;
    let mut records = Vec::new();
    while let Some(found) = rows.next().map_err(asking)? {
        let at = sequence(found.get(0).map_err(asking)?)?;
        let bytes = match instead(at) {
            Some(bytes) => bytes,
            None => found.get_ref(1).map_err(asking)?.as_blob().map_err(damaged)?,
        };
        records.push(stored::record::decode(id, at, bytes)?);
    }
    Ok(records)
}

/// The records, if they are all that should be there: consecutive, from where the range begins (GAPLESS).
pub(super) fn dense(id: ConversationId, range: Range, limit: usize, records: Vec<Record>) -> StoreResult<Vec<Record>> {
    let Some(first) = records.first().map(|record| record.sequence) else { return Ok(records) };
    let begins = match range {
        Range::After(after) => first == after.next(),
        // Fewer than were asked for: the log has begun.
        Range::Before(_) => records.len() == limit || first == Sequence::ZERO.next(),
    };
    let follows = records.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.next());
    if begins && follows {
        return Ok(records);
    }
    Err(damaged(format_args!("conversation {id}: GAPLESS is broken at or after sequence {first}")))
}

/// The sequence with a stored number.
pub(in crate::sqlite) fn sequence(number: i64) -> StoreResult<Sequence> {
    u64::try_from(number).map(Sequence::new).map_err(damaged)
}
