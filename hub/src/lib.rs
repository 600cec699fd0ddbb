//! Live connections and nothing true: if it dies, the store has all.
//!
//! ```text
//!            accept ──▶ login ──▶ connection ─────────── command ───────────┐
//!   (any thread)       (edge shard's thread: one a socket)                  ▼
//!                                   ▲                              home shard: HomeCore
//!                                   │ bytes, encoded once          decide ─▶ append ─▶ commit
//!                                 outbox                                    │
//!                                   ▲                                       │ one FIFO a pair of shards:
//!                         edge shard: EdgeCore ◀────────────────────────────┘ replies, events, edges
//! ```
//!
//! A shard is a thread with a runtime of its own. It is *home* to a disjoint set of conversations (by hash) and *edge* to
//! the connections it holds. Both halves are plain data, [`shard::home::HomeCore`] and [`shard::edge::EdgeCore`]: input
//! in, output out, tested without sockets. Only [`shard::task`] awaits.
//!
//! | Task | How many | Ends when |
//! | --- | --- | --- |
//! | accept loop | one a listener | drained |
//! | door (TLS handshake and head of a request, under one deadline) | one an incoming socket | handed on, refused or late |
//! | login (on its edge shard) | one a socket | logged in, refused or late |
//! | connection (on its edge shard) | one a socket | closed |
//! | replay, history (on its edge shard) | one at a time reads for a socket, few for a shard | done, or its socket is gone |
//! | cluster (hears other nodes, says that this one is here) | one a hub | the hub stops |
//! | forward of another node (its acts, done here) | one a forward | answered |
//! | recheck (what the bus may not have told) | one a shard | all its sockets were looked at |
//! | shard | one a core | drained, or the hub is dropped |

mod accept;
mod admission;
mod adopted;
mod cluster;
mod command;
mod config;
mod connection;
mod directory;
mod drain;
mod error;
mod frame;
mod hub;
mod login;
mod message;
mod metrics;
mod reader;
mod shard;
mod shared;
mod table;
mod transport;

pub use accept::HttpDoor;
pub use admission::{Admission, Permit};
pub use config::HubConfig;
pub use error::HubError;
pub use hub::Hub;
pub use transport::{Stream, Tls};
