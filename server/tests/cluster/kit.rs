//! What the tests of many nodes stand on: processes that can be broken and mended, and load that tells how it fares.
//!
//! Whatever is broken is mended when its guard is dropped, also by a test that fails.

pub(crate) mod cluster;
pub(crate) mod cql;
pub(crate) mod hub;
pub(crate) mod load;
pub(crate) mod people;
pub(crate) mod redis;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long anything may take before a test gives up; far above what it takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// Whether the long versions are asked for.
pub(crate) fn is_full() -> bool {
    std::env::var("HUBBUB_CHAOS").is_ok_and(|how| how == "full")
}

/// One of two, by that.
pub(crate) fn by_length<T>(short: T, full: T) -> T {
    if is_full() { full } else { short }
}

/// For how long something stands still.
pub(crate) fn stillness(short: u64) -> Duration {
    let asked = std::env::var("HUBBUB_CHAOS_PAUSE").ok().map(|seconds| seconds.parse().expect("seconds"));
    Duration::from_secs(asked.unwrap_or_else(|| by_length(short, 60)))
}

/// The seed of this run.
pub(crate) fn seed() -> u64 {
    let asked = std::env::var("HUBBUB_CHAOS_SEED").ok().map(|seed| seed.parse().expect("a number"));
    asked.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        u64::from(since.subsec_nanos()) % 100_000
    })
}

/// A promise that is broken fails the test; a service that cannot be had fails it only where all must be there.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
    println!("SKIPPED: {why}");
}

/// One of the tools of this project, about to run.
pub(crate) fn tool(name: &str) -> Command {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "tools", name].iter().collect();
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

/// Runs a tool to its end; what it printed, or what it complained of.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?} does not run: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
