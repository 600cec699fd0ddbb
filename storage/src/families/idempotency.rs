//! Answers kept for `Idempotency-Key`, so that a repeated REST request gets the first one's answer.

use hubbub_protocol::{Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::records::{Family, FamilyDef};

/// The family: partition by person, sorted by `method route key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKeys;

impl Family for IdempotencyKeys {
    type Partition = UserId;
    type Sort = String;
    type Value = IdempotencyKey;
    const DEF: FamilyDef = FamilyDef { name: "idempotency_keys" };
}

/// A request that was begun under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// SHA-256 of the request's body: another body under the same key is refused.
    #[serde(with = "serde_bytes_32")]
    pub body_sha256: [u8; 32],
    /// When it was begun; a claim older than its lease is free again.
    pub begun_at: Timestamp,
    /// Its answer, once there is one.
    #[serde(default)]
    pub answer: Option<KeptAnswer>,
}

/// An answer as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// 32 bytes as MessagePack binary rather than an array of numbers.
mod serde_bytes_32 {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let payload = hubbub_protocol::Payload::deserialize(deserializer)?;
        payload.as_bytes().as_ref().try_into().map_err(|_| serde::de::Error::custom("not 32 bytes"))
    }
}
