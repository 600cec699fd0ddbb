//! A stranger that sees only the wire of Hubbub, so that its verdict is honest.
//!
//! It knows `hubbub-protocol` and nothing else of the house. [`client::Client`] is one simulated device; [`ledger`]
//! compares what was sent with what was seen, by the names of the promises. Both also serve other crates' tests.

pub mod client;
pub mod host;
pub mod ledger;
pub mod measure;
pub mod pacer;
pub mod report;
