//! Once a second: the connections that may be due for a ping, a notice or a close are looked at, each in its second.

use std::rc::Rc;
use std::time::Duration;

use hubbub_protocol::Timestamp;

use super::Local;
use super::wheel::Wheel;
use crate::connection::{Connection, heartbeat};
use crate::message::ConnectionKey;

/// A clock of the day that differs so much from one tick to the next has been set.
const CLOCK_STEP_MS: u64 = 1_000;

/// When which connection is looked at.
pub(super) struct Looks {
    wheel: Wheel,
    /// How much further the clock of the day was than that of the shard, in milliseconds, at the last tick.
    ahead: i64,
}

impl Looks {
    /// Those of a shard that begins now.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { wheel: Wheel::new(), ahead: now.as_ms() }
    }

    /// Whether the clock of the day was set since the last tick, this long after the shard began.
    fn clock_was_set(&mut self, now: Timestamp, elapsed: Duration) -> bool {
        let ahead = now.as_ms().saturating_sub(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX));
        std::mem::replace(&mut self.ahead, ahead).abs_diff(ahead) >= CLOCK_STEP_MS
    }
}

impl Local {
    /// One second went by: looks at every connection that may be due for something.
    pub(crate) fn tick(&self) {
        let (elapsed, now) = (self.started.elapsed(), self.now());
        self.second.set(u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX));
        let was_set = self.looks.borrow_mut().clock_was_set(now, elapsed);
        if was_set {
            // Somebody's token has ended, or has not, other than was thought.
            self.seats.borrow().iter().flatten().for_each(|(connection, who)| self.look(connection, who.key.slot, now));
        }
        loop {
            let Some(slots) = self.looks.borrow_mut().wheel.take(self.second()) else { break };
            for slot in slots {
                // Whoever sat there may be gone, or was looked at sooner.
                let is_due = |known: &Rc<Connection>| known.look_at.get() <= self.second();
                if let Some(connection) = self.connection(slot).filter(is_due) {
                    self.look(&connection, slot, now);
                }
            }
        }
    }

    /// Plans the first look at a connection.
    pub(super) fn first_look(&self, connection: &Connection, slot: u32) {
        self.plan_look(connection, slot, self.second() + 1);
    }

    /// Something about a connection has changed by which it may be due sooner.
    pub(crate) fn look_anew(&self, connection: &Connection, key: ConnectionKey) {
        self.look_when_due(connection, key.slot, self.now());
    }

    /// Looks at a connection, and notes when to look again.
    fn look(&self, connection: &Rc<Connection>, slot: u32, now: Timestamp) {
        if heartbeat::check(connection, slot, self.second(), now, self.config()) {
            self.flush_later(connection);
        }
        self.look_when_due(connection, slot, now);
    }

    fn look_when_due(&self, connection: &Connection, slot: u32, now: Timestamp) {
        let due = heartbeat::next_look(connection, slot, self.second(), now, self.config());
        let planned = connection.look_at.get();
        // One that is planned, and early enough, stays: so a connection has few places on the wheel (BOUNDED).
        if planned <= self.second() || due < planned {
            self.plan_look(connection, slot, due);
        }
    }

    fn plan_look(&self, connection: &Connection, slot: u32, second: u32) {
        connection.look_at.set(self.looks.borrow_mut().wheel.plan(slot, second));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_once_and_one_that_drifts_is_not() {
        let mut looks = Looks::new(Timestamp::from_ms(5_000_000));
        let mut was_set =
            |now_ms, elapsed_ms| looks.clock_was_set(Timestamp::from_ms(now_ms), Duration::from_millis(elapsed_ms));
        assert!(!was_set(5_001_000, 1_000));
        assert!(!was_set(5_002_900, 2_000), "it gains");
        assert!(!was_set(5_003_000, 3_000), "it loses");
        assert!(was_set(5_104_000, 4_000), "it was put on");
        assert!(!was_set(5_105_000, 5_000), "that is known");
        assert!(was_set(4_006_000, 6_000), "it was put back");
        assert!(!was_set(4_076_000, 76_000), "a late tick is no other clock");
    }
}
