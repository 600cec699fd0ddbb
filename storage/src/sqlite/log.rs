//! The conversations' logs in `log.db`: the handle that encodes, hands over and reads.
//!
//! An append's bytes are made on the caller's thread, since it named the head and so knows its sequences; the writer
//! thread decides and commits ([`sequencer`]). Reads go to the reading threads ([`ask`]).

pub(super) mod ask;
mod sequencer;
mod write;

use std::sync::Arc;
use std::thread::JoinHandle;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use hubbub_protocol::{ClientMessageId, ConversationId, Record, RecordBody, Sequence, UserId};

use self::sequencer::{EncodedAppend, EncodedRecord, Sequencer};
use super::connection::WriteConnection;
use super::folder::Folder;
use super::life::Life;
use super::reader::Readers;
use super::writer::Writer;
use crate::error::StoreResult;
use crate::log::{Append, Appended, MessageLog, NewRecord, Range};
use crate::stored::record;

/// What a request takes besides its records' bytes, about.
const REQUEST_BYTES: usize = 128;

/// The log's handle.
pub(super) struct SqliteLog {
    writer: Writer<Sequencer<WriteConnection>>,
    readers: Readers,
}

impl SqliteLog {
    /// Starts the writer thread on a connection.
    pub(super) fn start(
        connection: WriteConnection,
        readers: Readers,
        life: Arc<Life>,
        folder: Arc<Folder>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (writer, thread) = Writer::start("store-log-writer", Sequencer::new(connection), life, folder)?;
        Ok((Self { writer, readers }, thread))
    }

    pub(super) fn close_readers(&self) {
        self.readers.close();
    }

    pub(super) fn close_writer(&self) {
        self.writer.close();
    }
}

impl MessageLog for SqliteLog {
    fn append(&self, append: Append) -> BoxFuture<'static, StoreResult<Appended>> {
        match encode(append) {
            Ok((encoded, bytes)) => self.writer.submit(encoded, bytes),
            Err(refused) => future::ready(Err(refused)).boxed(),
        }
    }

    fn read(
        &self,
        conversation_id: ConversationId,
        range: Range,
        limit: usize,
    ) -> BoxFuture<'static, StoreResult<Vec<Record>>> {
        self.readers.read(move |connection| ask::read(connection, conversation_id, range, limit))
    }

    fn head(&self, conversation_id: ConversationId) -> BoxFuture<'static, StoreResult<Sequence>> {
        self.readers.read(move |connection| ask::head(connection, conversation_id))
    }

    fn lookup(
        &self,
        conversation_id: ConversationId,
        sender_id: UserId,
        client_message_id: ClientMessageId,
    ) -> BoxFuture<'static, StoreResult<Option<Sequence>>> {
        self.readers.read(move |connection| ask::act(connection, conversation_id, sender_id, client_message_id))
    }
}

fn encode(append: Append) -> StoreResult<(EncodedAppend, usize)> {
    append.check()?;
    let Append { conversation_id, expected_head, records } = append;
    let mut at = expected_head;
    let mut bytes = REQUEST_BYTES;
    let mut encoded = Vec::with_capacity(records.len());
    for record in &records {
        at = at.next();
        let record = encode_record(conversation_id, at, record)?;
        bytes += REQUEST_BYTES + record.bytes.len();
        encoded.push(record);
    }
    Ok((EncodedAppend { conversation_id, expected_head, records: encoded }, bytes))
}

fn encode_record(id: ConversationId, at: Sequence, record: &NewRecord) -> StoreResult<EncodedRecord> {
    let recalls = match &record.body {
        RecordBody::Recalled(recalled) => Some(recalled.target),
        _ => None,
    };
    Ok(EncodedRecord {
        sender_id: record.author.sender_id,
        client_id: record.client_message_id,
        recalls,
        bytes: record::encode(id, at, record)?,
    })
}
