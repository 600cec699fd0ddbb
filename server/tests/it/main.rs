//! The binary as an operator meets it: its configuration, its start, its words, its stop.

mod config;
mod keys;
mod start;
mod stop;
mod support;
mod verify;
