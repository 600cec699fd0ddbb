//! What becomes of a recalled payload in the tables, and of a row that is not as it was written.

use hubbub_protocol::record::Recalled;
use hubbub_protocol::{ConversationId, RecordBody, Sequence};
use hubbub_storage::conformance::{any_message, append_at_head, message, person};
use hubbub_storage::error::StoreError;
use hubbub_storage::log::{NewRecord, Range};
use hubbub_storage::store::Store;
use scylla::value::CqlValue;

use super::raw::Raw;
use super::{RUNTIME, TINY, fresh, server};

const TABLE: &str = "hubbub_contract_8.log";

struct Stage {
    store: Store,
    raw: Raw,
    id: ConversationId,
}

impl Stage {
    /// A conversation of three buckets.
    async fn set(store: Store) -> Self {
        let id = ConversationId::generate();
        for number in 1..=20_u8 {
            append_at_head(&store, id, vec![any_message(&[number])]).await;
        }
        Self { store, raw: Raw::connect(&server().unwrap()).await, id }
    }

    fn place(&self, bucket: i64, sequence: i64) -> String {
        format!("conversation = {} AND bucket = {bucket} AND kind = 0 AND sequence = {sequence} AND act = 0x", self.id)
    }

    async fn payload(&self, sequence: u64) -> Result<Vec<u8>, StoreError> {
        let found = self.store.log.read(self.id, Range::After(Sequence::new(sequence - 1)), 1).await?;
        let RecordBody::Message(message) = &found[0].body else { panic!("another kind") };
        Ok(message.payload.as_bytes().to_vec())
    }

    /// The payload as it is stored.
    async fn stored(&self, bucket: i64, sequence: i64) -> Option<CqlValue> {
        let rows = self.raw.rows(&format!("SELECT payload FROM {TABLE} WHERE {}", self.place(bucket, sequence))).await;
        rows[0].columns[0].clone()
    }

    async fn recall(&self, target: u64) -> Sequence {
        let body = RecordBody::Recalled(Recalled { target: Sequence::new(target) });
        let recall = NewRecord { body, ..message(person(1), None, b"") };
        append_at_head(&self.store, self.id, vec![recall]).await
    }
}

fn on_stage(test: impl AsyncFnOnce(&Stage)) {
    let Some((store, ())) = fresh(TINY) else { return };
    RUNTIME.block_on(async {
        let stage = Stage::set(store).await;
        test(&stage).await;
        stage.store.engine.close().await.unwrap();
    });
}

#[test]
fn a_recalled_payload_leaves_the_tables_in_whichever_bucket_it_was() {
    on_stage(async |stage| {
        for (bucket, target) in [(2, 19), (0, 3), (1, 9)] {
            assert!(stage.stored(bucket, target).await.is_some());
            stage.recall(target.unsigned_abs()).await;
            assert_eq!(stage.payload(target.unsigned_abs()).await, Ok(Vec::new()), "a recalled payload is served");
        }
        // What is older is erased after the answer; closing waits for it.
        stage.store.engine.close().await.unwrap();
        for (bucket, target) in [(2, 19), (0, 3), (1, 9)] {
            assert_eq!(stage.stored(bucket, target).await, None, "the payload of {target} is still stored");
        }
    });
}

#[test]
fn a_recall_that_was_cut_short_before_its_erasure_is_heeded_and_made_good() {
    on_stage(async |stage| {
        let Some(CqlValue::Blob(payload)) = stage.stored(0, 3).await else { panic!("no payload") };
        let recall = stage.recall(3).await;
        // As it stood when the process died right after the commit.
        let hex = payload.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let place = stage.place(0, 3);
        stage.raw.run(&format!("UPDATE {TABLE} SET payload = 0x{hex}, erased = null WHERE {place} IF EXISTS")).await;
        assert!(stage.stored(0, 3).await.is_some(), "recall {recall}");
        assert_eq!(stage.payload(3).await, Ok(Vec::new()), "a recalled payload is served");
        stage.store.engine.close().await.unwrap();
        assert_eq!(stage.stored(0, 3).await, None, "nobody made it good");
    });
}

#[test]
fn an_intent_whose_recall_never_came_erases_nothing() {
    on_stage(async |stage| {
        for recall in [7, 21, 900] {
            let place = stage.place(0, 3);
            stage
                .raw
                .run(&format!("UPDATE {TABLE} SET recalls = recalls + {{{recall}}} WHERE {place} IF EXISTS"))
                .await;
        }
        assert_eq!(stage.payload(3).await, Ok(vec![3]), "what was not recalled is left out");
    });
}

#[test]
fn what_is_not_as_it_was_written_is_refused_and_the_rest_is_served() {
    on_stage(async |stage| {
        let place = |sequence| stage.place(0, sequence);
        stage.raw.run(&format!("UPDATE {TABLE} SET payload = null WHERE {} IF EXISTS", place(2))).await;
        stage.raw.run(&format!("UPDATE {TABLE} SET payload = 0x0102030405 WHERE {} IF EXISTS", place(4))).await;
        stage.raw.run(&format!("UPDATE {TABLE} SET record = 0x010203 WHERE {} IF EXISTS", place(6))).await;
        stage.raw.run(&format!("DELETE FROM {TABLE} WHERE {} IF EXISTS", place(8))).await;
        for sequence in [2, 4, 6, 8] {
            let read = stage.store.log.read(stage.id, Range::After(Sequence::new(sequence - 1)), 1).await;
            assert!(matches!(read, Err(StoreError::Damaged(_))), "{sequence}: {read:?}");
        }
        for sequence in [1, 3, 5, 7, 9, 20] {
            assert!(stage.payload(sequence).await.is_ok(), "{sequence}");
        }
    });
}
