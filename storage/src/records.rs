//! The contract for everything that is not a conversation's log: versioned rows in families.
//!
//! A family is declared once, in `families/`, as a type: its keys, its value, its name. Callers see only [`Table`], typed
//! by it; backends see [`FamilyDef`] and encoded keys. A row has a version that each write moves on, and writes say what
//! they expect, so that two writers cannot both win (compare and set). Uniqueness over a family is a [`Records::claim`]
//! made *before* the row: a claim whose row never came is free again for its owner, and checked by whoever meets it.

use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Reason, StoreError, StoreResult};

/// Rows in one list, at most (BOUNDED).
pub const MAX_LIST_ROWS: usize = 1_000;

/// What a backend has to know of a family: its name, from which it makes a table.
#[derive(Debug, PartialEq, Eq)]
pub struct FamilyDef {
    /// Lower case letters and underscores; never changes once released.
    pub name: &'static str,
}

/// A family of records: rows of one type under a partition key and a sort key.
pub trait Family: Send + Sync + 'static {
    /// Which partition a row is in; one partition is read and written together.
    type Partition: Key;
    /// Where in its partition it stands; rows are listed in the order of its bytes.
    type Sort: Key;
    /// What a row holds. Stored as MessagePack with names; add fields with `#[serde(default)]`.
    type Value: Serialize + DeserializeOwned + Send + Sync;
    /// What backends know of it.
    const DEF: FamilyDef;
}

/// A key's bytes, whose order is the key's order.
pub trait Key: Send + Sync {
    /// The bytes.
    fn to_key(&self) -> Vec<u8>;
    /// The key with these bytes; `None` if there is none.
    fn from_key(bytes: &[u8]) -> Option<Self>
    where
        Self: Sized;
}

/// The version of a row: 1 when it is made, one more with each write.
pub type Version = u64;

/// What a write expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No row.
    Absent,
    /// The row at this version.
    Version(Version),
    /// Whatever is there.
    Any,
}

impl Expect {
    /// Whether what was found is what is expected.
    pub fn is_met_by(self, found: Option<Version>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Version(version) => found == Some(version),
            Self::Any => true,
        }
    }
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is on disk, at this version.
    Done(Version),
    /// Nothing was written: the row is at this version (`None`: there is none).
    Conflict(Option<Version>),
}

/// Who holds a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The caller does, from now on or already.
    Yours,
    /// Somebody else; this is the owner they gave.
    Taken(Vec<u8>),
}

/// A row as backends carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRow {
    /// Its sort key.
    pub sort: Vec<u8>,
    /// Its version.
    pub version: Version,
    /// Its value.
    pub value: Vec<u8>,
}

/// Rows of a partition to list: those whose sort key is above `after` (if any) and starts with `prefix`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slice {
    /// Only keys that start so.
    pub prefix: Vec<u8>,
    /// Only keys above this one.
    pub after: Option<Vec<u8>>,
    /// At most so many; more than [`MAX_LIST_ROWS`] reads as that many. Go on with the last key as `after`.
    pub limit: usize,
}

/// What a backend implements for records. Callers use [`Table`].
pub trait Records: Send + Sync + 'static {
    /// The row, if there is one.
    ///
    /// # Errors
    ///
    /// `Damaged`, `Overloaded`, `Unavailable`, `Stopped`; `Invalid` for a family that the backend does not know.
    fn get(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
    ) -> BoxFuture<'static, StoreResult<Option<RawRow>>>;

    /// Rows of a partition in the order of their sort keys.
    ///
    /// # Errors
    ///
    /// As [`Records::get`].
    fn list(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        slice: Slice,
    ) -> BoxFuture<'static, StoreResult<Vec<RawRow>>>;

    /// Writes a row, if what it expects is so. On disk when it answers `Done`.
    ///
    /// # Errors
    ///
    /// `Overloaded`, `Unavailable`, `Invalid` and `Damaged`: not written. `Unknown` and `Stopped`: perhaps, and perhaps
    /// only later, until another write of the row is `Done`; a deletion that finds no row does not end that. Every other
    /// answer is final: whatever is written, deleted or given back afterwards is not undone by what was answered (HONEST).
    fn put(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>>;

    /// Takes a row away, if what it expects is so; `Done` carries the version that went. Where there is none, it is
    /// `Conflict(None)` whatever was expected.
    ///
    /// # Errors
    ///
    /// As [`Records::put`].
    fn delete(
        &self,
        family: &'static FamilyDef,
        partition: Vec<u8>,
        sort: Vec<u8>,
        expect: Expect,
    ) -> BoxFuture<'static, StoreResult<Written>>;

    /// Makes `value` of the kind `name` (such as an e-mail address) the owner's, unless somebody else has it.
    ///
    /// # Errors
    ///
    /// As [`Records::put`].
    fn claim(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<Claimed>>;

    /// Who has claimed it.
    ///
    /// # Errors
    ///
    /// As [`Records::get`].
    fn claimant(&self, name: &'static str, value: Vec<u8>) -> BoxFuture<'static, StoreResult<Option<Vec<u8>>>>;

    /// Gives a claim back, if it is the owner's.
    ///
    /// # Errors
    ///
    /// As [`Records::put`].
    fn release(&self, name: &'static str, value: Vec<u8>, owner: Vec<u8>) -> BoxFuture<'static, StoreResult<()>>;
}

/// A family's rows, typed.
pub struct Table<F: Family> {
    records: Arc<dyn Records>,
    family: PhantomData<fn() -> F>,
}

impl<F: Family> Clone for Table<F> {
    fn clone(&self) -> Self {
        Self { records: Arc::clone(&self.records), family: PhantomData }
    }
}

/// A row, typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<F: Family> {
    /// Its sort key.
    pub sort: F::Sort,
    /// Its version.
    pub version: Version,
    /// Its value.
    pub value: F::Value,
}

impl<F: Family> Table<F> {
    const DEF: &'static FamilyDef = &F::DEF;

    /// The family's rows in this store.
    #[must_use]
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records, family: PhantomData }
    }

    /// The row, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Records::get`]; `Damaged` also when its value cannot be read.
    pub async fn get(&self, partition: &F::Partition, sort: &F::Sort) -> StoreResult<Option<Row<F>>> {
        let found = self.records.get(Self::DEF, partition.to_key(), sort.to_key()).await?;
        found.as_ref().map(Self::typed).transpose()
    }

    /// Rows of a partition above a key, in order.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub async fn list(
        &self,
        partition: &F::Partition,
        after: Option<&F::Sort>,
        limit: usize,
    ) -> StoreResult<Vec<Row<F>>> {
        let slice = Slice { prefix: Vec::new(), after: after.map(Key::to_key), limit };
        self.slice(partition, slice).await
    }

    /// Rows of a partition as [`Slice`] says, in order.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub async fn slice(&self, partition: &F::Partition, slice: Slice) -> StoreResult<Vec<Row<F>>> {
        let rows = self.records.list(Self::DEF, partition.to_key(), slice).await?;
        rows.iter().map(Self::typed).collect()
    }

    /// Writes a row, if what it expects is so.
    ///
    /// # Errors
    ///
    /// As [`Records::put`].
    pub async fn put(
        &self,
        partition: &F::Partition,
        sort: &F::Sort,
        value: &F::Value,
        expect: Expect,
    ) -> StoreResult<Written> {
        let bytes = rmp_serde::to_vec_named(value).map_err(|error| StoreError::Damaged(Reason::new(error)))?;
        self.records.put(Self::DEF, partition.to_key(), sort.to_key(), bytes, expect).await
    }

    /// Takes a row away, if what it expects is so.
    ///
    /// # Errors
    ///
    /// As [`Records::delete`].
    pub async fn delete(&self, partition: &F::Partition, sort: &F::Sort, expect: Expect) -> StoreResult<Written> {
        self.records.delete(Self::DEF, partition.to_key(), sort.to_key(), expect).await
    }

    fn typed(raw: &RawRow) -> StoreResult<Row<F>> {
        let damaged = |what: &dyn std::fmt::Display| {
            StoreError::Damaged(Reason::new(format_args!("{} of the family {}", what, F::DEF.name)))
        };
        Ok(Row {
            sort: F::Sort::from_key(&raw.sort).ok_or_else(|| damaged(&"a sort key"))?,
            version: raw.version,
            value: rmp_serde::from_slice(&raw.value).map_err(|error| damaged(&error))?,
        })
    }
}

macro_rules! id_key {
    ($($id:ty),*) => {$(
        impl Key for $id {
            fn to_key(&self) -> Vec<u8> {
                self.as_bytes().to_vec()
            }

            fn from_key(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self::from_bytes)
            }
        }
    )*};
}

id_key!(
    hubbub_protocol::UserId,
    hubbub_protocol::ConversationId,
    hubbub_protocol::SessionId,
    hubbub_protocol::DeviceId
);

/// The only row of its partition.
impl Key for () {
    fn to_key(&self) -> Vec<u8> {
        Vec::new()
    }

    fn from_key(bytes: &[u8]) -> Option<Self> {
        bytes.is_empty().then_some(())
    }
}

/// Text, in the order of its UTF-8 bytes.
impl Key for String {
    fn to_key(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn from_key(bytes: &[u8]) -> Option<Self> {
        Self::from_utf8(bytes.to_vec()).ok()
    }
}
