//! `history`: pages of the log that a socket asks for, read beside its other business.
//!
//! Bounded three ways: a socket has one page at a time and only when it has room, a shard's sockets read few at once, and
//! a page has so many bytes (BOUNDED).

use std::rc::Rc;

use hubbub_domain::conversations::HistoryQuery;
use hubbub_protocol::frame::CommandId;
use hubbub_protocol::frame::client::History;
use hubbub_protocol::frame::server::{CommandError, Event, HistoryPage, ServerFrame};
use hubbub_protocol::record::fitting;
use hubbub_protocol::{ErrorBody, Record};

use super::Asker;

/// Payload bytes in one page: an eighth of the outbox, 1.4 times as much in JSON. A page that would have more is shorter.
const MAX_PAGE_BYTES: usize = 128 * 1024;

impl Asker<'_> {
    /// Reads a page in a task of its own, so that the socket goes on meanwhile.
    pub(super) fn history(&self, query: History) {
        let open = self.open();
        let reader = self.who.caller.user_id;
        let (connection, local) = (Rc::clone(self.connection), Rc::clone(self.local));
        self.local.spawn(async move {
            let History { id, conversation_id, before_seq, after_seq, limit } = query;
            let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
            let page = HistoryQuery { before: before_seq, after: after_seq, limit };
            // A socket that is gone wants no answer.
            let Some(_turn) = connection.page_turn(|| true).await else { return };
            let found = {
                let _reading = local.reading().await;
                local.conversations().history(reader, conversation_id, page).await
            };
            let frame = match found {
                Ok(found) => {
                    let records = fit(found.records, after_seq.is_none());
                    let events = records.iter().map(Event::of).collect();
                    HistoryPage { id, conversation_id, events, head_seq: found.head }.into()
                }
                Err(error) => refused(id, error),
            };
            connection.answer(Some(&frame), open.bytes());
            local.flush_later(&connection);
            drop(open);
        });
    }
}

fn refused(id: Option<CommandId>, error: ErrorBody) -> ServerFrame {
    CommandError { id, error }.into()
}

/// As many records as a page has room for: the oldest, or the newest when reading backwards.
fn fit(mut records: Vec<Record>, newest: bool) -> Vec<Record> {
    if newest {
        let kept = fitting(records.iter().rev(), MAX_PAGE_BYTES);
        records.drain(..records.len() - kept);
    } else {
        records.truncate(fitting(&records, MAX_PAGE_BYTES));
    }
    records
}
