//! Carrying out an act: load, decide, append, and decide anew whenever the log moved on in between.

use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, Sequence, Timestamp};
use hubbub_storage::error::{Reason, StoreError};
use hubbub_storage::log::{Append, Appended, NewRecord};

use serde::{Deserialize, Serialize};

use super::Conversations;
use crate::conversation::{Act, Context, ConversationState, Records, decide, repeats};
use crate::refusal::{never_stored, refusal};

/// How often an act is decided anew. Each time, another writer got its act stored: only a crowd of them uses these up.
const MAX_TRIES: usize = 32;

/// How an act ended that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The sequence of its first record.
    pub first: Sequence,
    /// The sequence of its last record. Of a duplicate, the first is told.
    pub last: Sequence,
    /// When it was decided.
    pub created_at: Timestamp,
    /// Whether this call stored nothing: the same act was stored before, or all is as it wants it (then both sequences
    /// are the head's).
    pub duplicate: bool,
}

impl Conversations {
    /// Carries out an act: stored whole, or not at all.
    ///
    /// # Errors
    ///
    /// The refusal. HONEST: of anything but `unknown_outcome`, nothing is stored and nothing ever will be.
    pub async fn submit(&self, id: ConversationId, act: Act) -> Result<Stored, ErrorBody> {
        let mut state = self.load(id).await.map_err(|error| never_stored(&error))?;
        for _ in 0..MAX_TRIES {
            let (now, decided) = self.decide_now(id, &state, &act).await?;
            let records = match decided {
                Ok(records) if !records.is_empty() => records,
                without => return self.without_storing(id, &act, without.map(|_| already_so(&state, now))).await,
            };
            if let Err(refusal) = self.before_append(id, &records).await {
                return self.without_storing(id, &act, Err(refusal)).await;
            }
            let append = Append { conversation_id: id, expected_head: state.head(), records: records.clone() };
            match self.store.log.append(append).await.map_err(|error| refusal(&error))? {
                Appended::Committed { first, last } => {
                    self.clean_up(id, &records).await;
                    return Ok(Stored { first, last, created_at: now, duplicate: false });
                }
                Appended::Duplicate { known } => return self.repeated(id, &act, first_of(&known)).await,
                Appended::Stale { .. } => {
                    self.catch_up(id, &mut state).await.map_err(|error| never_stored(&error))?;
                }
            }
        }
        Err(ErrorBody::new(
            ErrorCode::Overloaded,
            "too many write to this conversation at once: nothing was stored, try again",
        ))
    }

    /// The answer to an act whose client id the store knows, at `first`.
    ///
    /// # Errors
    ///
    /// `idempotency_mismatch` if what is stored there is another act: the client used one id twice.
    pub async fn repeated(&self, id: ConversationId, act: &Act, first: Sequence) -> Result<Stored, ErrorBody> {
        let record = self.target(id, first).await.map_err(|error| never_stored(&error))?;
        let damaged =
            || StoreError::Damaged(Reason::new(format_args!("a duplicate's record {first} of {id} is missing")));
        let record = record.ok_or_else(|| never_stored(&damaged()))?;
        if repeats(&record, act) {
            return Ok(Stored { first, last: first, created_at: record.created_at, duplicate: true });
        }
        let message =
            "this client_message_id was used for something else in this conversation: give each act a new one";
        Err(ErrorBody::new(ErrorCode::IdempotencyMismatch, message)
            .with("field", "client_message_id")
            .with("conversation_seq", first.get()))
    }

    /// Whether this very act is stored already: to be asked before it is refused, or answered as needless.
    ///
    /// What a retry may do is another question than what the first try could: its sender may have been removed since, or
    /// the time for a recall be over. HONEST wants the retry to hear of the success all the same.
    ///
    /// # Errors
    ///
    /// The store could not say, so nor can a refusal be given: try again.
    pub async fn settled(&self, id: ConversationId, act: &Act) -> Result<Option<Stored>, ErrorBody> {
        let Some(client_message_id) = act.client_message_id else { return Ok(None) };
        let known = self.store.log.lookup(id, act.author.sender_id, client_message_id).await;
        let Some(first) = known.map_err(|error| never_stored(&error))? else { return Ok(None) };
        match self.repeated(id, act, first).await {
            Ok(stored) => Ok(Some(stored)),
            Err(error) if error.code == ErrorCode::IdempotencyMismatch => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn decide_now(
        &self,
        id: ConversationId,
        state: &ConversationState,
        act: &Act,
    ) -> Result<(Timestamp, Result<Vec<NewRecord>, ErrorBody>), ErrorBody> {
        let target = match act.command.target() {
            // Read after the state: if it changes before the append, the head has moved and the append is stale.
            Some(sequence) => self.target(id, sequence).await.map_err(|error| never_stored(&error))?,
            None => None,
        };
        let now = self.clock.now();
        let decided = decide(state, act, &Context { now, target: target.as_ref() });
        Ok((now, decided.map(Records::into_vec)))
    }

    async fn without_storing(
        &self,
        id: ConversationId,
        act: &Act,
        answer: Result<Stored, ErrorBody>,
    ) -> Result<Stored, ErrorBody> {
        self.settled(id, act).await?.map_or(answer, Ok)
    }

    /// What is committed stays so, whether or not the view of it could be cleaned.
    async fn clean_up(&self, id: ConversationId, records: &[NewRecord]) {
        if let Err(error) = self.after_commit(id, records).await {
            tracing::warn!(conversation.id = %id, %error, "the list of a former member could not be cleaned");
        }
    }
}

const fn already_so(state: &ConversationState, now: Timestamp) -> Stored {
    Stored { first: state.head(), last: state.head(), created_at: now, duplicate: true }
}

/// An act gives its client id to one record, so at most one is known.
fn first_of(known: &[(usize, Sequence)]) -> Sequence {
    known.first().map_or(Sequence::ZERO, |(_, sequence)| *sequence)
}
