//! A row that only grows, in pieces: what stands in a long one is not copied each time it has doubled.

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

    pub(super) fn truncate(&mut self, length: usize) {
        if length < self.len() {
            self.pieces.truncate(length.div_ceil(PIECE));
            if let Some(last) = self.pieces.last_mut() {
                last.truncate(length - (length - 1) / PIECE * PIECE);
            }
        }
    }

    pub(super) fn get(&self, place: usize) -> Option<&T> {
        self.pieces.get(place / PIECE)?.get(place % PIECE)
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
            assert_eq!((row.len(), row.get(number)), (number, None));
            row.push(number);
        }
        *row.get_mut(PIECE).unwrap() += 1;
        for number in 0..=3 * PIECE {
            assert_eq!(row.get(number), Some(&(number + usize::from(number == PIECE))));
        }
        assert_eq!(row.get(9 * PIECE), None);
        for length in [5 * PIECE, 4 * PIECE + 1, 2 * PIECE + 1, 2 * PIECE, 2 * PIECE - 1, 1, 0, 0] {
            row.truncate(length);
            assert_eq!(row.len(), length.min(3 * PIECE + 1));
        }
    }
}
