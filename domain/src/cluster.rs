//! What the nodes of a cluster say to each other, and who is home to what: pure, no await, no bus.
//!
//! The log is the truth on every node, and every append names the head it was decided against; so nothing here can lose
//! or double a record. A word that is lost, late or a lie costs time: a node that was not told reads the log
//! (REDIS-FREE TRUTH), an act sent to a node that is gone is decided by the one that took it in, and what both carry out
//! is stored once (ONCE).
//!
//! [`word`] is what is said, [`nodes`] who is alive and who is home to a conversation. Run by the hub's cluster task and
//! by REST processes; carried by [`hubbub_storage::bus`].

pub mod nodes;
pub mod word;

pub use nodes::{HELLO_EVERY_MS, Nodes, View};
pub use word::{Told, Word, after_storing};
