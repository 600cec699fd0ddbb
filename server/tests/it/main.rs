//! The binary as an operator meets it: its configuration, its start, its words, its stop.

// Says to clippy what cargo knows: all of this is test code, the helpers too.
#![cfg(test)]

mod config;
mod in_process;
mod keys;
mod start;
mod stop;
mod support;
mod verify;
