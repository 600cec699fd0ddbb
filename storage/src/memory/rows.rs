//! Records as bytes, one behind the other: what is kept for long takes no allocation of its own, and half the room.

use super::chunks::Chunks;

/// Bytes of one piece; a longer row has one to itself.
const PIECE: usize = 64 * 1024;

/// The rows of one conversation.
#[derive(Default)]
pub(super) struct Rows {
    pieces: Vec<Vec<u8>>,
    places: Chunks<Place>,
}

/// Where a row lies.
#[derive(Clone, Copy)]
struct Place {
    piece: u32,
    from: u32,
    length: u32,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn get(&self, row: usize) -> Option<&[u8]> {
        let place = self.places.get(row)?;
        self.pieces.get(place.piece as usize)?.get(place.range())
    }

    /// Appends what `write` appends to the bytes that it is given: hardly more than so many.
    pub(super) fn push<E>(&mut self, room: usize, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let place = self.write(room, write)?;
        self.places.push(place);
        Ok(())
    }

    /// Forgets the rows from this one on.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.places.truncate(rows);
    }

    /// Puts these bytes in place of a row's; of those nothing is left.
    pub(super) fn replace(&mut self, row: usize, bytes: &[u8]) {
        let Some(old) = self.places.get(row).copied() else { return };
        let Ok(new) = self.write(bytes.len(), |out| {
            out.extend_from_slice(bytes);
            Ok::<_, std::convert::Infallible>(())
        });
        if let Some(bytes) = self.pieces.get_mut(old.piece as usize).and_then(|piece| piece.get_mut(old.range())) {
            bytes.fill(0);
        }
        if let Some(place) = self.places.get_mut(row) {
            *place = new;
        }
    }

    fn write<E>(&mut self, room: usize, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Place, E> {
        let piece = self.with_room(room);
        let from = piece.len();
        if let Err(error) = write(piece) {
            piece.truncate(from);
            return Err(error);
        }
        let length = piece.len() - from;
        // No piece is longer than the longest row, and no process has room for so many pieces.
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Place { piece: narrow(self.pieces.len() - 1), from: narrow(from), length: narrow(length) })
    }

    /// The last piece, or a new one where that has not so much room. The first grows as it is needed: most conversations
    /// are short.
    fn with_room(&mut self, room: usize) -> &mut Vec<u8> {
        let full = self.pieces.last().is_none_or(|last| last.len() + room > PIECE);
        if full {
            // What would leave much of a piece empty has one of its size.
            let size = if self.pieces.is_empty() || room > PIECE / 4 { room } else { PIECE };
            self.pieces.push(Vec::with_capacity(size));
        }
        let last = self.pieces.len() - 1;
        let piece = &mut self.pieces[last];
        if piece.capacity() < piece.len() + room {
            let size = (2 * piece.capacity()).clamp(piece.len() + room, PIECE.max(piece.len() + room));
            piece.reserve_exact(size - piece.len());
        }
        piece
    }
}

impl Place {
    const fn range(self) -> std::ops::Range<usize> {
        let from = self.from as usize;
        from..from + self.length as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(rows: &mut Rows, room: usize, bytes: &[u8]) {
        let write = |out: &mut Vec<u8>| {
            out.extend_from_slice(bytes);
            Ok::<_, ()>(())
        };
        rows.push(room, write).unwrap();
    }

    #[test]
    fn rows_are_read_as_they_were_written_whatever_their_size() {
        let mut rows = Rows::default();
        let sizes = [0, 1, 300, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 7];
        let row = |number: usize| vec![u8::try_from(number % 251).unwrap(); sizes[number % sizes.len()]];
        for number in 0..100 {
            // What it is said to need and what it needs are not the same.
            push(&mut rows, row(number).len() * (number % 3) / 2, &row(number));
        }
        for number in 0..500 {
            push(&mut rows, 300, &[7; 290]);
            assert_eq!(rows.get(100 + number), Some(&[7; 290][..]));
        }
        for number in 0..100 {
            assert_eq!(rows.get(number), Some(&row(number)[..]), "row {number}");
        }
        assert_eq!((rows.len(), rows.get(600)), (600, None));
    }

    #[test]
    fn of_a_row_that_was_replaced_nothing_is_left() {
        let mut rows = Rows::default();
        for byte in 1..=3 {
            push(&mut rows, 10, &[byte; 10]);
        }
        rows.replace(1, &[9; 4]);
        rows.replace(7, &[9; 4]);
        assert_eq!([0, 1, 2].map(|row| rows.get(row).unwrap()), [&[1; 10][..], &[9; 4], &[3; 10]]);
        assert!(rows.pieces.iter().flatten().all(|byte| *byte != 2), "the old bytes are gone");
    }

    #[test]
    fn a_row_that_cannot_be_written_leaves_nothing() {
        let mut rows = Rows::default();
        push(&mut rows, 5, &[1; 5]);
        let half = |out: &mut Vec<u8>| {
            out.push(2);
            Err(())
        };
        assert_eq!(rows.push(5, half), Err(()));
        push(&mut rows, 5, &[3; 5]);
        push(&mut rows, 5, &[4; 5]);
        rows.truncate(2);
        push(&mut rows, 5, &[5; 5]);
        assert_eq!([0, 1, 2].map(|row| rows.get(row).unwrap()), [[1; 5], [3; 5], [5; 5]]);
    }

    #[test]
    fn a_short_conversation_takes_little() {
        let mut rows = Rows::default();
        push(&mut rows, 250, &[1; 200]);
        assert!(rows.pieces[0].capacity() < 512);
    }
}
