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
    salt: [u8; 16],
}

impl Filter {
    fn new(capacity: usize, salt: [u8; 16]) -> Self {
        Self { bits: vec![0; (capacity.max(1) * BITS).div_ceil(64)], salt }
    }

    fn places(&self, act: &ActKey) -> [(usize, u64); PLACES] {
        let digest = Sha256::new().chain_update(self.salt).chain_update(act).finalize();
        let mut places = [(0, 0); PLACES];
        for (place, four) in places.iter_mut().zip(digest.chunks_exact(4)) {
            let number = four.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
            let bit = number % (self.bits.len() * 64);
            *place = (bit / 64, 1 << (bit % 64));
        }
        places
    }

    fn insert(&mut self, act: &ActKey) {
        for (word, bit) in self.places(act) {
            self.bits[word] |= bit;
        }
    }

    fn may_hold(&self, act: &ActKey) -> bool {
        self.places(act).iter().all(|(word, bit)| self.bits[*word] & bit != 0)
    }
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

    /// Which of the acts have to be looked for in a sealed bucket.
    pub(super) fn ask(&self, bucket: Bucket, acts: &[ActKey]) -> Ask {
        let mut known = self.known();
        let filter = match known.find(&bucket).unwrap_or(Known::Asked(0)) {
            Known::Filter(filter) => filter,
            Known::Asked(times) => {
                known.set(bucket, Known::Asked(times.saturating_add(1)));
                return Ask { acts: acts.to_vec(), worth_a_filter: times >= ASKED_BEFORE };
            }
        };
        drop(known);
        Ask { acts: acts.iter().filter(|act| filter.may_hold(act)).copied().collect(), worth_a_filter: false }
    }

    /// These are all the acts of a sealed bucket.
    pub(super) fn build(&self, bucket: Bucket, acts: &[ActKey]) {
        let mut filter = Filter::new(self.capacity.max(acts.len()), self.salt);
        acts.iter().for_each(|act| filter.insert(act));
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
        let held: Vec<_> = (0..10_000).map(act).collect();
        for _ in 0..ASKED_BEFORE {
            let ask = filters.ask(bucket, &held[..1]);
            assert!(ask.acts.len() == 1 && !ask.worth_a_filter);
        }
        assert!(filters.ask(bucket, &held[..1]).worth_a_filter);
        filters.build(bucket, &held);
        assert_eq!(filters.ask(bucket, &held).acts, held, "ONCE: the filter denies an act that is there");
        let fresh: Vec<_> = (10_000..110_000).map(act).collect();
        let read = filters.ask(bucket, &fresh).acts.len();
        assert!(read < 200, "{read} of 100,000 fresh acts cost a read");
    }
}
