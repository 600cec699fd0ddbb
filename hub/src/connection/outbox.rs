//! What waits for one socket: whole frames, bounded in bytes (BOUNDED), written joined.
//!
//! Everything that goes to a socket goes through here, control frames too, so that no frame cuts into another.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::Bytes;
use hubbub_protocol::frame::Cursor;
use hubbub_protocol::limits::MAX_CURSORS;
use hubbub_protocol::{ConversationId, Sequence, UserId};

/// Chunks joined in one write. The kernel takes up to 1,024; more than this gains nothing.
const MAX_SLICES: usize = 64;
/// Above this part of the limit ephemeral frames are dropped, and pages of history wait.
const HIGH_WATER_DIVISOR: usize = 4;
/// A socket's own frames are joined up to so many bytes: dozens of acks in one chunk.
const MAX_JOINED: usize = 16 * 1024;
/// Buffers for own frames that a thread keeps for the next socket that has any.
const MAX_SPARE: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The place of an event's record, by which a slow reader is told where to resume.
pub(crate) type Place = Option<(ConversationId, Sequence)>;

/// Ephemeral notices that wait for a socket that takes nothing now. Full: the oldest is dropped.
const MAX_NOTICES: usize = 64;

/// The outbox. An empty one owns nothing, as most are empty most of the time.
pub(crate) struct Outbox {
    /// What waits, the first apart: mostly it is the only one.
    first: Option<Chunk>,
    more: VecDeque<Chunk>,
    /// How much of the first chunk is written.
    begun: usize,
    bytes: usize,
    max_bytes: usize,
    /// The socket took less than it was given, and all of that is not gone yet.
    is_stuck: bool,
    /// What is to be said of each subject when it is: the last word on it, and no other.
    notices: Option<Box<Notices>>,
}

/// The last words, oldest first.
#[derive(Default)]
struct Notices(VecDeque<(Subject, Bytes)>);

/// What an ephemeral notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Whether somebody writes there.
    Typing(ConversationId, UserId),
    /// Whether somebody is there.
    Presence(UserId),
}

/// Whole frames, one or several.
enum Chunk {
    /// The same for many sockets.
    Shared(Bytes, Place),
    /// This socket's alone.
    Own(Vec<u8>),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(bytes, _) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let Self::Own(bytes) = self else { return };
        if bytes.capacity() <= 2 * MAX_JOINED {
            let mut bytes = std::mem::take(bytes);
            bytes.clear();
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < MAX_SPARE {
                    spare.push(bytes);
                }
            });
        }
    }
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
        Self { first: None, more: VecDeque::new(), begun: 0, bytes: 0, max_bytes, is_stuck: false, notices: None }
    }

    /// Whether so many bytes more would be taken.
    pub(crate) const fn has_room_for(&self, more: usize) -> bool {
        self.bytes + more <= self.max_bytes || self.first.is_none()
    }

    /// Queues frames that must not be lost.
    pub(crate) fn offer(&mut self, frames: Bytes, place: Place) -> Result<(), Full> {
        if !self.has_room_for(frames.len()) {
            return Err(Full);
        }
        self.force(frames, place);
        Ok(())
    }

    /// Queues a frame of this socket's alone, which `write` appends to what it is given.
    pub(crate) fn offer_own(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Full> {
        let last = self.more.back_mut().or(self.first.as_mut());
        if let Some(Chunk::Own(bytes)) = last
            && bytes.len() < MAX_JOINED
        {
            let before = bytes.len();
            write(bytes);
            let added = bytes.len() - before;
            if self.bytes + added > self.max_bytes {
                bytes.truncate(before);
                return Err(Full);
            }
            self.bytes += added;
            return Ok(());
        }
        let mut bytes = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        write(&mut bytes);
        if bytes.len() > MAX_JOINED {
            // A page of history waits long, and was written into what doubled as it grew.
            bytes.shrink_to_fit();
        }
        if !self.has_room_for(bytes.len()) {
            return Err(Full);
        }
        self.push(Chunk::Own(bytes));
        Ok(())
    }

    /// Queues a notice of which only the last on its subject counts; false if one was lost. Where the socket takes nothing
    /// now, it waits apart, behind all that must not be lost, and takes the place of the one before it.
    pub(crate) fn offer_ephemeral(&mut self, frame: Bytes, subject: Option<Subject>) -> bool {
        let Some(subject) = subject.filter(|_| self.is_stuck) else {
            let room = !self.is_high();
            if room {
                self.force(frame, None);
            }
            return room;
        };
        let Notices(notices) = &mut **self.notices.get_or_insert_default();
        let known = notices.iter().position(|(known, _)| *known == subject);
        let full = known.is_none() && notices.len() >= MAX_NOTICES;
        let place = known.or(full.then_some(0));
        let before = place.and_then(|place| notices.remove(place));
        notices.push_back((subject, frame));
        before.is_none()
    }

    /// Queues one of the last frames, whatever waits.
    pub(crate) fn force(&mut self, frames: Bytes, place: Place) {
        self.push(Chunk::Shared(frames, place));
    }

    fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.bytes().len();
        match &self.first {
            None => self.first = Some(chunk),
            Some(_) => self.more.push_back(chunk),
        }
    }

    fn pop(&mut self) {
        self.first = self.more.pop_front();
    }

    /// Drops every chunk that is not begun, and says where to resume the conversations they were of.
    pub(crate) fn abandon(&mut self) -> Vec<Cursor> {
        let first = if self.begun > 0 { None } else { self.first.take() };
        self.notices = None;
        let mut resume: Vec<Cursor> = Vec::new();
        for chunk in first.into_iter().chain(self.more.drain(..)) {
            self.bytes -= chunk.bytes().len();
            let Chunk::Shared(_, Some((conversation_id, sequence))) = chunk else { continue };
            // Frames of a conversation wait in order: the first that is dropped is where it resumes.
            let known = resume.iter().any(|cursor| cursor.conversation_id == conversation_id);
            if !known && resume.len() < MAX_CURSORS {
                resume.push(Cursor { conversation_id, after_seq: sequence.previous() });
            }
        }
        resume
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// More waits than a reader that keeps up would leave.
    pub(crate) const fn is_high(&self) -> bool {
        self.bytes > self.max_bytes / HIGH_WATER_DIVISOR
    }

    /// Writes as much as the socket takes now, joined.
    pub(crate) fn write_to(&mut self, socket: &impl TryWrite) -> io::Result<()> {
        self.write_queue(socket)?;
        if self.is_empty()
            && let Some(notices) = self.notices.take()
        {
            notices.0.into_iter().for_each(|(_, frame)| self.force(frame, None));
            self.write_queue(socket)?;
        }
        Ok(())
    }

    fn write_queue(&mut self, socket: &impl TryWrite) -> io::Result<()> {
        while let Some(first) = &self.first {
            let rest = &first.bytes()[self.begun..];
            let result = if self.more.is_empty() {
                socket.try_write_vectored(&[IoSlice::new(rest)])
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                slices[0] = IoSlice::new(rest);
                let mut count = 1;
                for (slot, chunk) in slices[1..].iter_mut().zip(&self.more) {
                    *slot = IoSlice::new(chunk.bytes());
                    count += 1;
                }
                socket.try_write_vectored(&slices[..count])
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_stuck = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        // The memory of a burst is given back.
        self.more = VecDeque::new();
        self.is_stuck = false;
        Ok(())
    }

    fn advance(&mut self, written: usize) {
        let mut left = self.begun + written;
        while let Some(length) = self.first.as_ref().map(|chunk| chunk.bytes().len()) {
            if left < length {
                break;
            }
            left -= length;
            self.bytes -= length;
            self.pop();
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
                if number % 3 == 0 {
                    outbox.offer_own(|own| own.extend_from_slice(&frame)).unwrap();
                } else {
                    outbox.offer(frame.into(), None).unwrap();
                }
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
    fn own_frames_are_joined_in_their_order_and_bounded() {
        let socket = Dripping { taken: RefCell::default(), most: 1 << 20, blocks: RefCell::new(false) };
        let mut outbox = Outbox::new(30);
        for number in 0..4 {
            outbox.offer_own(|own| own.extend_from_slice(&[number; 5])).unwrap();
        }
        outbox.offer(vec![9; 5].into(), None).unwrap();
        outbox.offer_own(|own| own.extend_from_slice(&[4; 5])).unwrap();
        assert_eq!(outbox.more.len(), 2, "four are one chunk, and what comes after a shared frame is another");
        assert_eq!(outbox.offer_own(|own| own.push(5)), Err(Full), "BOUNDED");
        outbox.write_to(&socket).unwrap();
        let numbers: Vec<u8> = socket.taken.borrow().chunks(5).map(|frame| frame[0]).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 9, 4], "IN-ORDER, and nothing of what had no room");
        assert_eq!((outbox.bytes, outbox.is_empty()), (0, true));
    }

    #[test]
    fn bounded_a_stuck_socket_gets_the_last_word_on_each_subject_behind_all_messages() {
        let socket = Dripping { taken: RefCell::default(), most: 1 << 20, blocks: RefCell::new(true) };
        let mut outbox = Outbox::new(1000);
        outbox.offer(vec![1].into(), None).unwrap();
        // It blocks at first.
        outbox.write_to(&socket).unwrap();
        let person = |number| Some(Subject::Presence(UserId::from_bytes([number; 16])));
        assert!(outbox.offer_ephemeral(vec![100].into(), person(1)));
        assert!(outbox.offer_ephemeral(vec![101].into(), person(2)));
        assert!(!outbox.offer_ephemeral(vec![102].into(), person(1)), "the one before it is dropped");
        outbox.offer(vec![2].into(), None).unwrap();
        while !outbox.is_empty() {
            outbox.write_to(&socket).unwrap();
        }
        assert_eq!(*socket.taken.borrow(), [1, 2, 101, 102]);
        outbox.offer(vec![3].into(), None).unwrap();
        *socket.blocks.borrow_mut() = true;
        outbox.write_to(&socket).unwrap();
        let kept = (0..200).filter(|number| outbox.offer_ephemeral(vec![*number].into(), person(*number))).count();
        assert_eq!((kept, outbox.notices.as_ref().unwrap().0.len()), (MAX_NOTICES, MAX_NOTICES), "BOUNDED");
    }

    #[test]
    fn a_full_outbox_is_abandoned_with_resume_points_and_the_begun_frame_is_finished() {
        let conversation = ConversationId::generate();
        let mut outbox = Outbox::new(100);
        for sequence in 1..=10 {
            outbox.offer(vec![0; 10].into(), Some((conversation, Sequence::new(sequence)))).unwrap();
        }
        assert_eq!(outbox.offer(vec![0].into(), None), Err(Full), "BOUNDED");
        assert!(!outbox.offer_ephemeral(vec![0].into(), None), "ephemeral frames go first");
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
