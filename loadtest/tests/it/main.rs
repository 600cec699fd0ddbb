//! The load test's own tests: a checker that finds nothing is assumed broken.

mod cli;
mod ledger;
mod pacer;
mod report;
