//! The protocol's tests, in one binary: bytes as they were agreed, properties of the codec, and hostile input.

// Says to clippy what cargo knows: all of this is test code, the helpers too.
#![cfg(test)]

mod doc;
mod generate;
mod golden;
mod hostile;
mod roundtrip;
mod samples;
mod wire;
