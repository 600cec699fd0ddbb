//! The sends of one client that are not settled yet (HONEST): waiting to be written, written, or to be repeated.
//!
//! Plain data: time comes in, numbers of commands go out. A send leaves only when it was acked or refused for good;
//! whatever happens in between, it is repeated with the same client message id (ONCE).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hubbub_protocol::{ClientMessageId, ErrorBody};

/// The first pause before a refused send is repeated; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// One send that is not settled.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    /// Which of the client's conversations.
    pub(crate) slot: usize,
    pub(crate) id: ClientMessageId,
    pub(crate) payload: Bytes,
    /// How often it was written.
    pub(crate) tries: u32,
}

/// All sends of a client that are not settled.
#[derive(Debug, Default)]
pub(crate) struct Sends {
    last_number: u64,
    pending: HashMap<u64, Pending>,
    /// To be written, in order.
    queue: VecDeque<u64>,
    /// To be repeated, when their pause is over.
    later: BinaryHeap<Reverse<(Instant, u64)>>,
}

impl Sends {
    pub(crate) fn push(&mut self, slot: usize, id: ClientMessageId, payload: Bytes) {
        self.last_number += 1;
        self.pending.insert(self.last_number, Pending { slot, id, payload, tries: 0 });
        self.queue.push_back(self.last_number);
    }

    /// How many wait for their answer on this connection: those that are not about to be written.
    pub(crate) fn in_flight(&self) -> usize {
        self.pending.len().saturating_sub(self.queue.len() + self.later.len())
    }

    /// The next to write, with the number of its command.
    pub(crate) fn front(&self) -> Option<(u64, &Pending)> {
        let number = *self.queue.front()?;
        self.pending.get(&number).map(|pending| (number, pending))
    }

    /// The front was written.
    pub(crate) fn written(&mut self) {
        if let Some(pending) = self.queue.pop_front().and_then(|number| self.pending.get_mut(&number)) {
            pending.tries += 1;
        }
    }

    /// Acked: it is settled.
    pub(crate) fn acked(&mut self, number: u64) -> Option<Pending> {
        self.pending.remove(&number)
    }

    /// Refused. For good: it is settled and given back. For now, or of unknown outcome: it is repeated later.
    pub(crate) fn refused(&mut self, number: u64, error: &ErrorBody, now: Instant) -> Option<Pending> {
        if !error.retryable {
            return self.acked(number);
        }
        if let Some(pending) = self.pending.get(&number) {
            let pause = FIRST_PAUSE.saturating_mul(1 << pending.tries.min(10)).min(LONGEST_PAUSE);
            self.later.push(Reverse((now + pause, number)));
        }
        None
    }

    /// Puts what is due into the queue; gives the instant at which the next one is.
    pub(crate) fn wake(&mut self, now: Instant) -> Option<Instant> {
        while let Some(Reverse((at, number))) = self.later.peek().copied() {
            if at > now {
                return Some(at);
            }
            self.later.pop();
            self.queue.push_back(number);
        }
        None
    }

    /// The connection ended: the outcome of all that was written is unknown, and all is written again, in order.
    pub(crate) fn disconnected(&mut self) {
        self.later.clear();
        let mut numbers: Vec<u64> = self.pending.keys().copied().collect();
        numbers.sort_unstable();
        self.queue = numbers.into();
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::ErrorCode;

    use super::*;

    fn pushed(count: usize) -> Sends {
        let mut sends = Sends::default();
        for _ in 0..count {
            sends.push(0, ClientMessageId::generate(), Bytes::new());
        }
        sends
    }

    fn write_all(sends: &mut Sends) -> Vec<u64> {
        let mut written = Vec::new();
        while let Some((number, _)) = sends.front() {
            written.push(number);
            sends.written();
        }
        written
    }

    #[test]
    fn what_was_written_is_written_again_in_order_after_a_loss_and_only_until_it_is_settled() {
        let mut sends = pushed(4);
        assert_eq!(write_all(&mut sends), [1, 2, 3, 4]);
        assert_eq!(sends.acked(2).map(|pending| pending.tries), Some(1));
        sends.disconnected();
        assert_eq!((sends.in_flight(), sends.pending.len()), (0, 3));
        assert_eq!(write_all(&mut sends), [1, 3, 4], "HONEST: an unknown send is repeated");
        assert_eq!(sends.acked(3).map(|pending| pending.tries), Some(2));
        assert!(sends.acked(3).is_none(), "an ack that comes again settles nothing");
        assert_eq!(sends.in_flight(), 2);
    }

    #[test]
    fn a_refusal_for_now_is_repeated_later_and_one_for_good_settles() {
        let now = Instant::now();
        let mut sends = pushed(2);
        write_all(&mut sends);
        let busy = ErrorBody::new(ErrorCode::UnknownOutcome, "who knows");
        assert!(sends.refused(1, &busy, now).is_none());
        assert_eq!((sends.in_flight(), sends.pending.len()), (1, 2));
        let at = sends.wake(now).expect("it waits");
        assert!(at > now && sends.front().is_none());
        assert_eq!(sends.wake(at), None);
        assert_eq!(sends.front().map(|(number, _)| number), Some(1));
        let never = ErrorBody::new(ErrorCode::NotFound, "no such conversation");
        assert!(sends.refused(2, &never, now).is_some());
        assert_eq!(sends.pending.len(), 1);
    }

    #[test]
    fn a_loss_while_a_send_waits_to_be_repeated_does_not_write_it_twice() {
        let now = Instant::now();
        let mut sends = pushed(1);
        write_all(&mut sends);
        sends.refused(1, &ErrorBody::new(ErrorCode::Overloaded, "full"), now);
        sends.disconnected();
        assert_eq!(write_all(&mut sends), [1]);
        assert_eq!(sends.wake(now + LONGEST_PAUSE), None);
        assert!(sends.front().is_none());
    }
}
