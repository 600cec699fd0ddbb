//! Which acts a conversation's rows carry, and where (ONCE): a table of row numbers, as the acts themselves lie in the rows.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hubbub_protocol::{ClientMessageId, UserId};

/// An author, and their own id of what they did.
pub(super) type Act = (UserId, ClientMessageId);

/// The table.
#[derive(Default)]
pub(super) struct Acts(HashTable<Entry>);

/// A row, with enough of its act's hash that the table grows without a look at the rows.
struct Entry {
    hash: u32,
    row: u32,
}

impl Acts {
    /// The row that carries this act, as `act_of` tells of a row.
    pub(super) fn find(&self, hasher: &RandomState, act: &Act, act_of: impl Fn(usize) -> Option<Act>) -> Option<usize> {
        let hash = short(hasher, act);
        let is_it = |entry: &Entry| entry.hash == hash && act_of(entry.row as usize).as_ref() == Some(act);
        self.0.find(spread(hash), is_it).map(|entry| entry.row as usize)
    }

    /// Notes that this row carries this act, which no other does.
    pub(super) fn insert(&mut self, hasher: &RandomState, act: &Act, row: usize) {
        let hash = short(hasher, act);
        // No process has room for so many rows.
        let row = u32::try_from(row).unwrap_or(u32::MAX);
        self.0.insert_unique(spread(hash), Entry { hash, row }, |entry| spread(entry.hash));
    }
}

fn short(hasher: &RandomState, act: &Act) -> u32 {
    // The upper half, all of which is mixed.
    u32::try_from(hasher.hash_one(act) >> 32).unwrap_or_default()
}

/// The table looks at the lowest and the highest bits of a hash.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(number: usize) -> Act {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        (UserId::from_bytes([u8::try_from(number % 3).unwrap(); 16]), ClientMessageId::from_bytes(bytes))
    }

    #[test]
    fn each_act_is_found_at_its_row_and_no_other_is() {
        let (mut acts, hasher) = (Acts::default(), RandomState::default());
        for row in 0..10_000 {
            assert_eq!(acts.find(&hasher, &act(row), |row| Some(act(row))), None);
            acts.insert(&hasher, &act(row), row);
        }
        for row in 0..10_000 {
            assert_eq!(acts.find(&hasher, &act(row), |row| Some(act(row))), Some(row));
        }
    }

    #[test]
    fn acts_of_one_hash_are_told_apart() {
        let (mut acts, hasher) = (Acts::default(), RandomState::default());
        for row in 0..100 {
            acts.0.insert_unique(
                spread(short(&hasher, &act(1))),
                Entry { hash: short(&hasher, &act(1)), row },
                |entry| spread(entry.hash),
            );
        }
        let carried = |row: usize| Some(act(if row == 77 { 1 } else { row + 1_000 }));
        assert_eq!(acts.find(&hasher, &act(1), carried), Some(77));
    }
}
