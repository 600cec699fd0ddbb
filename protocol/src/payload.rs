//! Bytes that the server carries and never reads (OPAQUE): base64 in JSON, raw in MessagePack.

use std::fmt;

use bytes::Bytes;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A sealed payload. Its `Debug` shows the length alone, so that no log can hold a payload.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Payload(Bytes);

impl Payload {
    /// The payload with these bytes.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The payload of this base64 (RFC 4648 section 4, padded), if it is that.
    pub(crate) fn from_base64(text: &[u8]) -> Option<Self> {
        let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
        // As long as it will be: what is longer is copied, or counted apart, by whoever shares it.
        let length = (text.len() / 4 * 3).checked_sub(padding)?;
        let mut bytes = vec![0; length];
        let decoded = base64_simd::STANDARD.decode(text, base64_simd::Out::from_slice(&mut bytes)).ok()?.len();
        if decoded != length {
            return None;
        }
        Some(Self::from(bytes))
    }

    /// Its bytes, for whoever stores or forwards them.
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Its length in bytes.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is left of it, as after a recall.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&base64_simd::STANDARD.encode_to_string(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(TextReader)
        } else {
            deserializer.deserialize_byte_buf(BytesReader)
        }
    }
}

struct TextReader;

impl Visitor<'_> for TextReader {
    type Value = Payload;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes as base64")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Payload, E> {
        Payload::from_base64(text.as_bytes()).ok_or_else(|| E::custom("not base64 (RFC 4648 section 4, padded)"))
    }
}

/// Reads no text: base64 in MessagePack is a client's mistake that would otherwise be stored as it came.
struct BytesReader;

impl Visitor<'_> for BytesReader {
    type Value = Payload;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("raw bytes (the bin family)")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Payload, E> {
        Ok(Payload(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Payload, E> {
        Ok(Payload::from(bytes))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_end_of_base64_is_read_as_the_strict_reader_reads_it() {
        let strict = |text: &[u8]| STANDARD.decode(text).ok().map(Payload::from);
        for front in ["", "AQID", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYn"] {
            for (a, b) in (0..=u8::MAX).flat_map(|a| (0..=u8::MAX).map(move |b| (a, b))) {
                for end in [&[b'A', a, b, b'='][..], &[b'A', a, b'=', b], &[b'A', b'A', a, b], &[a, b], &[a, b, b'=']] {
                    let text = [front.as_bytes(), end].concat();
                    assert_eq!(Payload::from_base64(&text), strict(&text), "{}", text.escape_ascii());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn base64_is_read_as_the_strict_reader_reads_it(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), at in any::<usize>(), other in any::<u8>(), cut in 0..5_usize,
        ) {
            let mut text = STANDARD.encode(&bytes).into_bytes();
            prop_assert_eq!(Payload::from_base64(&text), Some(Payload::from(bytes)));
            text.truncate(text.len().saturating_sub(cut));
            if !text.is_empty() {
                let at = at % text.len();
                text[at] = other;
            }
            prop_assert_eq!(Payload::from_base64(&text), STANDARD.decode(&text).ok().map(Payload::from));
        }
    }
}
