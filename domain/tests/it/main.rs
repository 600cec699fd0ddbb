//! What `domain` promises, from outside: the rules alone, and the rules over a store.

mod accounts;
mod histories;
mod races;
mod reading;
mod rules;
mod sessions;
mod submitting;
mod support;
