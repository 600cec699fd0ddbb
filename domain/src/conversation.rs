//! A conversation as pure rules: a command is decided against a state, and the state is a fold over the log.
//!
//! Run by the hub's home shard and by [`crate::conversations`], never by anything that decides for itself.
//! Keeps MEMBERS-ONLY (only who is a member in the state is obeyed), GAPLESS (a state is of one head and says which) and
//! OPAQUE (payloads are measured, never read). Leaves to the store that a decision holds only at the head it was made at.

mod audience;
mod case;
mod command;
mod decide;
mod direct;
mod evolve;
mod members;
mod messages;
mod open;
mod refuse;
mod repeat;
mod roster;
mod settings;
mod state;

pub use audience::{Audience, audience};
pub use case::Context;
pub use command::{Act, AddMembers, ChangeRole, Command, Open, React, Recall, RemoveMember, UpdateGroup};
pub use decide::{Records, decide};
pub use direct::direct_conversation_id;
pub use evolve::evolve;
pub use refuse::not_found;
pub use repeat::repeats;
pub use roster::Membership;
pub use state::{ConversationState, FORM};
