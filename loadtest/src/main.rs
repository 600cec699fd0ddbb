//! The binary `loadtest`: reads the command line, runs a scenario, and tells by its exit code what it found.

use std::process::ExitCode;

use clap::Parser;
use hubbub_loadtest::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
