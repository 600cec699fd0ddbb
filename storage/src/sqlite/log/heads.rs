//! The heads of the conversations that were appended to of late, on the writer thread.
//!
//! A head is the highest sequence in the log and nowhere stored by itself; this spares asking for it. Two generations
//! make a bounded cache that keeps what is in use (BOUNDED): when the young one is full it becomes the old one, and what
//! the old one held is forgotten.

use std::collections::HashMap;
use std::mem;

use hubbub_protocol::{ConversationId, Sequence};

/// Heads of one generation: two of them know 100,000 conversations or more, in about 8 MiB.
const GENERATION: usize = 100_000;

/// Conversation to head.
#[derive(Default)]
pub(super) struct Heads {
    young: HashMap<ConversationId, Sequence>,
    old: HashMap<ConversationId, Sequence>,
}

impl Heads {
    /// The head, if it is known.
    pub(super) fn find(&mut self, id: ConversationId) -> Option<Sequence> {
        if let Some(head) = self.young.get(&id) {
            return Some(*head);
        }
        let head = self.old.remove(&id)?;
        self.set(id, head);
        Some(head)
    }

    /// The head is this now.
    pub(super) fn set(&mut self, id: ConversationId, head: Sequence) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&id) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(id, head);
    }

    /// Forgets all, as after something was set that did not come to be.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ConversationId {
        ConversationId::from_bytes((number as u128).to_be_bytes())
    }

    #[test]
    fn a_head_in_use_outlives_many_others_and_memory_stays_bounded() {
        let mut heads = Heads::default();
        heads.set(id(0), Sequence::new(9));
        for other in 1..GENERATION * 5 {
            heads.set(id(other), Sequence::new(1));
            if other % 1000 == 0 {
                assert_eq!(heads.find(id(0)), Some(Sequence::new(9)));
            }
            assert!(heads.young.len() + heads.old.len() <= 2 * GENERATION);
        }
        assert_eq!(heads.find(id(1)), None);
    }
}
