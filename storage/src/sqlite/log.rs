//! The conversations' logs in `log.db`: the handle that encodes, hands over and reads.
//!
//! An append's bytes are made on the caller's thread, since it named the head and so knows its sequences; the writer
//! thread decides ([`sequencer`]) and commits to the journal. Reads go to the reading threads ([`both`]).

pub(super) mod ask;
mod both;
mod sequencer;
pub(super) mod write;

use std::sync::Arc;
use std::thread::JoinHandle;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use hubbub_protocol::{ClientMessageId, ConversationId, Record, RecordBody, Sequence, UserId};

use self::sequencer::{EncodedAppend, EncodedRecord, Sequencer};
use super::folder::Folder;
use super::journal::{JournalWriter, Pending};
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
    writer: Writer<Sequencer<JournalWriter>>,
    pending: Arc<Pending>,
    readers: Readers,
}

impl SqliteLog {
    /// Starts the writer thread on the journal.
    pub(super) fn start(
        journal: JournalWriter,
        pending: Arc<Pending>,
        readers: Readers,
        life: Arc<Life>,
        folder: Arc<Folder>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (writer, thread) = Writer::start("store-log-writer", Sequencer::new(journal), life, folder)?;
        Ok((Self { writer, pending, readers }, thread))
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
        let pending = Arc::clone(&self.pending);
        self.readers.read(move |connection| both::read(connection, &pending, conversation_id, range, limit))
    }

    fn head(&self, conversation_id: ConversationId) -> BoxFuture<'static, StoreResult<Sequence>> {
        let pending = Arc::clone(&self.pending);
        self.readers.read(move |connection| both::head(connection, &pending, conversation_id))
    }

    fn lookup(
        &self,
        conversation_id: ConversationId,
        sender_id: UserId,
        client_message_id: ClientMessageId,
    ) -> BoxFuture<'static, StoreResult<Option<Sequence>>> {
        let pending = Arc::clone(&self.pending);
        let act = (client_message_id, conversation_id, sender_id);
        self.readers.read(move |connection| both::act(connection, &pending, act))
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
