//! The sequencer on its writer thread, over a log that meets damage on purpose: what is rolled back was never decided.

use std::collections::HashMap;
use std::sync::{Arc, Barrier};

use hubbub_protocol::Record;

use super::super::super::folder::Folder;
use super::super::super::life::Life;
use super::super::super::writer::Writer;
use super::*;

const SOUND: ConversationId = ConversationId::from_bytes([1; 16]);
const OTHER: ConversationId = ConversationId::from_bytes([2; 16]);
const TORN: ConversationId = ConversationId::from_bytes([3; 16]);

/// Where damage is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    AtInsert,
    AtCommit,
}

/// Knows how many records each conversation has, and whether a group touched the torn one.
struct TornLog {
    met: Met,
    heads: HashMap<ConversationId, Sequence>,
    before_group: HashMap<ConversationId, Sequence>,
    /// The first group is met here twice: when it has begun, and when it may go on.
    first_group: Option<Arc<Barrier>>,
}

impl TornLog {
    fn meet(&self, met: Met) -> StoreResult<()> {
        let torn = met == self.met && self.heads.contains_key(&TORN);
        if torn { Err(StoreError::Damaged(Reason::new("torn on purpose"))) } else { Ok(()) }
    }
}

impl LogWriter for TornLog {
    fn begin(&mut self) -> StoreResult<()> {
        if let Some(barrier) = self.first_group.take() {
            barrier.wait();
            barrier.wait();
        }
        self.before_group.clone_from(&self.heads);
        Ok(())
    }

    fn head(&mut self, id: ConversationId) -> StoreResult<Sequence> {
        Ok(self.heads.get(&id).copied().unwrap_or(Sequence::ZERO))
    }

    fn act(&mut self, _: ConversationId, _: UserId, _: ClientMessageId) -> StoreResult<Option<Sequence>> {
        Ok(None)
    }

    fn record(&mut self, _: ConversationId, _: Sequence) -> StoreResult<Option<Record>> {
        Ok(None)
    }

    fn insert(&mut self, row: &Row<'_>) -> StoreResult<()> {
        assert_eq!(row.sequence, self.head(row.conversation_id)?.next(), "GAPLESS");
        self.heads.insert(row.conversation_id, row.sequence);
        self.meet(Met::AtInsert)
    }

    fn replace(&mut self, _: &Row<'_>) -> StoreResult<()> {
        Ok(())
    }

    fn commit(&mut self) -> StoreResult<()> {
        self.meet(Met::AtCommit)?;
        self.before_group.clone_from(&self.heads);
        Ok(())
    }

    fn roll_back(&mut self) -> StoreResult<()> {
        self.heads.clone_from(&self.before_group);
        Ok(())
    }

    fn after_group(&mut self) -> StoreResult<()> {
        Ok(())
    }

    fn idle(&mut self) -> StoreResult<()> {
        Ok(())
    }

    fn abandon(&mut self) {}
}

/// One record at a head.
fn append(conversation_id: ConversationId, head: u64) -> EncodedAppend {
    let record =
        EncodedRecord { sender_id: UserId::from_bytes([9; 16]), client_id: None, recalls: None, bytes: Vec::new() };
    EncodedAppend { conversation_id, expected_head: Sequence::new(head), records: vec![record] }
}

fn committed(at: u64) -> Appended {
    Appended::Committed { first: Sequence::new(at), last: Sequence::new(at) }
}

#[tokio::test]
async fn a_group_that_meets_damage_refuses_what_met_it_and_stores_the_rest_at_its_own_heads() {
    for met in [Met::AtInsert, Met::AtCommit] {
        let dir = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::lock(dir.path()).unwrap());
        let barrier = Arc::new(Barrier::new(2));
        let log = TornLog {
            met,
            heads: HashMap::new(),
            before_group: HashMap::new(),
            first_group: Some(Arc::clone(&barrier)),
        };
        let (writer, thread) =
            Writer::start("torn-log-writer", Sequencer::new(log), Arc::new(Life::new()), folder).unwrap();
        let alone = writer.submit(append(OTHER, 0), 1);
        barrier.wait();
        let group = [(SOUND, 0), (SOUND, 1), (TORN, 0), (OTHER, 1), (SOUND, 2)];
        let [one, two, torn, other, three] = group.map(|(id, head)| writer.submit(append(id, head), 1));
        barrier.wait();

        assert_eq!(alone.await, Ok(committed(1)));
        assert_eq!(one.await, Ok(committed(1)), "HONEST, {met:?}: told of a head that was rolled back");
        assert_eq!(two.await, Ok(committed(2)), "{met:?}");
        assert!(matches!(torn.await, Err(StoreError::Damaged(_))), "{met:?}");
        assert_eq!(other.await, Ok(committed(2)), "{met:?}: a head of before the group");
        assert_eq!(three.await, Ok(committed(3)), "{met:?}");
        let again = writer.submit(append(TORN, 0), 1).await;
        assert!(matches!(again, Err(StoreError::Damaged(_))), "HONEST, {met:?}: what was refused moved the head");
        writer.close();
        thread.join().unwrap();
    }
}
