//! A recalled payload is gone from the disk and not only from the answers.

use hubbub_protocol::record::{Recalled, RecordBody};
use hubbub_protocol::{ConversationId, Sequence};
use hubbub_storage::conformance::{any_message, append_at_head};
use hubbub_storage::log::NewRecord;
use hubbub_storage::sqlite;

use super::fresh;

#[tokio::test]
async fn a_recalled_payload_is_in_no_file_after_a_close() {
    let (store, dir) = fresh();
    let id = ConversationId::generate();
    let (secret, kept) = (b"the secret that was recalled", b"the message that was not");
    // One that shares its page with others, and one that has pages of its own.
    let large: Vec<u8> = secret.iter().copied().cycle().take(60_000).collect();
    append_at_head(&store, id, vec![any_message(secret), any_message(kept), any_message(&large)]).await;
    for target in [1, 3] {
        let recalled = RecordBody::Recalled(Recalled { target: Sequence::new(target) });
        append_at_head(&store, id, vec![NewRecord { body: recalled, ..any_message(b"") }]).await;
    }
    store.engine.close().await.unwrap();
    assert_eq!(sqlite::verify(dir.path()).unwrap().log_records, 5);
    let mut found_kept = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let holds = |words: &[u8]| bytes.windows(words.len()).any(|found| found == words);
        assert!(!holds(secret), "a recalled payload is still on the disk");
        found_kept += usize::from(holds(kept));
    }
    assert_eq!(found_kept, 1, "the test looks in the right place");
}
