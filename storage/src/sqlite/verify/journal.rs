//! The check of what the journal has and `log.db` has not: that it is whole, and goes on where the tables end.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use hubbub_protocol::{ConversationId, Sequence};
use rusqlite::Connection;

use super::super::error::{OpenError, damaged};
use super::super::folder::{Folder, Left};
use super::super::journal::{self, Act, JOURNAL, Part};
use super::super::log::ask;
use super::{Check, gap};
use crate::error::StoreResult;
use crate::stored::record;

impl Check {
    /// Every segment that is not applied: its frames, and each record against the tables and the segments before.
    pub(super) fn journal(&mut self, folder: &Folder, dir: &Path, log: &Connection) -> Result<(), OpenError> {
        let expected = folder.left()? == Left::OpenWithJournal;
        let found = match journal::look(dir, journal::applied(log)?, expected) {
            Ok(found) => found,
            Err(OpenError::Damaged { reason, .. }) => {
                self.note::<()>(JOURNAL, Err(damaged(reason)));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.summary.journal_records = found.records();
        self.summary.journal_torn_bytes = found.torn_bytes;
        let mut known = Known::default();
        for part in &found.parts {
            let done = self.part(log, part, &mut known);
            self.note(JOURNAL, done);
        }
        Ok(())
    }

    fn part(&mut self, log: &Connection, part: &Part, known: &mut Known) -> StoreResult<()> {
        for (id, at, bytes) in part.sorted() {
            let head = known.head(log, id)?;
            if head == Sequence::ZERO {
                self.summary.conversations += 1;
            }
            if at != head.next() {
                self.note(JOURNAL, gap(id, head.next(), at));
            }
            known.heads.insert(id, at);
            self.summary.log_records += 1;
            self.note(JOURNAL, record::decode(id, at, bytes));
        }
        for (act, at) in part.sorted_acts() {
            self.summary.client_ids += 1;
            let (client_id, id, sender) = *act;
            if !known.acts.insert(*act) || ask::act_entry(log, id, sender, client_id)?.is_some() {
                let what =
                    format_args!("conversation {id}, sequence {at}: ONCE is broken, its client id is stored twice");
                self.note::<()>(JOURNAL, Err(damaged(what)));
            }
        }
        for (id, at, bytes) in part.erasures() {
            self.note(JOURNAL, record::decode(id, at, bytes));
            if at > known.head(log, id)? {
                let what = format_args!("conversation {id}, sequence {at}: a recall of what is not there");
                self.note::<()>(JOURNAL, Err(damaged(what)));
            }
        }
        Ok(())
    }
}

/// What the segments before have brought.
#[derive(Default)]
struct Known {
    heads: HashMap<ConversationId, Sequence>,
    acts: HashSet<Act>,
}

impl Known {
    fn head(&self, log: &Connection, id: ConversationId) -> StoreResult<Sequence> {
        self.heads.get(&id).copied().map_or_else(|| ask::head(log, id), Ok)
    }
}
