//! What was of late: a bounded memory that keeps what is in use.
//!
//! Two generations (BOUNDED): when the young one is full it becomes the old one, and what the old one held is forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// Keys and what is known of them.
pub(crate) struct Recent<K, V> {
    generation: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    /// A memory of at least so many keys, and at most twice as many.
    pub(crate) fn new(generation: usize) -> Self {
        Self { generation, young: HashMap::new(), old: HashMap::new() }
    }

    /// What is known of a key.
    pub(crate) fn find(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.set(key, value.clone());
        Some(value)
    }

    /// This is what is known now.
    pub(crate) fn set(&mut self, key: K, value: V) {
        if self.young.len() >= self.generation && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_outlives_much_else_and_memory_stays_bounded() {
        let mut recent = Recent::new(100);
        recent.set(0, 9);
        for other in 1..1000 {
            recent.set(other, 1);
            assert_eq!(recent.find(&0), Some(9));
            assert!(recent.young.len() + recent.old.len() <= 200, "BOUNDED");
        }
        assert_eq!(recent.find(&1), None);
        recent.clear();
        assert_eq!(recent.find(&0), None);
    }
}
