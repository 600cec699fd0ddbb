//! Which connections are looked at in which second: one wheel for all of a shard, so that a second costs what is due in it
//! and not a look at everybody.

/// Seconds of one turn. What is further away is looked at once a turn, and put off.
const TURN: u32 = 64;

/// The wheel. Holds places, not connections: whether a place is still meant is for its connection to say.
pub(super) struct Wheel {
    spokes: Vec<Vec<u32>>,
    /// The last second that was taken.
    taken: u32,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self { spokes: (0..TURN).map(|_| Vec::new()).collect(), taken: 0 }
    }

    /// Puts a place down for this second, as far as one turn goes; answers for which.
    pub(super) fn plan(&mut self, slot: u32, second: u32) -> u32 {
        let second = second.clamp(self.taken.saturating_add(1), self.taken.saturating_add(TURN));
        if let Some(spoke) = self.spokes.get_mut((second % TURN) as usize) {
            spoke.push(slot);
        }
        second
    }

    /// Takes the places of the next second, if that is not after this one.
    pub(super) fn take(&mut self, until: u32) -> Option<Vec<u32>> {
        if self.taken >= until {
            return None;
        }
        // After a long sleep one turn is all there is.
        self.taken = (self.taken + 1).max(until.saturating_sub(TURN));
        let spoke = self.spokes.get_mut((self.taken % TURN) as usize)?;
        Some(std::mem::take(spoke))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places up to this second, each with that in which it came.
    fn all(wheel: &mut Wheel, until: u32) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        while let Some(slots) = wheel.take(until) {
            found.extend(slots.into_iter().map(|slot| (wheel.taken, slot)));
        }
        found
    }

    #[test]
    fn places_come_in_their_second_or_at_the_end_of_the_turn() {
        let mut wheel = Wheel::new();
        let planned = [(1, 3), (2, 3), (3, 0), (4, 64), (5, 1_000)].map(|(slot, second)| wheel.plan(slot, second));
        assert_eq!(planned, [3, 3, 1, 64, 64]);
        assert_eq!(all(&mut wheel, 2), [(1, 3)]);
        assert_eq!(wheel.plan(6, 2), 3, "what is over is next");
        assert_eq!(all(&mut wheel, 63), [(3, 1), (3, 2), (3, 6)]);
        assert_eq!(all(&mut wheel, 64), [(64, 4), (64, 5)]);
        assert_eq!(all(&mut wheel, 64), []);
    }

    #[test]
    fn nobody_is_left_out_after_a_long_sleep() {
        let mut wheel = Wheel::new();
        (1..=TURN).for_each(|second| assert_eq!(wheel.plan(second, second), second));
        let slots: Vec<u32> = all(&mut wheel, 10 * TURN + 7).into_iter().map(|(_, slot)| slot).collect();
        assert_eq!((slots.len(), wheel.taken), (TURN as usize, 10 * TURN + 7));
    }
}
