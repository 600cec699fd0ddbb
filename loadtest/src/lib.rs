//! A stranger that sees only the wire of Hubbub, so that its verdict is honest.
//!
//! It knows `hubbub-protocol` and nothing else of the house. [`client::Client`] is one simulated device; [`ledger`]
//! compares what was sent with what was seen, by the names of the promises. Both also serve other crates' tests.
//!
//! ```text
//! scenario/*  who is where, who sends when          (one file a scenario)
//!    run      accounts, players, phases, report     one thread, one task a player
//!    client   one device: socket, cursors, retries  pacer   intended instants, lag
//!    ledger   sent against seen                     measure latencies    host  the server's process and cores
//! floor/*     bare programs, by turns with a scenario                     statistics  what rounds say together
//! lab         every budget's row, each a scenario run by a process of its own        compare  two builds by turns
//! ```

pub mod cli;
pub mod client;
pub mod compare;
pub mod floor;
pub mod host;
pub mod lab;
pub mod ledger;
pub mod measure;
pub mod options;
pub mod pacer;
pub mod peer;
pub mod report;
pub mod scenario;
pub mod signs;
pub mod statistics;

mod parts;
mod progress;
mod run;
