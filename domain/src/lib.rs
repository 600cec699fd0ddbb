//! What may be done and what follows from it, written once for sockets and HTTP alike.
//!
//! Nothing else in Hubbub says what is allowed: the hub and the REST sidecar call the same functions, and both stores of
//! truth are written through them.
//!
//! | Where | What | Promises |
//! | --- | --- | --- |
//! | [`conversation`] | `decide`, `evolve`, `audience`: pure, no await, no clock | MEMBERS-ONLY, GAPLESS, OPAQUE |
//! | [`conversations`] | the same over a store: load, submit, history, lists, read marks | ONCE, HONEST, MEMBERS-ONLY |
//! | [`cluster`] | what nodes say to each other, who is alive, who is home: pure | REDIS-FREE TRUTH |
//! | [`identity`], [`tokens`], [`sessions`] | who is calling, and for how long | MEMBERS-ONLY, BOUNDED |
//! | [`accounts`] | people: registration, passwords, profiles | BOUNDED |
//! | [`refusal`] | a store's error in the words of the wire | HONEST |
//!
//! A new act in a conversation is one variant of [`conversation::Command`], one function that decides it beside its
//! siblings, and one arm in `evolve` and in `audience` if it changes who belongs.

pub mod accounts;
pub mod cluster;
pub mod conversation;
pub mod conversations;
mod fields;
pub mod identity;
pub mod refusal;
pub mod sessions;
pub mod tokens;
