//! A row that only grows, in pieces: what stands in a long one is not copied each time it has doubled.

use std::ops::Range;

/// Entries of one piece.
const PIECE: usize = 256;

/// The row.
pub(super) struct Chunks<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { pieces: Vec::new() }
    }
}

impl<T> Chunks<T> {
    pub(super) fn len(&self) -> usize {
        let full = self.pieces.len().saturating_sub(1) * PIECE;
        full + self.pieces.last().map_or(0, Vec::len)
    }

    pub(super) fn push(&mut self, entry: T) {
        match self.pieces.last_mut() {
            Some(last) if last.len() < PIECE => last.push(entry),
            // Most rows are short: the first piece grows as it is needed.
            None => self.pieces.push(vec![entry]),
            Some(_) => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(entry);
                self.pieces.push(piece);
            }
        }
    }

    /// Those at these places, as far as there are any.
    pub(super) fn range(&self, places: Range<usize>) -> impl Iterator<Item = &T> {
        let pieces = self.pieces.get(places.start / PIECE..).unwrap_or_default();
        pieces.iter().flatten().skip(places.start % PIECE).take(places.len())
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.pieces.get_mut(place / PIECE)?.get_mut(place % PIECE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_where_they_were_put() {
        let mut row = Chunks::default();
        for number in 0..=3 * PIECE {
            assert_eq!((row.len(), row.range(number..number + 1).count()), (number, 0));
            row.push(number);
        }
        *row.get_mut(PIECE).unwrap() += 1;
        let found: Vec<usize> = row.range(0..row.len()).copied().collect();
        let expected: Vec<usize> = (0..=3 * PIECE).map(|number| number + usize::from(number == PIECE)).collect();
        assert_eq!(found, expected);
        for places in
            [0..1, PIECE - 1..PIECE + 1, PIECE..PIECE + 2, 2..3 * PIECE, 3 * PIECE..4 * PIECE, 9 * PIECE..9 * PIECE]
        {
            let wanted = expected.get(places.start.min(expected.len())..places.end.min(expected.len())).unwrap();
            assert_eq!(row.range(places).copied().collect::<Vec<_>>(), wanted);
        }
    }
}
