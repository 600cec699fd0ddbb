//! The id of the direct conversation of two people: derived from them, so that opening it twice meets the same log.

use hubbub_protocol::{ConversationId, UserId};
use sha2::{Digest, Sha256};

/// Never changes: every direct conversation's id rests on it.
const LABEL: &[u8] = b"hubbub direct conversation v1";

/// The same for (a, b) and (b, a): a `UUIDv8` (RFC 9562 section 5.8) of the hash of both.
pub fn direct_conversation_id(a: UserId, b: UserId) -> ConversationId {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    let digest =
        Sha256::new().chain_update(LABEL).chain_update(low.as_bytes()).chain_update(high.as_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    ConversationId::from_bytes(bytes)
}
