//! The bytes of a segment: a header, and a frame for each group.
//!
//! ```text
//! header   "HUBBUBJ1" 8 | number 8 | salt 8 | length of the segment before, 0 if not known 8 | CRC-32 4
//! frame    the salt's first half 4 | length of the rows 4 | CRC-32 4 | rows …
//! row      kind 1 | conversation 16 | sequence 8 | length 4 | record
//! ```
//!
//! After the last frame there may be zeros, where the file was made ahead of its use. Numbers are big-endian. A frame's checksum is over the salt, its place in the file, its length and its rows: a frame
//! of another segment, or at another place, is none. The salt is drawn anew for each segment, so that nothing a sender
//! can put into a message looks like a frame. A record's bytes are those that stand in `log.db`, with a checksum of
//! their own.

use hubbub_protocol::{ConversationId, Sequence};

use crate::stored::fields::Fields;

const MAGIC: [u8; 8] = *b"HUBBUBJ1";
/// Bytes of a segment before its first frame.
pub(super) const HEADER_BYTES: usize = 36;
/// Bytes of a frame before its rows.
const HEAD_BYTES: usize = 12;
/// Bytes of a row before its record.
const ROW_BYTES: usize = 29;

/// How a segment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u64,
    pub(super) salt: [u8; 8],
    /// How long the segment before was when this one was made.
    pub(super) before: u64,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.before.to_be_bytes());
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// The header at the start of these bytes, if it is whole.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, sum) = bytes.get(..HEADER_BYTES)?.split_last_chunk::<4>()?;
        let mut fields = Fields(content);
        let magic: [u8; 8] = fields.take()?;
        if magic != MAGIC || u32::from_be_bytes(*sum) != crc32fast::hash(content) {
            return None;
        }
        let number = u64::from_be_bytes(fields.take()?);
        let salt = fields.take()?;
        Some(Self { number, salt, before: u64::from_be_bytes(fields.take()?) })
    }
}

/// What a row does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Stores a record after the conversation's last.
    Stored,
    /// Puts a record without its payload in the place of one that is stored.
    Erased,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Stored => 1,
            Self::Erased => 2,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Stored),
            2 => Some(Self::Erased),
            _ => None,
        }
    }
}

/// Where a record's bytes are, counted from the start of the frame or of the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: u32,
    pub(super) length: u32,
}

impl Place {
    /// The same place, counted from further ahead.
    pub(super) const fn after(self, offset: u32) -> Self {
        Self { at: self.at + offset, length: self.length }
    }

    /// The bytes there.
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        let at = self.at as usize;
        bytes.get(at..at + self.length as usize).unwrap_or_default()
    }
}

/// A row, without its record's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowAt {
    pub(super) kind: Kind,
    pub(super) conversation_id: ConversationId,
    pub(super) sequence: Sequence,
    pub(super) place: Place,
}

/// A frame that is being made; kept from group to group for its memory.
#[derive(Default)]
pub(super) struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        // A group with large payloads leaves no large buffer behind.
        self.bytes.shrink_to(4 * 1024 * 1024);
        self.bytes.resize(HEAD_BYTES, 0);
    }

    /// Puts a row in. `None` if frames of that size have no number for its place.
    pub(super) fn push(&mut self, kind: Kind, id: ConversationId, at: Sequence, record: &[u8]) -> Option<RowAt> {
        let place =
            Place { at: u32::try_from(self.bytes.len() + ROW_BYTES).ok()?, length: u32::try_from(record.len()).ok()? };
        place.at.checked_add(place.length)?;
        self.bytes.push(kind.byte());
        self.bytes.extend_from_slice(id.as_bytes());
        self.bytes.extend_from_slice(&at.get().to_be_bytes());
        self.bytes.extend_from_slice(&place.length.to_be_bytes());
        self.bytes.extend_from_slice(record);
        Some(RowAt { kind, conversation_id: id, sequence: at, place })
    }

    /// The frame's bytes for a place in a segment.
    pub(super) fn seal(&mut self, salt: [u8; 8], offset: u64) -> &[u8] {
        if let Some((head, rows)) = self.bytes.split_first_chunk_mut::<HEAD_BYTES>() {
            let checksum = checksum(salt, offset, rows);
            head[..4].copy_from_slice(&salt[..4]);
            // A frame's places are 32 bits wide, so its length is.
            head[4..8].copy_from_slice(&u32::try_from(rows.len()).unwrap_or(u32::MAX).to_be_bytes());
            head[8..].copy_from_slice(&checksum.to_be_bytes());
        }
        &self.bytes
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The record's bytes at a place in it.
    pub(super) fn at(&self, place: Place) -> &[u8] {
        place.of(&self.bytes)
    }
}

fn checksum(salt: [u8; 8], offset: u64, rows: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt);
    hasher.update(&offset.to_be_bytes());
    hasher.update(&(rows.len() as u64).to_be_bytes());
    hasher.update(rows);
    hasher.finalize()
}

/// How reading a segment's frames ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At this byte, with nothing after it but the zeros that the file was made with.
    Whole(usize),
    /// At this byte a frame is not whole, and no whole one comes after it.
    Torn(usize),
    /// At this byte a frame is not whole, though a whole one comes after it.
    Damaged(usize),
}

/// Gives every row of a segment's whole frames away, in order, places counted from the segment's start.
pub(super) fn read(bytes: &[u8], salt: [u8; 8], mut row: impl FnMut(RowAt)) -> End {
    let mut offset = HEADER_BYTES;
    while offset < bytes.len() {
        let Some(rows) = frame_at(bytes, salt, offset) else { return without_frame(bytes, salt, offset) };
        let start = offset + HEAD_BYTES;
        if read_rows(rows, start, &mut row).is_none() {
            return End::Damaged(offset);
        }
        offset = start + rows.len();
    }
    End::Whole(offset)
}

/// A group is written after the one before was synced: a whole frame further on means that this one was whole once.
fn without_frame(bytes: &[u8], salt: [u8; 8], offset: usize) -> End {
    if bytes[offset..].iter().all(|byte| *byte == 0) {
        return End::Whole(offset);
    }
    let later = (offset + 1..bytes.len()).any(|later| frame_at(bytes, salt, later).is_some());
    if later { End::Damaged(offset) } else { End::Torn(offset) }
}

/// The rows of the whole frame at a place.
fn frame_at(bytes: &[u8], salt: [u8; 8], offset: usize) -> Option<&[u8]> {
    let mut fields = Fields(bytes.get(offset..)?);
    if fields.take::<4>()? != salt[..4] {
        return None;
    }
    let length = usize::try_from(u32::from_be_bytes(fields.take()?)).ok()?;
    let sum = u32::from_be_bytes(fields.take()?);
    let rows = fields.0.get(..length)?;
    (sum == checksum(salt, offset as u64, rows)).then_some(rows)
}

fn read_rows(rows: &[u8], start: usize, give: &mut impl FnMut(RowAt)) -> Option<()> {
    let mut fields = Fields(rows);
    while !fields.0.is_empty() {
        let kind = Kind::of(u8::from_be_bytes(fields.take()?))?;
        let conversation_id = ConversationId::from_bytes(fields.take()?);
        let sequence = Sequence::new(u64::from_be_bytes(fields.take()?));
        let length = u32::from_be_bytes(fields.take()?);
        let at = start + rows.len() - fields.0.len();
        fields.0 = fields.0.get(usize::try_from(length).ok()?..)?;
        give(RowAt { kind, conversation_id, sequence, place: Place { at: u32::try_from(at).ok()?, length } });
    }
    Some(())
}
