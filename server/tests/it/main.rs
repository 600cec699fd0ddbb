//! The binary as an operator meets it (its configuration, its start, its words, its stop) and as a client does: the
//! promises, over real sockets.

// Says to clippy what cargo knows: all of this is test code, the helpers too.
#![cfg(test)]

mod config;
mod crash;
mod in_process;
mod keys;
mod start;
mod stop;
mod support;
mod two_formats;
mod verify;
mod wire;
