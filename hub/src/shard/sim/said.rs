//! What was said in the simulation, and how it was answered.

use hubbub_domain::conversation::Command;
use hubbub_domain::conversations::Stored;
use hubbub_protocol::{ClientMessageId, ConversationId, ErrorBody, Record, RecordBody, Sequence, UserId};
use tokio::sync::oneshot;

/// An act as its author said it.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) conversation: ConversationId,
    pub(super) id: Option<ClientMessageId>,
    pub(super) author: UserId,
    pub(super) command: Command,
    /// The log's head when it was said: what is stored up to here was stored by an earlier try.
    pub(super) head: Sequence,
}

impl Said {
    /// A message; other acts can find that all is as they want it.
    pub(super) const fn is_message(&self) -> bool {
        matches!(self.command, Command::Send(_))
    }

    /// Whether what is stored of it can be told from everything else: by its id, or by its word.
    pub(super) const fn can_be_told(&self) -> bool {
        self.id.is_some() || matches!(self.command, Command::React(_))
    }

    /// Whether this record is it.
    pub(super) fn is(&self, record: &Record) -> bool {
        match (&self.command, self.id, &record.body) {
            (_, Some(id), _) => record.client_message_id == Some(id) && record.author.sender_id == self.author,
            (Command::React(react), None, RecordBody::Reaction(reaction)) => reaction.emoji == react.emoji,
            _ => false,
        }
    }
}

/// An act that waits for its answer.
pub(super) struct Asked {
    pub(super) said: Said,
    pub(super) answer: oneshot::Receiver<Result<Stored, ErrorBody>>,
}

/// How an act ended, as its author knows.
pub(super) struct Ended {
    pub(super) said: Said,
    pub(super) result: Result<Stored, ErrorBody>,
    /// The log's head when it was answered.
    pub(super) head: Sequence,
}
