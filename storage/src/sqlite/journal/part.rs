//! What one segment holds, in memory: its bytes, and where each record, erasure and client id stands in them.
//!
//! The bytes are the file's, so a place in one is a place in the other, and recovery reads a file into a part as it is.
//! A part only ever grows at its end, by whole synced groups; once its segment is sealed it changes no more.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use hubbub_protocol::{ClientMessageId, ConversationId, Sequence, UserId};

use super::frame::{self, End, HEADER_BYTES, Header, Kind, Place, RowAt};
use crate::stored::content;

/// An author's act in a conversation (ONCE). The client id first, as in the table: those of one time stand together.
pub(in crate::sqlite) type Act = (ClientMessageId, ConversationId, UserId);

/// A conversation's records in a part: dense, since only its head is appended to (GAPLESS).
struct Tail {
    first: Sequence,
    places: Vec<Place>,
}

impl Tail {
    fn last(&self) -> Sequence {
        self.first.plus(self.places.len() as u64).previous()
    }

    fn index(&self, at: Sequence) -> Option<usize> {
        let index = usize::try_from(at.get().checked_sub(self.first.get())?).ok()?;
        (index < self.places.len()).then_some(index)
    }
}

/// One segment's worth of the log.
pub(in crate::sqlite) struct Part {
    header: Header,
    bytes: Vec<u8>,
    tails: HashMap<ConversationId, Tail>,
    /// Records without their payloads, in the place of ones that stand in an earlier part or in SQLite.
    erased: BTreeMap<(ConversationId, Sequence), Place>,
    acts: HashMap<Act, Sequence>,
    rows: usize,
    /// When its first row came.
    since: Option<Instant>,
}

impl Part {
    pub(super) fn new(header: Header) -> Self {
        Self {
            header,
            bytes: header.encode(),
            tails: HashMap::new(),
            erased: BTreeMap::new(),
            acts: HashMap::new(),
            rows: 0,
            since: None,
        }
    }

    /// An empty one with room for as much as this one has and an eighth more: so that it neither grows while readers wait
    /// for it, nor to twice of what it holds.
    pub(super) fn next(&self, header: Header) -> Self {
        let mut next = Self::new(header);
        next.bytes.reserve(self.bytes.len() + self.bytes.len() / 8);
        next.tails.reserve(self.tails.len());
        next.acts.reserve(self.acts.len());
        next
    }

    /// A segment's bytes, read up to where they are whole; what ended it.
    pub(super) fn read(header: Header, bytes: Vec<u8>) -> (Self, End) {
        let mut part = Self { bytes, ..Self::new(header) };
        let mut rows = Vec::new();
        let end = frame::read(&part.bytes, header.salt, |row| rows.push(row));
        for row in rows {
            let act = match row.kind {
                Kind::Stored => content::act(row.place.of(&part.bytes)),
                Kind::Erased => None,
            };
            part.index(row, act);
        }
        if let End::Whole(at) | End::Torn(at) = end {
            part.bytes.truncate(at);
        }
        (part, end)
    }

    /// Takes a synced frame's bytes in; its rows follow. Where they stand.
    pub(super) fn append(&mut self, frame: &[u8]) -> u32 {
        self.since.get_or_insert_with(Instant::now);
        // A segment's places are 32 bits wide: it ends at 16 MiB, and so does the largest group.
        let at = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(frame);
        at
    }

    /// Takes in where a row stands.
    pub(super) fn index(&mut self, row: RowAt, act: Option<(UserId, ClientMessageId)>) {
        self.rows += 1;
        let (id, at) = (row.conversation_id, row.sequence);
        if row.kind == Kind::Erased {
            let tail = self.tails.get_mut(&id);
            match tail.and_then(|tail| tail.index(at).and_then(|index| tail.places.get_mut(index))) {
                Some(place) => *place = row.place,
                None => drop(self.erased.insert((id, at), row.place)),
            }
            return;
        }
        let tail = self.tails.entry(id).or_insert_with(|| Tail { first: at, places: Vec::with_capacity(1) });
        debug_assert_eq!(tail.first.plus(tail.places.len() as u64), at, "GAPLESS: only a head is appended to");
        tail.places.push(row.place);
        if let Some((sender, client_id)) = act {
            self.acts.insert((client_id, id, sender), at);
        }
    }

    pub(super) const fn number(&self) -> u64 {
        self.header.number
    }

    /// Bytes, as many as its segment has up to its last frame's end.
    pub(in crate::sqlite) fn length(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() <= HEADER_BYTES
    }

    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    pub(super) const fn since(&self) -> Option<Instant> {
        self.since
    }

    /// The first and the last sequence of a conversation in it.
    pub(super) fn span(&self, id: ConversationId) -> Option<(Sequence, Sequence)> {
        self.tails.get(&id).map(|tail| (tail.first, tail.last()))
    }

    /// Where an author's act stands.
    pub(super) fn act(&self, act: &Act) -> Option<Sequence> {
        self.acts.get(act).copied()
    }

    /// The record at a place, if it or its erasure stands here.
    pub(super) fn record(&self, id: ConversationId, at: Sequence) -> Option<&[u8]> {
        let tail = self.tails.get(&id);
        let place = tail.and_then(|tail| tail.places.get(tail.index(at)?)).or_else(|| self.erased.get(&(id, at)))?;
        Some(place.of(&self.bytes))
    }

    /// The records of a conversation from one sequence to another, as far as they stand here.
    pub(super) fn between(
        &self,
        id: ConversationId,
        from: Sequence,
        to: Sequence,
    ) -> impl Iterator<Item = (Sequence, &[u8])> {
        let tail = self.tails.get(&id);
        let skip = tail.map_or(0, |tail| from.get().saturating_sub(tail.first.get()));
        let places = tail
            .map_or(&[][..], |tail| tail.places.get(usize::try_from(skip).unwrap_or(usize::MAX)..).unwrap_or_default());
        let first = tail.map_or(from, |tail| tail.first.plus(skip));
        (first.get()..=to.get()).zip(places).map(|(at, place)| (Sequence::new(at), place.of(&self.bytes)))
    }

    /// The erasures of records that stand further back.
    pub(super) fn erased_between(
        &self,
        id: ConversationId,
        from: Sequence,
        to: Sequence,
    ) -> impl Iterator<Item = (Sequence, &[u8])> {
        let range = if from <= to { (id, from)..=(id, to) } else { (id, to)..=(id, to) };
        let found = self.erased.range(range).map(|((_, at), place)| (*at, place.of(&self.bytes)));
        found.filter(move |(at, _)| (from..=to).contains(at))
    }

    /// All records by conversation and sequence, the order of the table that they are applied to.
    pub(in crate::sqlite) fn sorted(&self) -> impl Iterator<Item = (ConversationId, Sequence, &[u8])> {
        let mut tails: Vec<_> = self.tails.iter().collect();
        tails.sort_unstable_by_key(|(id, _)| **id);
        tails.into_iter().flat_map(|(id, tail)| {
            let places = (tail.first.get()..).zip(&tail.places);
            places.map(|(at, place)| (*id, Sequence::new(at), place.of(&self.bytes)))
        })
    }

    /// All acts by client id, likewise.
    pub(in crate::sqlite) fn sorted_acts(&self) -> Vec<(&Act, Sequence)> {
        let mut acts: Vec<_> = self.acts.iter().map(|(act, at)| (act, *at)).collect();
        acts.sort_unstable();
        acts
    }

    /// All erasures of records that stand further back.
    pub(in crate::sqlite) fn erasures(&self) -> impl Iterator<Item = (ConversationId, Sequence, &[u8])> {
        self.erased.iter().map(|((id, at), place)| (*id, *at, place.of(&self.bytes)))
    }
}
