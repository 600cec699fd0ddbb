//! Reads the lists in a client's frames without believing the length that they claim (BOUNDED).
//!
//! A MessagePack array says its length first, and serde's own reading of a `Vec` sets memory aside by it: a frame of 30
//! bytes could claim 1 MiB. Here a list grows only as its elements arrive, so the frame's size bounds it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// For `#[serde(deserialize_with = "list::read")]`.
pub(super) fn read<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(ListReader(PhantomData))
}

struct ListReader<T>(PhantomData<fn() -> T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListReader<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::Error;

    use super::*;

    /// Claims four thousand million elements and has none.
    struct Braggart;

    impl<'de> SeqAccess<'de> for Braggart {
        type Error = Error;

        fn next_element_seed<S: serde::de::DeserializeSeed<'de>>(&mut self, _: S) -> Result<Option<S::Value>, Error> {
            Ok(None)
        }

        fn size_hint(&self) -> Option<usize> {
            Some(u32::MAX as usize)
        }
    }

    #[test]
    fn no_memory_is_set_aside_for_a_claimed_length() {
        let list: Vec<u64> = ListReader(PhantomData).visit_seq(Braggart).unwrap();
        assert_eq!(list.capacity(), 0, "BOUNDED: a claim of 4 Gi elements took memory");
    }
}
