//! Messages that are out until every reader has them: what a closed loop over deliveries waits for.
//!
//! Told by the players as messages come to them; a conductor sends the next when one is through.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{Crew, Order};
use crate::client::stamp::Stamp;

/// A message that is not through after this long is given up by the loop, and left to the ledger.
const PATIENCE: Duration = Duration::from_secs(10);

/// The messages that are out.
#[derive(Debug)]
pub(crate) struct Waves {
    readers: usize,
    /// By sender and number: how many readers have it.
    out: HashMap<(u32, u64), usize>,
    /// How many are through and were not yet asked for.
    through: usize,
}

impl Waves {
    /// For so many readers of each message.
    pub(crate) fn new(readers: usize) -> Self {
        Self { readers, out: HashMap::new(), through: 0 }
    }

    /// A reader has a message. `true` if all have it now.
    pub(super) fn heard(&mut self, stamp: &Stamp) -> bool {
        let key = (stamp.sender, stamp.number);
        let count = self.out.entry(key).or_default();
        *count += 1;
        if *count < self.readers {
            return false;
        }
        self.out.remove(&key);
        self.through += 1;
        true
    }

    fn take_through(&mut self) -> usize {
        std::mem::take(&mut self.through)
    }
}

/// Wakes the conductor.
pub(super) type Bell = Notify;

impl Crew {
    /// Closed loop: so many messages are out at a time, each until every reader has it. `pick` says which player sends to
    /// which of its conversations.
    pub(crate) async fn keep_out(
        &self,
        window: usize,
        warming: Duration,
        length: Duration,
        pick: &mut impl FnMut() -> (usize, usize),
    ) {
        let run = &self.run;
        let began = Instant::now();
        let mut out = 0_usize;
        while began.elapsed() < warming + length {
            if began.elapsed() >= warming {
                run.begin_measuring();
            }
            while out < window {
                let (player, slot) = pick();
                self.order(player, Order::SendNow { slot });
                out += 1;
            }
            out -= self.through().await.min(out);
        }
        while out > 0 {
            let through = self.through().await;
            if through == 0 {
                break;
            }
            out -= through.min(out);
        }
        run.end_measuring();
    }

    /// Waits, for a bounded time, until one is through. Gives how many are.
    async fn through(&self) -> usize {
        let run = &self.run;
        let take = || run.waves.borrow_mut().as_mut().map_or(0, Waves::take_through);
        match take() {
            0 => {
                drop(tokio::time::timeout(PATIENCE, run.bell.notified()).await);
                take()
            }
            through => through,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_through_when_every_reader_has_it() {
        let mut waves = Waves::new(2);
        let stamp = |number| Stamp { run: 1, sender: 3, number, intended_ns: 0 };
        assert!(!waves.heard(&stamp(0)));
        assert!(!waves.heard(&stamp(1)));
        assert!(waves.heard(&stamp(1)));
        assert_eq!((waves.take_through(), waves.out.len()), (1, 1));
        assert!(waves.heard(&stamp(0)));
        assert_eq!((waves.take_through(), waves.take_through()), (1, 0));
    }
}
