//! `loadtest peers`: other servers, and ours, driven by one harness with one ledger, each through its own wire.
//!
//! So that all figures of a table come from one machine and one run: rounds go over the peers by turns, one server is
//! measured at a time, on cores of its own where there are two.
//!
//! ```text
//! args     what is asked for           kind     the peers, one line each
//! found    who runs already            start    who is started, in its fair form (peers/*)
//! stage    one peer ready: whose connections, which rooms; cast: Hubbub's people
//! fan, ack, crowd   the measurements   link     one socket   wire/*   one file a wire: frames in, frames out
//! ledger   each delivery and acknowledgement    sample, report   what came of it
//! ```

mod ack;
mod args;
mod cast;
mod crowd;
mod fan;
mod found;
mod kind;
mod ledger;
mod link;
mod payload;
mod report;
mod round;
mod sample;
mod stage;
mod start;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wire;

use std::fs;

use anyhow::Context as _;

pub use self::args::{Args, Places, What};
use self::kind::Kind;
use self::report::{Comparison, Conditions};
use self::round::Peer;
use crate::host::{raise_open_files, stop};

/// Measures the peers that are there. `true` if every ledger is clean.
///
/// # Errors
///
/// There are none, or a file cannot be written.
pub async fn run(args: &Args) -> anyhow::Result<bool> {
    if let Some(name) = &args.show {
        print!("{}", start::shown(name).unwrap_or_default());
        return Ok(true);
    }
    tokio::select! {
        biased;
        // What was started is stopped, as what holds it is dropped.
        asked = stop::asked() => asked.map_err(Into::into).and_then(|()| anyhow::bail!("interrupted")),
        clean = compare(args) => clean,
    }
}

async fn compare(args: &Args) -> anyhow::Result<bool> {
    raise_open_files();
    let peers = gather(args).await?;
    let mut comparison = begin(args)?;
    let first = comparison.next_round();
    for round in first..first + args.rounds as usize {
        for turn in 0..peers.len() {
            let peer = &peers[(round + turn) % peers.len()];
            eprintln!("round {}: {}", round + 1, peer.kind().title());
            round::measure(peer, args, round, &mut comparison).await;
            // After each peer, so that a run that is stopped leaves what it has.
            if let Some(file) = &args.report {
                comparison.write(file)?;
            }
        }
    }
    print!("{}\n{}\n", comparison.text(), comparison.words());
    if let Some(file) = &args.markdown {
        fs::write(file, comparison.markdown()).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(comparison.is_clean())
}

/// Those that are there. Of the others it is said how to get them.
async fn gather(args: &Args) -> anyhow::Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| args.only.is_empty() || args.only.contains(kind)) {
        match round::find(kind, args).await? {
            Some(peer) => peers.push(peer),
            // Only started, and only said once.
            None if kind == Kind::HubbubMemory => {}
            None => eprintln!("{} is not there: {}", kind.title(), kind.how_to_get()),
        }
    }
    anyhow::ensure!(!peers.is_empty(), "none of the peers runs, or can be started");
    Ok(peers)
}

/// A comparison without samples, or the one to which these are added.
fn begin(args: &Args) -> anyhow::Result<Comparison> {
    if args.start {
        fs::create_dir_all(&args.folder)?;
    }
    let conditions = Conditions {
        seconds: args.seconds,
        receivers: args.receivers,
        payload_bytes: args.payload,
        senders: args.senders,
        depth: args.depth,
        idle: args.idle,
        people: args.people,
        cores: None,
        disk: if args.start { round::file_system(&args.folder) } else { "the disks of those who ran".to_owned() },
    };
    let Some(file) = args.report.as_ref().filter(|file| args.add && file.exists()) else {
        return Ok(Comparison { conditions, versions: Vec::new(), samples: Vec::new() });
    };
    let comparison = Comparison::read(file)?;
    let alike = Conditions { cores: None, ..comparison.conditions.clone() } == conditions;
    anyhow::ensure!(alike, "{} was made otherwise: {:?}", file.display(), comparison.conditions);
    Ok(comparison)
}
