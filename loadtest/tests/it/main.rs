//! The load test's own tests: a checker that finds nothing is assumed broken.

// Says to clippy what cargo knows: all of this is test code, the helpers too.
#![cfg(test)]

mod cli;
mod ledger;
mod pacer;
mod report;
mod statistics;
