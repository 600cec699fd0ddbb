//! The binary as an operator meets it (its configuration, its start, its words, its stop) and as a client does: the
//! promises, over real sockets.

// Says to clippy what cargo knows: all of this is test code, the helpers too.
#![cfg(test)]

mod apart;
mod at_once;
mod bad_frames;
mod config;
mod crash;
mod disk;
mod drain;
mod half_open;
mod in_process;
mod keys;
mod laggards;
mod opaque;
mod raw;
mod refusals;
mod resume;
mod sessions;
mod settings;
mod slow_reader;
mod start;
mod stop;
mod support;
mod tls;
mod tls_cost;
mod two_formats;
mod verify;
mod wire;
