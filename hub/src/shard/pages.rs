//! Pages of the log that several sockets want at once: read once, and spelt once for each format.
//!
//! When a server comes back, everybody who was in a room asks for the same records. Whoever asks for what is being read
//! already waits for that. A page is wanted up to a head, and the read of one begins only after somebody was told of that
//! head, so that nobody gets a page from before it (RESUMABLE). Nothing is kept: a page goes with its last reader.

use std::cell::RefCell;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared, WeakShared};
use hubbub_protocol::record::fitting;
use hubbub_protocol::{ConversationId, Record, Sequence};
use hubbub_storage::error::StoreResult;

use crate::frame::RecordFrame;
use crate::table::Table;

/// Payload bytes of a page: a quarter of an outbox.
const PAGE_BYTES: usize = 256 * 1024;
/// Reads that are kept in mind, at the least, before those that have ended are forgotten.
const MIN_KNOWN: usize = 64;

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) conversation: ConversationId,
    pub(super) after: Sequence,
    pub(super) head: Sequence,
    /// How many records are asked for.
    pub(super) limit: usize,
}

/// Records right after a cursor, as many as a page has room for: at least one.
pub(super) type Page = Rc<[RecordFrame]>;

type Reading = LocalBoxFuture<'static, StoreResult<Page>>;

/// The pages that are being read.
#[derive(Default)]
pub(crate) struct Pages(RefCell<Known>);

#[derive(Default)]
struct Known {
    readings: Table<Wanted, WeakShared<Reading>>,
    /// From so many on, those that have ended are forgotten (BOUNDED): twice as many as were under way when that was done
    /// last, so that the work is small for each.
    full: usize,
}

impl Known {
    fn forget_ended(&mut self) {
        if self.readings.len() >= self.full {
            self.readings.retain(|_, reading| under_way(reading).is_some());
            self.full = (2 * self.readings.len()).max(MIN_KNOWN);
        }
    }
}

/// One that has ended may be from before what is asked for was there.
fn under_way(reading: &WeakShared<Reading>) -> Option<Shared<Reading>> {
    reading.upgrade().filter(|reading| reading.peek().is_none())
}

impl Pages {
    /// The page: from whoever reads it, else by `read`.
    pub(super) fn get(
        &self,
        wanted: Wanted,
        read: impl Future<Output = StoreResult<Vec<Record>>> + 'static,
    ) -> Shared<Reading> {
        let mut known = self.0.borrow_mut();
        known.readings.get(&wanted).and_then(under_way).unwrap_or_else(|| {
            known.forget_ended();
            let reading = read.map(|records| records.map(page)).boxed_local().shared();
            known.readings.extend(reading.downgrade().map(|weak| (wanted, weak)));
            reading
        })
    }
}

fn page(mut records: Vec<Record>) -> Page {
    records.truncate(fitting(&records, PAGE_BYTES));
    records.into_iter().map(RecordFrame::of).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use hubbub_protocol::member::SenderType;
    use hubbub_protocol::record::{Author, Recalled};
    use hubbub_protocol::{RecordBody, Timestamp, UserId};

    use super::*;

    fn record(sequence: u64) -> Record {
        Record {
            conversation_id: ConversationId::from_bytes([1; 16]),
            sequence: Sequence::new(sequence),
            author: Author { sender_id: UserId::from_bytes([2; 16]), sender_type: SenderType::Human, device_id: None },
            created_at: Timestamp::default(),
            client_message_id: None,
            body: RecordBody::Recalled(Recalled { target: Sequence::new(1) }),
        }
    }

    #[tokio::test]
    async fn those_who_want_the_same_page_at_once_have_it_read_once() {
        let (pages, reads) = (Pages::default(), Rc::new(Cell::new(0)));
        let conversation = ConversationId::from_bytes([1; 16]);
        let get = |head: u64| {
            let reads = Rc::clone(&reads);
            let wanted = Wanted { conversation, after: Sequence::ZERO, head: Sequence::new(head), limit: 10 };
            pages.get(wanted, async move {
                tokio::task::yield_now().await;
                reads.set(reads.get() + 1);
                Ok(vec![record(1), record(2)])
            })
        };
        let waiting: Vec<_> = (0..100).map(|_| get(2)).chain([get(3)]).collect();
        for page in futures_util::future::join_all(waiting).await {
            assert_eq!(page.unwrap().iter().map(|frame| frame.record().sequence.get()).collect::<Vec<_>>(), [1, 2]);
        }
        assert_eq!(reads.get(), 2, "one for each head");
        let page = get(2).await;
        assert_eq!((page.is_ok(), reads.get()), (true, 3), "what was read before is not given again");
        let waiting: Vec<_> = (1_000..1_300).map(&get).collect();
        for head in 4..1_000 {
            drop(get(head));
            let known = pages.0.borrow().readings.len();
            assert!(known <= 2 * waiting.len(), "BOUNDED: {known} are known while {} are under way", waiting.len());
        }
        drop(waiting);
        (2_000..3_000).for_each(|head| drop(get(head)));
        let known = pages.0.borrow().readings.len();
        assert!(known <= MIN_KNOWN, "BOUNDED: {known} are known of those that nobody waited for");
    }
}
