//! What waits for one socket: whole frames, bounded in bytes (BOUNDED), written joined.
//!
//! Everything that goes to a socket goes through here, control frames too, so that no frame cuts into another.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::Bytes;
use hubbub_protocol::frame::Cursor;
use hubbub_protocol::limits::MAX_CURSORS;
use hubbub_protocol::{ConversationId, Sequence};

/// Frames joined in one write. The kernel takes up to 1,024; more than this gains nothing.
const MAX_SLICES: usize = 64;
/// Above this part of the limit ephemeral frames are dropped, and pages of history wait.
const HIGH_WATER_DIVISOR: usize = 4;
/// Slots that an empty outbox keeps: the memory of a burst is given back.
const KEPT_SLOTS: usize = 16;

/// The place of an event's record, by which a slow reader is told where to resume.
pub(crate) type Place = Option<(ConversationId, Sequence)>;

/// The outbox.
pub(crate) struct Outbox {
    waiting: VecDeque<(Bytes, Place)>,
    /// How much of the first frame is written.
    begun: usize,
    bytes: usize,
    max_bytes: usize,
}

/// There is no room: the reader is too slow.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Something to write to without waiting: a socket, or a test that takes a few bytes at a time.
pub(crate) trait TryWrite {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Outbox {
    pub(crate) const fn new(max_bytes: usize) -> Self {
        Self { waiting: VecDeque::new(), begun: 0, bytes: 0, max_bytes }
    }

    /// Queues a frame that must not be lost.
    pub(crate) fn offer(&mut self, frame: Bytes, place: Place) -> Result<(), Full> {
        if self.bytes + frame.len() > self.max_bytes && !self.waiting.is_empty() {
            return Err(Full);
        }
        self.force(frame, place);
        Ok(())
    }

    /// Queues a frame that may be lost; false if it was.
    pub(crate) fn offer_ephemeral(&mut self, frame: Bytes) -> bool {
        let room = !self.is_high();
        if room {
            self.force(frame, None);
        }
        room
    }

    /// Queues one of the last frames, whatever waits.
    pub(crate) fn force(&mut self, frame: Bytes, place: Place) {
        self.bytes += frame.len();
        self.waiting.push_back((frame, place));
    }

    /// Drops every frame that is not begun, and says where to resume the conversations they were of.
    pub(crate) fn abandon(&mut self) -> Vec<Cursor> {
        let keep = usize::from(self.begun > 0);
        let mut resume: Vec<Cursor> = Vec::new();
        for (frame, place) in self.waiting.drain(keep..) {
            self.bytes -= frame.len();
            let Some((conversation_id, sequence)) = place else { continue };
            // Frames of a conversation wait in order: the first that is dropped is where it resumes.
            let known = resume.iter().any(|cursor| cursor.conversation_id == conversation_id);
            if !known && resume.len() < MAX_CURSORS {
                resume.push(Cursor { conversation_id, after_seq: sequence.previous() });
            }
        }
        resume
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// More waits than a reader that keeps up would leave.
    pub(crate) const fn is_high(&self) -> bool {
        self.bytes > self.max_bytes / HIGH_WATER_DIVISOR
    }

    /// Writes as much as the socket takes now, joined.
    pub(crate) fn write_to(&mut self, socket: &impl TryWrite) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let written = {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let mut count = 0;
                for (slot, (frame, _)) in slices.iter_mut().zip(&self.waiting) {
                    let from = if count == 0 { self.begun } else { 0 };
                    *slot = IoSlice::new(frame.get(from..).unwrap_or_default());
                    count += 1;
                }
                match socket.try_write_vectored(&slices[..count]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            };
            self.advance(written);
        }
        self.waiting.shrink_to(KEPT_SLOTS);
        Ok(())
    }

    fn advance(&mut self, written: usize) {
        let mut left = self.begun + written;
        while let Some((frame, _)) = self.waiting.front() {
            if left < frame.len() {
                break;
            }
            left -= frame.len();
            self.bytes -= frame.len();
            self.waiting.pop_front();
        }
        self.begun = left;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Takes at most so many bytes a write, then blocks once.
    struct Dripping {
        taken: RefCell<Vec<u8>>,
        most: usize,
        blocks: RefCell<bool>,
    }

    impl TryWrite for Dripping {
        fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            if self.blocks.replace_with(|blocks| !*blocks) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let joined: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let part = &joined[..joined.len().min(self.most)];
            self.taken.borrow_mut().extend_from_slice(part);
            Ok(part.len())
        }
    }

    #[test]
    fn partial_writes_never_cut_a_frame() {
        for most in 1..40 {
            let socket = Dripping { taken: RefCell::default(), most, blocks: RefCell::new(false) };
            let mut outbox = Outbox::new(1 << 20);
            let mut expected = Vec::new();
            for number in 0..50_u8 {
                let frame = vec![number; 1 + usize::from(number) % 13];
                expected.extend_from_slice(&frame);
                outbox.offer(frame.into(), None).unwrap();
                outbox.write_to(&socket).unwrap();
            }
            while !outbox.is_empty() {
                outbox.write_to(&socket).unwrap();
            }
            assert_eq!(*socket.taken.borrow(), expected, "IN-ORDER: whole frames, {most} bytes a write");
            assert_eq!((outbox.bytes, outbox.begun), (0, 0));
        }
    }

    #[test]
    fn a_full_outbox_is_abandoned_with_resume_points_and_the_begun_frame_is_finished() {
        let conversation = ConversationId::generate();
        let mut outbox = Outbox::new(100);
        for sequence in 1..=10 {
            outbox.offer(vec![0; 10].into(), Some((conversation, Sequence::new(sequence)))).unwrap();
        }
        assert_eq!(outbox.offer(vec![0].into(), None), Err(Full), "BOUNDED");
        assert!(!outbox.offer_ephemeral(vec![0].into()), "ephemeral frames go first");
        let socket = Dripping { taken: RefCell::default(), most: 15, blocks: RefCell::new(false) };
        outbox.write_to(&socket).unwrap();
        let resume = outbox.abandon();
        let expected = Cursor { conversation_id: conversation, after_seq: Sequence::new(2) };
        assert_eq!(resume, vec![expected], "RESUMABLE: the second frame is finished, the third is not begun");
        assert_eq!(outbox.bytes, 10);
        while !outbox.is_empty() {
            outbox.write_to(&socket).unwrap();
        }
        assert_eq!(socket.taken.borrow().len(), 20);
    }
}
