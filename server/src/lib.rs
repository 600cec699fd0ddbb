//! The composition root: the only place that knows all parts of Hubbub, so that nothing else has to.
//!
//! ```text
//! main ─▶ cli ─▶ config ─▶ lifecycle ─▶ app ─┬─▶ opening ─▶ storage, keys, secret_file, tls;  a hub: jwks
//!            └─▶ verify                      ├─▶ hub ───────▶ http_door ─▶ rest ─▶ hub_port ─▶ hub
//!                                            ├─▶ rest_door ─▶ http_door ─▶ rest ─▶ cluster_port ─▶ storage, bus
//!                                            └─▶ telemetry
//! ```
//!
//! A library too, so that tests and tools start the real thing: [`app::App::start`] with [`config::Config::load`].

pub mod app;
pub mod cli;
mod cluster_port;
pub mod config;
mod http_door;
mod hub_port;
pub mod huge_pages;
mod jwks;
pub mod keys;
pub mod lifecycle;
mod listen;
pub mod open_files;
mod opening;
mod rest_door;
pub mod secret_file;
pub mod start_error;
pub mod telemetry;
pub mod tls;
pub mod verify;
