//! What handlers take out of a request: who calls, the ids in the path, the query and the body, each with our error shape.

pub(crate) mod body;
mod caller;
pub(crate) mod origin;
pub(crate) mod page;
mod path;
pub(crate) mod peer;

pub(crate) use body::Body;
pub(crate) use page::Params;
pub(crate) use path::InPath;
