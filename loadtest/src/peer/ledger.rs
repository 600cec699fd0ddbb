//! What each receiver got and each publisher was told, against what was published: every one, in order, once.
//!
//! Plain data. A receiver is two numbers and the set of what it lacks, which is bounded (BOUNDED); nothing is kept of
//! what came as it should.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

/// Missing numbers of one receiver that are remembered one by one; beyond, they are counted as lost at once.
const MISSING_MAX: usize = 4_096;

/// Published against seen, in one measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Published, once each.
    pub(super) sent: u64,
    /// What had to come of it: deliveries, acknowledgements, logins.
    pub(super) due: u64,
    /// Of these, came.
    pub(super) came: u64,
    /// Never came.
    pub(super) lost: u64,
    /// Came again.
    pub(super) doubled: u64,
    /// Came after later ones.
    pub(super) reordered: u64,
    /// Came, and was never sent, or not like this.
    pub(super) foreign: u64,
    /// Refused by the server, or a connection that broke.
    pub(super) refused: u64,
}

impl Tally {
    /// Whether nothing is to be said against the peer.
    pub(super) const fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.reordered == 0 && self.foreign == 0 && self.refused == 0
    }

    /// Both together.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            due: self.due + other.due,
            came: self.came + other.came,
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            reordered: self.reordered + other.reordered,
            foreign: self.foreign + other.foreign,
            refused: self.refused + other.refused,
        }
    }
}

/// What one receiver got.
#[derive(Debug, Clone, Default)]
pub(super) struct Reader {
    first: u64,
    next: u64,
    missing: BTreeSet<u64>,
    given_up: u64,
    came: u64,
    doubled: u64,
    reordered: u64,
}

impl From<u64> for Reader {
    /// A receiver to whom this number is the first.
    fn from(first: u64) -> Self {
        Self { first, next: first, ..Self::default() }
    }
}

impl Reader {
    /// A message came. `true` if it had not come before.
    pub(super) fn came(&mut self, number: u64) -> bool {
        if number == self.next {
            self.next += 1;
            self.came += 1;
            return true;
        }
        if number > self.next {
            let room = (MISSING_MAX - self.missing.len().min(MISSING_MAX)) as u64;
            let remembered = (number - self.next).min(room);
            self.missing.extend(number - remembered..number);
            self.given_up += number - self.next - remembered;
            self.next = number + 1;
            self.came += 1;
            return true;
        }
        if self.missing.remove(&number) {
            self.reordered += 1;
            self.came += 1;
            return true;
        }
        self.doubled += 1;
        false
    }

    /// The end: all below this number were sent.
    pub(super) fn judge(&self, end: u64) -> Tally {
        Tally {
            due: end - self.first,
            came: self.came,
            lost: self.missing.len() as u64 + self.given_up + end.saturating_sub(self.next),
            doubled: self.doubled,
            reordered: self.reordered,
            ..Tally::default()
        }
    }
}

/// What one publisher was told of its publishes, which are answered in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Publisher {
    /// Published, when, and not yet acknowledged.
    open: VecDeque<(u64, u64)>,
    next: u64,
    last_place: Option<u64>,
    tally: Tally,
}

impl Publisher {
    /// The number of the next publish, which is made now.
    pub(super) fn publish(&mut self, now_ns: u64) -> u64 {
        let number = self.next;
        self.next += 1;
        self.open.push_back((number, now_ns));
        number
    }

    /// Publishes that wait for their acknowledgement.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// An acknowledgement came. Gives when its publish was made, if it was due.
    pub(super) fn acked(&mut self, number: u64, place: Option<u64>) -> Option<u64> {
        let Some(index) = self.open.iter().position(|(open, _)| *open == number) else {
            let again = number < self.next;
            self.tally.doubled += u64::from(again);
            self.tally.foreign += u64::from(!again);
            return None;
        };
        let (_, made_ns) = self.open.remove(index)?;
        self.tally.came += 1;
        // A later publish stands at a later place, and is answered later.
        let out_of_place = place.zip(self.last_place).is_some_and(|(place, last)| place <= last);
        self.tally.reordered += u64::from(index > 0 || out_of_place);
        self.last_place = place.or(self.last_place);
        Some(made_ns)
    }

    /// The server refused a publish, or the connection broke.
    pub(super) fn refused(&mut self) {
        self.tally.refused += 1;
    }

    /// The end.
    pub(super) fn judge(&self) -> Tally {
        Tally { sent: self.next, due: self.next, lost: self.open.len() as u64, ..self.tally }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(numbers: &[u64], sent: u64) -> Tally {
        let mut reader = Reader::default();
        for number in numbers {
            reader.came(*number);
        }
        reader.judge(sent)
    }

    #[test]
    fn a_receiver_who_got_each_once_and_in_order_is_clean() {
        let tally = read(&[0, 1, 2, 3], 4);
        assert!(tally.is_clean());
        assert_eq!((tally.due, tally.came), (4, 4));
    }

    #[test]
    fn what_a_receiver_lacks_or_has_twice_or_too_late_is_counted() {
        let tally = read(&[0, 2, 2, 1, 5], 7);
        assert_eq!((tally.lost, tally.doubled, tally.reordered, tally.came), (3, 1, 1, 4));
        assert_eq!(read(&[], 3).lost, 3);
        assert_eq!(read(&[1_000_000], 1_000_001).lost, 1_000_000);
    }

    #[test]
    fn a_publisher_knows_what_is_open_and_what_was_never_asked_for() {
        let mut publisher = Publisher::default();
        let numbers: Vec<u64> = (0..4).map(|now| publisher.publish(now)).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
        assert_eq!(publisher.acked(0, Some(10)), Some(0));
        assert_eq!(publisher.acked(2, Some(12)), Some(2));
        assert_eq!(publisher.acked(1, Some(11)), Some(1));
        assert_eq!(publisher.acked(0, Some(10)), None);
        assert_eq!(publisher.acked(9, None), None);
        assert_eq!(publisher.open(), 1);
        let tally = publisher.judge();
        assert_eq!((tally.sent, tally.came, tally.lost), (4, 3, 1));
        // Two came before 1 did; and 1 stands below 2, which came before.
        assert_eq!((tally.doubled, tally.foreign, tally.reordered), (1, 1, 2));
    }
}
