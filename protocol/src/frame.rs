//! Frames: one flat object each, with its `type` first. Both directions share what stands here.

pub mod client;
pub mod close;
mod list;
pub mod server;

use serde::{Deserialize, Serialize};

use crate::id::ConversationId;
use crate::sequence::Sequence;

/// The client's own id of a command, up to [`crate::limits::MAX_COMMAND_ID_BYTES`]; its reply carries it.
pub type CommandId = String;

/// What a device holds of a conversation: everything up to and including this sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cursor {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The last sequence that is held; 0 for nothing.
    pub after_seq: Sequence,
}

/// Declares a direction's frames: an enum over the structs, their `type` words, and decoding by the word.
macro_rules! direction {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        pub enum $name {
            $($(#[$variant_doc])* $variant($variant),)*
        }

        impl $name {
            /// Every `type` of this direction, for documentation and tests.
            pub const TYPES: &'static [&'static str] = &[$($word,)*];

            /// Its `type`.
            pub const fn word(&self) -> &'static str {
                match self { $(Self::$variant(_) => $word,)* }
            }

            /// Decodes the frame whose `type` is `word` straight into its struct; `None` for a type that is not known.
            pub(crate) fn decode_as<'de, D, E>(word: &str, decode: D) -> Option<Result<Self, E>>
            where
                D: crate::decode::Decode<'de, Error = E>,
            {
                match word {
                    $($word => Some(decode.decode::<$variant>().map(Self::$variant)),)*
                    _ => None,
                }
            }
        }

        $(impl From<$variant> for $name {
            fn from(frame: $variant) -> Self {
                Self::$variant(frame)
            }
        })*
    };
}
pub(crate) use direction;
