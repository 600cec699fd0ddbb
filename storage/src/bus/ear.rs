//! What a node is told: the sending end of its events, which never waits and never forgets to say what it could not.
//!
//! Owned by each bus. The node's receiver is bounded; when it is full, what is heard is dropped, and `Missed` is owed
//! until there is room for it (BOUNDED): nothing heard later comes before it. Up and Down are owed alike, and told as what
//! is so by then.

use std::collections::VecDeque;

use bytes::Bytes;
use hubbub_protocol::NodeId;
use tokio::sync::mpsc;

use crate::bus::{BusEvent, Topic};

/// Bytes of what a node has not taken yet, at the most.
const MAX_INBOX_BYTES: usize = 32 * 1024 * 1024;

/// The sending end of a node's events. A node begins by knowing that its bus is down.
#[derive(Debug)]
pub(super) struct Ear {
    /// None once the bus has ended.
    events: Option<mpsc::Sender<BusEvent>>,
    now: Carries,
    /// What the node was told last.
    told: Carries,
    was_up: bool,
    missed: bool,
    inbox: Inbox,
}

/// How much the receiver holds, as far as is known: it may have taken more since.
#[derive(Debug, Default)]
struct Inbox {
    /// Of each event not taken yet, in order.
    sizes: VecDeque<usize>,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carries {
    Something,
    Nothing,
}

impl Ear {
    pub(super) fn new(events: mpsc::Sender<BusEvent>) -> Self {
        Self {
            events: Some(events),
            now: Carries::Nothing,
            told: Carries::Nothing,
            was_up: false,
            missed: false,
            inbox: Inbox::default(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.now == Carries::Something
    }

    /// It carries from now on.
    pub(super) fn up(&mut self) {
        if !self.is_up() {
            self.now = Carries::Something;
            self.missed |= self.was_up;
            self.was_up = true;
        }
        self.settle();
    }

    /// It carries nothing from now on.
    pub(super) fn down(&mut self) {
        self.now = Carries::Nothing;
        self.settle();
    }

    /// Something may have been missed; said at once if the bus is up, else when it is again.
    pub(super) fn missed(&mut self) {
        self.missed = true;
        self.settle();
    }

    /// Hands over what was heard; false if there was no room.
    pub(super) fn hear(&mut self, topic: Topic, origin: NodeId, body: Bytes) -> bool {
        let heard = self.settle() && self.tell(BusEvent::Heard { topic, origin, body });
        self.missed |= !heard;
        heard
    }

    /// Says what is owed, if there is room; whether nothing is owed any longer.
    pub(super) fn settle(&mut self) -> bool {
        if self.told != self.now {
            if !self.tell(if self.is_up() { BusEvent::Up } else { BusEvent::Down }) {
                return false;
            }
            self.told = self.now;
        }
        // While it is down the node compares heads anyway, and hears of it again after the next Up.
        if self.missed && self.is_up() {
            self.missed = !self.tell(BusEvent::Missed);
            return !self.missed;
        }
        true
    }

    /// Nothing more is told: the receiver ends after what it holds.
    #[cfg(feature = "redis")]
    pub(super) fn end(&mut self) {
        self.events = None;
        self.now = Carries::Nothing;
    }

    fn tell(&mut self, event: BusEvent) -> bool {
        // A node that is gone misses nothing.
        let Some(events) = &self.events else { return true };
        let size = if let BusEvent::Heard { body, .. } = &event { body.len() } else { 0 };
        self.inbox.holds(events.max_capacity() - events.capacity());
        if size > 0 && self.inbox.bytes + size > MAX_INBOX_BYTES {
            return false;
        }
        match events.try_send(event) {
            Ok(()) => self.inbox.took(size),
            Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return false,
        }
        true
    }
}

impl Inbox {
    /// It holds so many events now: those before them have been taken.
    fn holds(&mut self, events: usize) {
        while self.sizes.len() > events {
            self.bytes -= self.sizes.pop_front().unwrap_or_default();
        }
    }

    fn took(&mut self, size: usize) {
        self.sizes.push_back(size);
        self.bytes += size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ear(room: usize) -> (Ear, mpsc::Receiver<BusEvent>) {
        let (events, heard) = mpsc::channel(room);
        (Ear::new(events), heard)
    }

    fn say(ear: &mut Ear, word: &'static [u8]) -> bool {
        ear.hear(Topic::Cluster, NodeId::from_bytes([1; 16]), Bytes::from_static(word))
    }

    fn heard(word: &'static [u8]) -> BusEvent {
        BusEvent::Heard { topic: Topic::Cluster, origin: NodeId::from_bytes([1; 16]), body: Bytes::from_static(word) }
    }

    fn all(receiver: &mut mpsc::Receiver<BusEvent>) -> Vec<BusEvent> {
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }

    #[test]
    fn the_first_up_is_plain_and_later_ones_say_that_something_may_be_missing() {
        let (mut ear, mut receiver) = ear(8);
        ear.up();
        ear.down();
        ear.up();
        assert_eq!(all(&mut receiver), [BusEvent::Up, BusEvent::Down, BusEvent::Up, BusEvent::Missed]);
    }

    #[test]
    fn bounded_a_full_receiver_is_told_missed_before_anything_newer() {
        let (mut ear, mut receiver) = ear(2);
        ear.up();
        assert!(say(&mut ear, b"kept"));
        assert!(!say(&mut ear, b"dropped"), "BOUNDED");
        assert!(!say(&mut ear, b"dropped"), "BOUNDED");
        assert_eq!(all(&mut receiver), [BusEvent::Up, heard(b"kept")]);
        assert!(say(&mut ear, b"newer"));
        assert_eq!(all(&mut receiver), [BusEvent::Missed, heard(b"newer")]);
        assert!(ear.settle());
        assert_eq!(all(&mut receiver), []);
    }

    #[test]
    fn bounded_a_receiver_is_full_of_bytes_before_it_is_full_of_events() {
        let (mut ear, mut receiver) = ear(1000);
        ear.up();
        let large = Bytes::from(vec![0; MAX_INBOX_BYTES / 4]);
        let mut say = || ear.hear(Topic::Cluster, NodeId::from_bytes([1; 16]), large.clone());
        assert_eq!([say(), say(), say(), say(), say()], [true, true, true, true, false], "BOUNDED");
        let taken = std::iter::from_fn(|| receiver.try_recv().ok()).count();
        assert_eq!(taken, 5);
        assert!(say());
        assert_eq!(receiver.try_recv(), Ok(BusEvent::Missed));
    }

    #[test]
    fn a_node_that_slept_through_a_fall_and_rise_is_told_that_it_may_have_missed_something() {
        let (mut ear, mut receiver) = ear(1);
        ear.up();
        ear.down();
        ear.up();
        assert_eq!(all(&mut receiver), [BusEvent::Up]);
        assert!(ear.settle());
        assert_eq!(all(&mut receiver), [BusEvent::Missed]);
    }

    #[test]
    fn what_is_owed_while_down_is_said_after_the_first_up() {
        let (mut ear, mut receiver) = ear(4);
        ear.missed();
        ear.up();
        assert_eq!(all(&mut receiver), [BusEvent::Up, BusEvent::Missed]);
    }
}
