//! The command line: what to run, what to say, and how to leave.
//!
//! Exit codes are a contract: 0 for a clean ledger and a generator that kept up, 1 for anything else that a run can
//! show, 2 for a command line that cannot be understood.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::client::ClientError;
use crate::compare::Compare;
use crate::floor;
use crate::host::stop;
use crate::lab::Lab;
use crate::peer;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::signs::Signs;

/// A run was bad, or could not be made.
const FAILED: u8 = 1;
/// How often it is looked whether a run is still wanted.
const LOOK: Duration = Duration::from_millis(100);
/// The command line was wrong.
const USAGE: u8 = 2;

/// A load test that knows only the wire: it sends, reads, and compares.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the scenarios.
    #[command(name = "list")]
    List,
    /// Runs a floor alone: a bare program that a server is compared with.
    #[command(name = "floor")]
    Floor(floor::Alone),
    /// Runs the whole table of budgets against a server that it starts itself.
    #[command(name = "lab", visible_alias = "run-all")]
    Lab(Lab),
    /// Runs a scenario against two servers, or two builds of one, by turns.
    #[command(name = "compare")]
    Compare(Compare),
    /// Measures other servers beside ours, by one harness.
    #[command(name = "peers")]
    Peers(Box<peer::Args>),
    #[command(flatten)]
    Scenario(Scenario),
}

impl Cli {
    /// Does what the command line asks for.
    pub fn run(&self) -> ExitCode {
        match &self.command {
            Command::List => {
                for (name, about) in Scenario::LIST {
                    println!("{name:16}{about}");
                }
                ExitCode::SUCCESS
            }
            Command::Floor(floor) => exit(floor.run().map(|()| true)),
            Command::Lab(lab) => exit(lab.run()),
            Command::Compare(compare) => exit(compare.run()),
            Command::Peers(args) => exit(on_this_thread(peer::run(args))),
            Command::Scenario(scenario) => exit(run(scenario).map(|report| report.passed())),
        }
    }
}

/// 0 for what passed; else why it did not.
fn exit(outcome: anyhow::Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            let is_usage = matches!(error.downcast_ref(), Some(ClientError::BadUrl { .. }));
            ExitCode::from(if is_usage { USAGE } else { FAILED })
        }
    }
}

/// The scenario that these words ask for, as they stand after `loadtest`.
///
/// # Errors
///
/// They ask for none.
pub fn scenario(words: &[&str]) -> anyhow::Result<Scenario> {
    match Cli::try_parse_from(["loadtest"].iter().chain(words))?.command {
        Command::Scenario(scenario) => Ok(scenario),
        Command::List | Command::Floor(_) | Command::Peers(_) | Command::Lab(_) | Command::Compare(_) => {
            anyhow::bail!("that is no scenario")
        }
    }
}

/// Runs a scenario on this thread alone.
///
/// # Errors
///
/// The server cannot be reached, or refuses what the scenario needs before it can begin; or the run was abandoned.
pub fn perform(scenario: &Scenario) -> anyhow::Result<Report> {
    let signs = &scenario.common().signs;
    on_this_thread(async {
        tokio::select! {
            biased;
            report = scenario.run() => report,
            () = abandoned(signs) => anyhow::bail!("abandoned"),
        }
    })
}

async fn abandoned(signs: &Signs) {
    while !signs.is_abandoned() {
        tokio::time::sleep(LOOK).await;
    }
}

fn on_this_thread<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

fn run(scenario: &Scenario) -> anyhow::Result<Report> {
    let mut scenario = scenario.clone();
    scenario.common_mut().lines = true;
    let report = on_this_thread(async {
        tokio::select! {
            biased;
            asked = stop::asked() => {
                asked?;
                anyhow::bail!("interrupted")
            }
            report = scenario.run() => report,
        }
    })?;
    print!("{report}");
    if let Some(path) = &scenario.common().report {
        let json = serde_json::to_vec_pretty(&report)?;
        fs::write(path, json).with_context(|| format!("{} could not be written", path.display()))?;
    }
    if let Some(path) = &scenario.common().html {
        fs::write(path, report.page()).with_context(|| format!("{} could not be written", path.display()))?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn no_two_options_of_a_command_have_one_name() {
        Cli::command().debug_assert();
    }
}
