//! What the payloads of this crate carry: who sent it, the how-manieth it is, and when it was meant to be sent.
//!
//! The first 32 bytes are the stamp, the rest is filler that follows from it; so a reader knows a payload that nobody
//! sent, and a latency is taken from the intended instant. The client message id carries the same, so that a ledger
//! finds a message by its numbers, without a table.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hubbub_protocol::ClientMessageId;

/// The bytes of a stamp, and so the smallest payload.
pub const STAMP_BYTES: usize = 32;

/// The numbers of one message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The run, so that messages of an earlier one are not taken for this one's.
    pub run: u32,
    /// Which of the run's senders.
    pub sender: u32,
    /// The how-manieth of this sender, from 0.
    pub number: u64,
    /// When it was meant to be sent, in nanoseconds of the process's own clock.
    pub intended_ns: u64,
}

impl Stamp {
    /// The client message id with these numbers.
    #[must_use]
    pub fn id(&self) -> ClientMessageId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.run.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.sender.to_be_bytes());
        bytes[8..].copy_from_slice(&self.number.to_be_bytes());
        ClientMessageId::from_bytes(bytes)
    }

    /// A payload of `size` bytes, and never less than the stamp.
    #[must_use]
    pub fn payload(&self, size: usize) -> Bytes {
        let mut bytes = Vec::with_capacity(size.max(STAMP_BYTES));
        bytes.extend_from_slice(self.id().as_bytes());
        bytes.extend_from_slice(&self.intended_ns.to_be_bytes());
        let seal = mix(self.number ^ self.intended_ns, u64::from(self.sender) << 32 | u64::from(self.run));
        bytes.extend_from_slice(&seal.to_be_bytes());
        let mut filler = seal;
        while bytes.len() < size {
            filler = mix(filler, seal);
            let left = (size - bytes.len()).min(8);
            bytes.extend_from_slice(&filler.to_be_bytes()[..left]);
        }
        bytes.into()
    }

    /// The stamp of a payload, if it is one of ours and whole in its first part.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let word = |from: usize| Some(u64::from_be_bytes(payload.get(from..from + 8)?.try_into().ok()?));
        let (head, number, intended_ns, seal) = (word(0)?, word(8)?, word(16)?, word(24)?);
        let (run, sender) = split(head);
        let stamp = Self { run, sender, number, intended_ns };
        let expected = mix(number ^ intended_ns, u64::from(sender) << 32 | u64::from(run));
        (seal == expected).then_some(stamp)
    }
}

/// Run, sender and number of a client message id, whoever made it.
#[must_use]
pub fn read_id(id: ClientMessageId) -> (u32, u32, u64) {
    let value = u128::from_be_bytes(*id.as_bytes());
    let (run, sender) = split(high(value));
    (run, sender, low(value))
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of a value are what is wanted")]
const fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

const fn high(value: u128) -> u64 {
    (value >> 64) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn low(value: u128) -> u64 {
    value as u64
}

/// A fingerprint of some bytes: the same bytes, the same number, and hardly ever else. Not for adversaries.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state = words.iter().fold(bytes.len() as u64, |state, word| mix(state, u64::from_le_bytes(*word)));
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        state = mix(state, u64::from_le_bytes(last));
    }
    state
}

/// What a message says, in one number: its sender's id of it and its payload.
#[must_use]
pub fn content(id: Option<ClientMessageId>, payload: &[u8]) -> u64 {
    mix(fingerprint(payload), id.map_or(0, |id| fingerprint(id.as_bytes())))
}

/// A number for a run that begins now: tells its accounts and messages from those of others.
pub(crate) fn run_number() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.subsec_nanos() ^ u32::try_from(since.as_secs() & 0xffff_ffff).unwrap_or(0).rotate_left(7)
}

/// One step of mixing (the multiply and fold of wyhash).
#[must_use]
pub fn mix(state: u64, word: u64) -> u64 {
    let product = u128::from(state ^ 0xa076_1d64_78bd_642f) * u128::from(word ^ 0xe703_7ed1_a0b4_28db);
    high(product) ^ low(product)
}
