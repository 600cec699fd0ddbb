//! What is acknowledged and not yet in SQLite, for whoever asks: the sealed parts, oldest first, and the growing one.
//!
//! Whoever reads asks here first and SQLite second. A part is taken away after its transaction was committed, so what is
//! missed here stands there already; what is met twice is the same. The lock is held for as long as a group's index or
//! one answer takes to copy, and never over any wait.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range as Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hubbub_protocol::{ConversationId, Sequence};

use super::part::{Act, Part};
use crate::log::Range;

/// The parts.
pub(in crate::sqlite) struct Pending {
    parts: RwLock<Parts>,
    /// Whether there is a file made ahead for the next segment.
    spare: AtomicBool,
}

struct Parts {
    sealed: VecDeque<Arc<Part>>,
    growing: Part,
    /// The last segment that was taken away.
    applied: u64,
}

impl Parts {
    fn newest_first(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.growing).chain(self.sealed.iter().rev().map(Arc::as_ref))
    }

    fn oldest_first(&self) -> impl Iterator<Item = &Part> {
        self.sealed.iter().map(Arc::as_ref).chain(std::iter::once(&self.growing))
    }
}

impl Pending {
    pub(super) fn new(sealed: Vec<Arc<Part>>, growing: Part) -> Self {
        Self { parts: RwLock::new(Parts { sealed: sealed.into(), growing, applied: 0 }), spare: AtomicBool::new(false) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Parts> {
        self.parts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Parts> {
        self.parts.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sealed parts of this moment, oldest first, and the last that was taken away.
    pub(super) fn sealed(&self) -> (Vec<Arc<Part>>, u64) {
        let parts = self.read();
        (parts.sealed.iter().cloned().collect(), parts.applied)
    }

    /// Looks at the growing part. Only the writer thread changes it.
    pub(super) fn growing<T>(&self, look: impl FnOnce(&Part) -> T) -> T {
        look(&self.read().growing)
    }

    /// Lets the growing part grow by what was synced.
    pub(super) fn grow(&self, grow: impl FnOnce(&mut Part)) {
        grow(&mut self.write().growing);
    }

    /// Puts an empty part in the place of the growing one, which is sealed.
    pub(super) fn seal(&self, next: Part) -> Arc<Part> {
        let mut parts = self.write();
        let sealed = Arc::new(std::mem::replace(&mut parts.growing, next));
        parts.sealed.push_back(Arc::clone(&sealed));
        sealed
    }

    /// Forgets the oldest part: SQLite has it.
    pub(super) fn forget(&self, number: u64) {
        let forgotten = {
            let mut parts = self.write();
            parts.applied = number;
            if parts.sealed.front().is_some_and(|part| part.number() == number) {
                parts.sealed.pop_front()
            } else {
                None
            }
        };
        // Its memory is given back without the lock.
        drop(forgotten);
    }

    /// The applier has made a file for the next segment.
    pub(super) fn put_spare(&self) {
        self.spare.store(true, Ordering::Release);
    }

    pub(super) fn has_spare(&self) -> bool {
        self.spare.load(Ordering::Acquire)
    }

    /// The writer has taken it, and given it another name: only now may the next one be made.
    pub(super) fn took_spare(&self) {
        self.spare.store(false, Ordering::Release);
    }

    /// The head of a conversation that has records here.
    pub(in crate::sqlite) fn head(&self, id: ConversationId) -> Option<Sequence> {
        self.read().newest_first().find_map(|part| part.span(id)).map(|(_, last)| last)
    }

    /// Where an author's act stands.
    pub(in crate::sqlite) fn act(&self, act: &Act) -> Option<Sequence> {
        self.read().newest_first().find_map(|part| part.act(act))
    }

    /// What a read of a conversation has to know of what stands here.
    pub(in crate::sqlite) fn excerpt(&self, id: ConversationId, range: Range, limit: usize) -> Excerpt {
        let parts = self.read();
        let head = parts.newest_first().find_map(|part| part.span(id)).map(|(_, last)| last);
        let limit = limit as u64;
        let (from, to) = match range {
            Range::After(after) => (after.next(), after.plus(limit)),
            Range::Before(before) => {
                let to = before.previous();
                let last = head.map_or(to, |head| head.min(to));
                (Sequence::new(last.get().saturating_sub(limit).saturating_add(1)), to)
            }
        };
        let mut excerpt = Excerpt { from, ..Excerpt::default() };
        if from > to || limit == 0 {
            return excerpt;
        }
        for part in parts.oldest_first() {
            for (at, record) in part.between(id, from, to) {
                let bytes = excerpt.copy(record);
                excerpt.rows.insert(at, bytes);
            }
            // Where nothing stands here, what SQLite has may begin lower than what was counted from.
            let erased_from = if head.is_some() { from } else { Sequence::ZERO };
            for (at, record) in part.erased_between(id, erased_from, to) {
                let bytes = excerpt.copy(record);
                let place = if excerpt.rows.contains_key(&at) { &mut excerpt.rows } else { &mut excerpt.erased };
                place.insert(at, bytes);
            }
        }
        excerpt
    }
}

/// A copy of what stands in the journal of a stretch of a conversation.
#[derive(Default)]
pub(in crate::sqlite) struct Excerpt {
    bytes: Vec<u8>,
    /// The lowest sequence that can be in the answer.
    from: Sequence,
    /// The records: dense.
    rows: BTreeMap<Sequence, Bytes<usize>>,
    /// What stands in the place of records that SQLite has.
    erased: BTreeMap<Sequence, Bytes<usize>>,
}

impl Excerpt {
    fn copy(&mut self, record: &[u8]) -> Bytes<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        start..self.bytes.len()
    }

    /// Whether all that was asked for is here: it reaches from where the stretch begins, and from there on nothing misses.
    pub(in crate::sqlite) fn is_all(&self, range: Range) -> bool {
        let Some((first, _)) = self.rows.first_key_value() else { return false };
        match range {
            Range::After(after) => *first == after.next(),
            Range::Before(_) => *first == self.from,
        }
    }

    /// The records, ascending.
    pub(in crate::sqlite) fn rows(&self) -> impl Iterator<Item = (Sequence, &[u8])> {
        self.rows.iter().map(|(at, place)| (*at, &self.bytes[place.clone()]))
    }

    /// What stands in the place of a record that SQLite has.
    pub(in crate::sqlite) fn instead_of(&self, at: Sequence) -> Option<&[u8]> {
        self.erased.get(&at).or_else(|| self.rows.get(&at)).map(|place| &self.bytes[place.clone()])
    }
}
