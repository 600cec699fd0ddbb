//! The values that statements are given, borrowed where they are large.

use scylla::frame::response::result::ColumnType;
use scylla::serialize::SerializationError;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, WrittenCellProof};
use uuid::Uuid;

/// One value, of the types that our tables have.
pub(super) enum Value<'a> {
    /// `bigint`; null where there is none, for conditions.
    Number(Option<i64>),
    /// `uuid`.
    Uuid(Uuid),
    /// `blob`.
    Bytes(&'a [u8]),
    /// `text`.
    Text(&'a str),
    /// `int`.
    Int(i32),
    /// `set<bigint>`.
    Numbers(Vec<i64>),
    /// `list<blob>`, for `IN`.
    Blobs(Vec<&'a [u8]>),
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Uuid> for Value<'_> {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl SerializeValue for Value<'_> {
    fn serialize<'b>(
        &self,
        of: &ColumnType<'_>,
        writer: CellWriter<'b>,
    ) -> Result<WrittenCellProof<'b>, SerializationError> {
        match self {
            Self::Number(number) => number.serialize(of, writer),
            Self::Uuid(uuid) => uuid.serialize(of, writer),
            Self::Bytes(bytes) => bytes.serialize(of, writer),
            Self::Text(text) => text.serialize(of, writer),
            Self::Int(number) => number.serialize(of, writer),
            Self::Numbers(numbers) => numbers.serialize(of, writer),
            Self::Blobs(blobs) => blobs.serialize(of, writer),
        }
    }
}
