//! A replay: the log from a cursor to an edge, for one socket, no faster than it reads.
//!
//! A task on the socket's shard. Keeps BOUNDED: a socket has one page at a time, cut in bytes, and only when it has room;
//! one that goes away, or asks anew, ends its replay. Keeps RESUMABLE: at the end it asks for what came since.

use std::rc::Rc;
use std::time::Duration;

use hubbub_protocol::Sequence;
use hubbub_protocol::frame::server::CommandError;
use hubbub_storage::error::{StoreError, StoreResult};

use super::edge::Replay;
use super::local::Local;
use super::pages::{Page, Wanted};
use crate::connection::Connection;

/// Records of one page, at most: 8 MiB if each is as large as can be, for the moment it is read.
const PAGE_RECORDS: usize = 128;
/// Records of the first page: 1 MiB at the most.
const FIRST_PAGE_RECORDS: usize = 16;
/// Records that any page asks for: as many of the largest as a page has room for.
const MIN_PAGE_RECORDS: usize = 4;
/// A store that is too busy is asked again after this long …
const RETRY: Duration = Duration::from_millis(200);
/// … so many times: 6 s in all.
const RETRIES: u32 = 30;

/// Runs a replay to its end, or until it is no longer wanted.
pub(super) async fn run(local: Rc<Local>, replay: Replay) {
    let Some(connection) = local.connection(replay.key.slot) else { return };
    let mut after = replay.after;
    let mut limit = FIRST_PAGE_RECORDS;
    while after < replay.head {
        let Some(_turn) = connection.page_turn(|| local.wants(&replay)).await else { return };
        match read(&local, &replay, after, &mut limit).await {
            Ok(page) => match give(&local, &connection, &replay, &page).await {
                Some(last) => after = last,
                None => return,
            },
            Err(error) => return fail(&local, &connection, &replay, &error),
        }
    }
    local.replayed(&replay);
}

/// The next page, cut to what may be kept.
///
/// `limit` follows what fits, so that a log of large payloads is not read over and over to be thrown away.
async fn read(local: &Rc<Local>, replay: &Replay, after: Sequence, limit: &mut usize) -> StoreResult<Page> {
    let mut tries = 0;
    loop {
        let wanted = Wanted { conversation: replay.conversation, after, head: replay.head, limit: *limit };
        let reader = Rc::clone(local);
        let read = async move {
            let _reading = reader.reading().await;
            reader.services().read_above(wanted.conversation, after, wanted.head, wanted.limit).await
        };
        match local.pages().get(wanted, read).await {
            Ok(page) => {
                *limit = (2 * page.len()).clamp(MIN_PAGE_RECORDS, PAGE_RECORDS);
                return Ok(page);
            }
            Err(StoreError::Overloaded | StoreError::Unavailable(_)) if tries < RETRIES => {
                tries += 1;
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Queues records as the socket takes them; the last one's sequence, unless it went away or asked anew.
async fn give(local: &Local, connection: &Rc<Connection>, replay: &Replay, page: &Page) -> Option<Sequence> {
    // Whether it is wanted can change only while this task waits: for the page, and for room.
    if !local.wants(replay) {
        return None;
    }
    for frame in page.iter() {
        if !connection.has_room_now() {
            connection.flush();
            if !connection.has_room().await || !local.wants(replay) {
                return None;
            }
        }
        connection.event(frame.bytes(connection.format), Some((replay.conversation, frame.record().sequence)));
    }
    local.flush_later(connection);
    page.last().map(|frame| frame.record().sequence)
}

/// Ends the conversation's flow rather than leave a hole in it (IN-ORDER).
fn fail(local: &Local, connection: &Rc<Connection>, replay: &Replay, error: &StoreError) {
    tracing::error!(conversation.id = %replay.conversation, %error, "a replay could not be read");
    if local.wants(replay) {
        local.leave(replay.key, replay.conversation);
        let conversation = replay.conversation.to_string();
        let error = hubbub_domain::refusal::never_stored(error).with("conversation_id", conversation);
        connection.frame(&CommandError { id: None, error }.into());
        local.flush_later(connection);
    }
}
