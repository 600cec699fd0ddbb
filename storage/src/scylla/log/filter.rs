//! Which acts a sealed bucket surely does not hold, so that a fresh client id costs no read (ONCE, cheaply).
//!
//! A sealed bucket's acts never change, so a Bloom filter over them stays true for ever. It is built in the background once
//! a bucket was asked a few times, and never before a serial read has shown the bucket sealed and spread: a filter over
//! less than all would let a repeated act through. What it answers "perhaps" to is read. Filters are kept while in use, in
//! bounded memory (BOUNDED); their places come from SHA-256 under a salt of this process, so that nobody can choose ids
//! which always cost a read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::partition::{ActKey, Bucket};
use crate::stored::recent::Recent;

/// Bits for each act: with [`PLACES`] places an unknown act is "perhaps" once in about 1,700.
const BITS: usize = 16;
/// Places of an act: as many 32-bit numbers as SHA-256 gives.
const PLACES: usize = 8;
/// Memory of all filters, about: 3,200 buckets of 10,000 records, which is 32 million records.
const MEMORY: usize = 64 * 1024 * 1024;
/// A bucket is asked so often by reads before a filter is worth its building.
const ASKED_BEFORE: u32 = 16;

/// The acts of one sealed bucket.
#[derive(Debug)]
pub(super) struct Filter {
    bits: Vec<u64>,
}

impl Filter {
    fn new(capacity: usize) -> Self {
        Self { bits: vec![0; (capacity.max(1) * BITS).div_ceil(64)] }
    }

    fn insert(&mut self, mark: &Mark) {
        for place in mark.places {
            let bit = place % (self.bits.len() * 64);
            self.bits[bit / 64] |= 1 << (bit % 64);
        }
    }

    fn may_hold(&self, mark: &Mark) -> bool {
        mark.places.iter().all(|place| {
            let bit = place % (self.bits.len() * 64);
            self.bits[bit / 64] & 1 << (bit % 64) != 0
        })
    }
}

/// An act, and where filters look for it: worked out once for all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) act: ActKey,
    places: [usize; PLACES],
}

/// What is known of a sealed bucket.
#[derive(Clone)]
enum Known {
    Asked(u32),
    Filter(Arc<Filter>),
}

/// What a sealed bucket has to be asked.
pub(super) struct Ask {
    /// Whether it holds these; none: it holds none.
    pub(super) acts: Vec<ActKey>,
    /// Whether its filter is worth building by now.
    pub(super) worth_a_filter: bool,
}

/// The filters of this process.
pub(super) struct Filters {
    salt: [u8; 16],
    capacity: usize,
    known: Mutex<Recent<Bucket, Known>>,
}

impl Filters {
    /// For buckets of at most so many acts.
    pub(super) fn new(capacity: usize, salt: [u8; 16]) -> Self {
        let bytes = (capacity * BITS / 8).max(256);
        Self { salt, capacity, known: Mutex::new(Recent::new((MEMORY / bytes / 2).max(1))) }
    }

    fn known(&self) -> MutexGuard<'_, Recent<Bucket, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where filters look for an act.
    pub(super) fn mark(&self, act: &ActKey) -> Mark {
        let digest = Sha256::new().chain_update(self.salt).chain_update(act).finalize();
        let mut places = [0; PLACES];
        for (place, four) in places.iter_mut().zip(digest.chunks_exact(4)) {
            *place = four.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        }
        Mark { act: *act, places }
    }

    /// Which of the acts have to be looked for in a sealed bucket.
    pub(super) fn ask(&self, bucket: Bucket, marks: &[Mark]) -> Ask {
        let all = || marks.iter().map(|mark| mark.act).collect();
        let mut known = self.known();
        let filter = match known.find(&bucket).unwrap_or(Known::Asked(0)) {
            Known::Filter(filter) => filter,
            Known::Asked(times) => {
                known.set(bucket, Known::Asked(times.saturating_add(1)));
                return Ask { acts: all(), worth_a_filter: times >= ASKED_BEFORE };
            }
        };
        drop(known);
        let may_hold = marks.iter().filter(|mark| filter.may_hold(mark));
        Ask { acts: may_hold.map(|mark| mark.act).collect(), worth_a_filter: false }
    }

    /// These are all the acts of a sealed bucket.
    pub(super) fn build(&self, bucket: Bucket, acts: &[ActKey]) {
        let mut filter = Filter::new(self.capacity.max(acts.len()));
        for act in acts {
            filter.insert(&self.mark(act));
        }
        self.known().set(bucket, Known::Filter(Arc::new(filter)));
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::ConversationId;

    use super::*;

    fn act(number: u64) -> ActKey {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn a_filter_never_denies_what_is_there_and_seldom_asks_for_what_is_not() {
        let filters = Filters::new(10_000, [7; 16]);
        let bucket = Bucket { conversation: ConversationId::from_bytes([1; 16]), number: 0 };
        let marks = |acts: &[ActKey]| acts.iter().map(|act| filters.mark(act)).collect::<Vec<_>>();
        let held: Vec<_> = (0..10_000).map(act).collect();
        for _ in 0..ASKED_BEFORE {
            let ask = filters.ask(bucket, &marks(&held[..1]));
            assert!(ask.acts.len() == 1 && !ask.worth_a_filter);
        }
        assert!(filters.ask(bucket, &marks(&held[..1])).worth_a_filter);
        filters.build(bucket, &held);
        assert_eq!(filters.ask(bucket, &marks(&held)).acts, held, "ONCE: the filter denies an act that is there");
        let fresh: Vec<_> = (10_000..110_000).map(act).collect();
        let read = filters.ask(bucket, &marks(&fresh)).acts.len();
        assert!(read < 200, "{read} of 100,000 fresh acts cost a read");
    }
}
