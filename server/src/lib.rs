//! The composition root: the only place that knows all parts of Hubbub, so that nothing else has to.
//!
//! ```text
//! main ─▶ cli ─▶ config ─▶ lifecycle ─▶ app ─┬─▶ storage, keys
//!            └─▶ verify                      ├─▶ hub ──▶ http_door ─▶ rest ─▶ hub_port ─▶ hub
//!                                            └─▶ telemetry
//! ```
//!
//! A library too, so that tests and tools start the real thing: [`app::App::start`] with [`config::Config::load`].

pub mod app;
pub mod cli;
pub mod config;
mod http_door;
mod hub_port;
pub mod keys;
pub mod lifecycle;
pub mod open_files;
pub mod start_error;
pub mod telemetry;
pub mod verify;
