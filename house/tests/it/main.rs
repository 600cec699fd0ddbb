//! Tests of the workspace as a whole: what no crate can check of itself. The crate has no library; nothing links it.
//!
//! * `arrows`: which crate may know which, and who may switch on a store's backend (OPAQUE among it);
//! * `deployment`: what `docker-compose.yml` starts and `tools/cluster` starts: limits, health, secrets, settings that exist;
//! * `files`: headers, lengths, names, reasons of dependencies, links in the documents, words that do not belong;
//! * `promises`: every promise has a test and stands in the documents.
//!
//! A rule that fails here is answered by mending the file it names. Changing the rule is a design change: it goes with a
//! page in `docs/decisions/`.

// Says to clippy what cargo knows: all of this is test code, the helpers too.
#![cfg(test)]

mod arrows;
mod deployment;
mod files;
mod promises;
mod workspace;
