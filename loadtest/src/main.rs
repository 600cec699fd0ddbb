//! The binary `loadtest`: reads the command line, runs a scenario, and tells by its exit code what it found.

fn main() {}
