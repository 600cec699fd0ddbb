//! Reading a value whose type is known only once its `type` word was read: what the frames ask of the codec.

use serde::de::DeserializeOwned;

/// A way to read one value of a type chosen late.
pub(crate) trait Decode<'de> {
    type Error;
    fn decode<T: DeserializeOwned>(self) -> Result<T, Self::Error>;
}
