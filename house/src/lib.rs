//! Tests of the workspace as a whole: what no crate can check of itself. Nothing here is linked by anything.
//!
//! * `arrows`: which crate may know which, and who may switch on a store's backend (OPAQUE among it);
//! * `files`: headers, lengths, names, reasons of dependencies, links in the documents, words that do not belong;
//! * `promises`: every promise has a test and stands in the documents.
//!
//! A rule that fails here is answered by mending the file it names. Changing the rule is a design change: it goes with a
//! page in `docs/decisions/`.

#[cfg(test)]
mod arrows;
#[cfg(test)]
mod files;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod workspace;
