//! Many lose their connection in one moment and come back in the next, none of them with a pause: the worst herd.
//!
//! Everybody is in a conversation in which somebody sends all the while, so that those who come back have something to
//! miss; nothing may be lost (RESUMABLE). A newcomer knocks all the time and tells how long a door stays shut. First a
//! share of all is dropped, then, once all are live again, all at once.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::host::raise_open_files;
use crate::options::Common;
use crate::pacer::{Seeded, Spread};
use crate::report::Report;
use crate::run::{Crew, Met, Order, Pairs, Probe, Run};

/// All must be live again within this time.
const DEADLINE: Duration = Duration::from_mins(1);
/// A token must be good for this long to be given to a newcomer.
const TOKEN_LEFT: Duration = Duration::from_mins(2);

/// The options of `reconnect_storm`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Sockets.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    clients: u32,
    /// Sockets of one person.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    per_person: u32,
    /// The share of them that is dropped, in hundredths, storm by storm.
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "20,100")]
    shares: Vec<u32>,
    /// Messages a second meanwhile, over all conversations.
    #[arg(long, value_name = "N", default_value_t = 20.0)]
    rate: f64,
}

/// What one storm came to.
struct Storm {
    dropped: usize,
    all_live: Option<Duration>,
    met: Met,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    raise_open_files();
    let run = Run::new(common).await?;
    let sockets = args.clients as usize;
    let pairs = Pairs::gather(&run, sockets.div_ceil(args.per_person as usize)).await?;
    let mut crew = Crew::new(&run);
    for part in (0..sockets).filter_map(|socket| pairs.socket(socket, true)) {
        crew.add(part);
    }
    crew.assemble().await?;
    let newcomer = pairs.people.accounts.first().context("nobody")?.fresh_token(TOKEN_LEFT).await?;
    let mut seeded = Seeded::new(common.seed);
    let storms = async {
        tokio::time::sleep(common.warming()).await;
        let quiet = probe_for(&run, &newcomer, Duration::from_secs(1)).await?;
        let mut storms = Vec::new();
        for share in &args.shares {
            let dropped = sockets * (*share as usize).min(100) / 100;
            storms.push(storm(&run, &crew, dropped, &newcomer).await?);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        anyhow::Ok((quiet, storms))
    };
    // Traffic goes on until the storms are over, however long they take.
    let (quiet, storms) = tokio::select! {
        biased;
        storms = storms => storms?,
        sent = crew.conduct_in(common.warming(), DEADLINE * 4, args.rate, Spread::Random, || (seeded.below(sockets), 0)) => {
            sent?;
            anyhow::bail!("the storms do not end")
        }
    };
    run.end_measuring();
    let mut report = crew.finish("reconnect_storm", &pairs.conversations).await?;
    report.extra.insert("door_us_before".to_owned(), json!(quiet.doors.percentiles()));
    let told: Vec<_> = storms.iter().map(|storm| enter(&mut report, storm)).collect();
    report.extra.insert("storms".to_owned(), json!(told));
    Ok(report)
}

/// Drops so many at once and waits until all are live again.
async fn storm(run: &Rc<Run>, crew: &Crew, dropped: usize, token: &str) -> anyhow::Result<Storm> {
    let target = run.targets.first().context("no server is named")?;
    let probe = Probe::start(target, token)?;
    let (before, began) = (run.reconnects.get(), Instant::now());
    for player in 0..dropped {
        ensure!(crew.order(player, Order::Drop), "a player cannot be told to drop");
    }
    let is_over = || run.reconnects.get() >= before + dropped as u64 && run.signs.live() >= crew.len() as u64;
    while !is_over() && began.elapsed() < DEADLINE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let all_live = is_over().then(|| began.elapsed());
    Ok(Storm { dropped, all_live, met: probe.stop().await? })
}

async fn probe_for(run: &Rc<Run>, token: &str, length: Duration) -> anyhow::Result<Met> {
    let probe = Probe::start(run.targets.first().context("no server is named")?, token)?;
    tokio::time::sleep(length).await;
    probe.stop().await
}

fn enter(report: &mut Report, storm: &Storm) -> serde_json::Value {
    let Storm { dropped, all_live, met } = storm;
    let doors = met.doors.percentiles();
    if all_live.is_none() {
        report.invalid(format!("of {dropped} that were dropped not all are live after {} s", DEADLINE.as_secs()));
    }
    if met.failed > 0 {
        report.notes.push(format!("{} newcomers were not let in during a storm of {dropped}", met.failed));
    }
    json!({
        "dropped": dropped,
        "all_live_ms": all_live.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        "longest_door_ms": doors.map(|doors| doors.max / 1_000),
        "door_us": doors,
        "login_us": met.logins.percentiles(),
        "newcomers_failed": met.failed,
    })
}
