//! Which bucket a record is in.
//!
//! An append stands whole in the bucket of its first sequence, so that one conditional batch carries it: bucket
//! `head / size` for what follows `head`. One that crosses the edge overflows its bucket by up to
//! [`MAX_APPEND_RECORDS`]` - 1` records; so a record is in the bucket of its own number or, near its beginning, in one
//! before. Buckets are by count and not by time, so none is empty; with fewer records than one append may have (as in
//! tests) an overflow can skip some.

use hubbub_protocol::Sequence;

use crate::log::MAX_APPEND_RECORDS;

/// By how much an append can overflow its bucket.
fn reach() -> i64 {
    i64::try_from(MAX_APPEND_RECORDS).unwrap_or(i64::MAX) - 1
}

/// Sequences above it are nobody's: a conversation does not reach them, and CQL's numbers end near.
pub(super) const LAST: Sequence = Sequence::new(i64::MAX as u64 - 2 * MAX_APPEND_RECORDS as u64);

/// The sizes of buckets, and what follows from them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets {
    size: i64,
}

impl Buckets {
    pub(super) fn new(size: u32) -> Self {
        Self { size: i64::from(size.max(1)) }
    }

    /// The bucket of what is appended right after a head.
    pub(super) fn after(self, head: Sequence) -> i64 {
        number(head) / self.size
    }

    /// The bucket that a record is in unless its append overflowed an earlier one.
    pub(super) fn of(self, sequence: Sequence) -> i64 {
        self.after(sequence.previous())
    }

    /// Whether what follows this head begins a bucket whatever came before.
    pub(super) fn begins(self, head: Sequence) -> bool {
        number(head) % self.size == 0
    }

    /// Whether a bucket with this head takes no more: then nothing in it changes any more but erased payloads.
    pub(super) fn is_sealed(self, bucket: i64, head: Sequence) -> bool {
        self.after(head) > bucket
    }

    /// The buckets before its own that a record may be in, nearest first.
    pub(super) fn before(self, sequence: Sequence) -> impl Iterator<Item = i64> {
        let reaches = move |bucket: &i64| number(sequence) <= (bucket + 1).saturating_mul(self.size) + reach();
        (0..self.of(sequence)).rev().take_while(reaches)
    }

    /// Of so many buckets in a row, one was appended to if any later one was.
    pub(super) fn window(self) -> i64 {
        reach() / self.size + 1
    }

    pub(super) fn size(self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX)
    }
}

/// A sequence as CQL spells it; what is above [`LAST`] was refused before.
pub(in crate::scylla) fn number(sequence: Sequence) -> i64 {
    i64::try_from(sequence.get()).unwrap_or(i64::MAX)
}

/// And back; a negative number is none of ours.
pub(in crate::scylla) fn sequence(number: i64) -> Option<Sequence> {
    u64::try_from(number).ok().map(Sequence::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Sequence {
        Sequence::new(number)
    }

    #[test]
    fn an_append_stands_where_its_first_record_does_and_a_reader_finds_it() {
        for size in [1, 2, 8, 255, 256, 257, 10_000] {
            let buckets = Buckets::new(size);
            for head in 0..30_000 {
                let bucket = buckets.after(at(head));
                assert_eq!(bucket, buckets.of(at(head + 1)));
                assert!(!buckets.is_sealed(bucket, at(head)));
                for count in [1, 2, 255, 256] {
                    let last = at(head + count);
                    let found = buckets.of(last) == bucket || buckets.before(last).any(|before| before == bucket);
                    assert!(found, "a record of an append at {head} is not looked for in bucket {bucket} of {size}");
                    let skipped = buckets.after(last) - bucket - 1;
                    assert!(skipped < buckets.window(), "an append at {head} skips {skipped} buckets of {size}");
                }
            }
        }
        assert_eq!(Buckets::new(10_000).before(at(10_000)).count(), 0);
        assert_eq!(Buckets::new(10_000).before(at(10_001)).collect::<Vec<_>>(), [0]);
        assert_eq!(Buckets::new(10_000).before(at(10_256)).count(), 0);
        assert_eq!(Buckets::new(10_000).window(), 1);
    }
}
