//! A stretch of client ids of which SQLite has none, so that most new ids need not be looked for there (ONCE).
//!
//! Client ids are as a rule made in the order of time, so those of new messages fall between the newest that is stored
//! and whatever lies far above. Once that stretch is known, an id within it is new as far as SQLite is concerned, until
//! a segment is applied; ids that are drawn at random are looked for one by one, as ever.

use hubbub_protocol::ClientMessageId;

/// Ids that had to be looked for before the stretch is determined anew: that costs as much as two of them.
const PATIENCE: u32 = 16;

/// The stretch between two neighbours, without them.
#[derive(Default)]
pub(super) struct Vacancy {
    known: Option<(Option<ClientMessageId>, Option<ClientMessageId>)>,
    /// The last segment that had been applied when it was determined, or before.
    applied: u64,
    patience: u32,
}

impl Vacancy {
    /// Forgets the stretch if anything was applied since.
    pub(super) fn as_of(&mut self, applied: u64) {
        if self.applied != applied {
            *self = Self { applied, ..Self::default() };
        }
    }

    /// Whether an id is within the stretch.
    pub(super) fn has(&self, client_id: ClientMessageId) -> bool {
        self.known.is_some_and(|(below, above)| {
            below.is_none_or(|below| below < client_id) && above.is_none_or(|above| client_id < above)
        })
    }

    /// An id was not within it and had to be looked for.
    pub(super) const fn is_to_be_looked_for(&mut self) -> bool {
        let now = self.patience == 0;
        self.patience = if now { PATIENCE } else { self.patience - 1 };
        now
    }

    /// The neighbours of an id that is not stored; `None` if it turned out to be.
    pub(super) const fn set(&mut self, neighbours: Option<(Option<ClientMessageId>, Option<ClientMessageId>)>) {
        self.known = neighbours;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(number: u8) -> ClientMessageId {
        ClientMessageId::from_bytes([number; 16])
    }

    #[test]
    fn only_what_lies_strictly_between_the_neighbours_is_known_to_be_new_and_only_until_something_is_applied() {
        let mut vacancy = Vacancy::default();
        assert!(!vacancy.has(id(5)), "ONCE: nothing is known yet");
        assert!(vacancy.is_to_be_looked_for());
        vacancy.set(Some((Some(id(4)), Some(id(8)))));
        assert!([5, 6, 7].into_iter().all(|number| vacancy.has(id(number))));
        assert!([3, 4, 8, 9].into_iter().all(|number| !vacancy.has(id(number))), "ONCE");
        vacancy.as_of(0);
        assert!(vacancy.has(id(5)));
        vacancy.as_of(1);
        assert!(!vacancy.has(id(5)), "ONCE: what was applied may be in it");
        vacancy.set(Some((None, None)));
        assert!(vacancy.has(id(0)) && vacancy.has(id(255)));
        vacancy.set(None);
        assert!(!vacancy.has(id(5)));
    }

    #[test]
    fn ids_drawn_at_random_make_it_looked_for_only_now_and_then() {
        let mut vacancy = Vacancy::default();
        let looked = (0..1700).filter(|_| vacancy.is_to_be_looked_for()).count();
        assert_eq!(looked, 100);
    }
}
