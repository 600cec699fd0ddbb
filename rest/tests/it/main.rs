//! The sidecar from outside: requests in, answers out, over the memory store and a port without a hub.

// Says to clippy what cargo knows: all of this is test code, the helpers too.
#![cfg(test)]

mod app;
mod auth;
mod beside;
mod conversations;
mod cookies;
mod errors;
mod groups;
mod idempotency;
mod matrix;
mod messages;
mod openapi;
mod operations;
mod rates;
mod reports;
mod users;
