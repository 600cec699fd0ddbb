//! A shard: home to a disjoint set of conversations, edge to the connections on its thread.
//!
//! [`home`] and [`edge`] are plain data; [`task`] owns both and awaits for them; [`local`] is what the thread's tasks share.

pub(crate) mod edge;
pub(crate) mod home;
pub(crate) mod local;
pub(crate) mod pages;
pub(crate) mod recheck;
pub(crate) mod replay;
pub(crate) mod ring;
#[cfg(test)]
mod sim;
pub(crate) mod task;
pub(crate) mod work;
