//! Rooms of ten under a rising load, until messages come late; then half of that for the time that is measured.
//!
//! Open loop. Steps of doubling find the knee roughly, then the last step is halved. A step is good if 99 of 100
//! deliveries took less than the bound and the generator kept up; where it did not, the knee is the generator's, and the
//! report says so.

use std::time::Duration;

use serde_json::json;

use crate::options::Common;
use crate::pacer::{LATE_PERCENT_MAX, Lag, Seeded, Spread};
use crate::report::Report;
use crate::run::{Crew, Run, Window};

/// How long a step is.
const STEP: Duration = Duration::from_secs(2);
const STEP_WARM_UP: Duration = Duration::from_millis(500);
/// More deliveries a second than any machine makes.
const RATE_MAX: f64 = 1e6;

/// The options of `knee`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// People, each with one socket.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=5_000))]
    clients: u32,
    /// Members of each room.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=500))]
    members: u32,
    /// Messages a second to begin with.
    #[arg(long, value_name = "N", default_value_t = 250.0)]
    rate: f64,
    /// The p99 of deliveries from which it is past the knee, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 50)]
    bound: u64,
}

/// Why a step was the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    Server,
    Generator,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let run = Run::new(common).await?;
    let clients = args.clients as usize;
    let (crew, rooms) = Crew::in_rooms(&run, clients, args.members as usize).await?;
    let mut seeded = Seeded::new(common.seed);
    let (mut good, mut factor, mut past) = (0.0, 2.0, Past::Server);
    let mut rate = args.rate;
    let mut steps = Vec::new();
    while rate < RATE_MAX && factor > 1.1 {
        crew.conduct_in(STEP_WARM_UP, STEP, rate, Spread::Random, || (seeded.below(clients), 0)).await?;
        crew.drain().await;
        let verdict = judge(&run, args.bound);
        steps.push(json!({ "rate": rate, "past": verdict.map(|past| format!("{past:?}").to_lowercase()) }));
        forget(&run);
        match verdict {
            None => good = rate,
            Some(why) => {
                past = why;
                // Back to what was good, and on from there by smaller steps.
                factor = f64::sqrt(factor);
            }
        }
        rate = if good > 0.0 { good * factor } else { rate / 2.0 };
        if rate < 1.0 {
            break;
        }
    }
    crew.conduct(common.warming(), (good / 2.0).max(1.0), Spread::Random, || (seeded.below(clients), 0)).await?;
    let mut report = crew.finish("knee", &rooms).await?;
    report.extra.insert("knee_sends_per_second".to_owned(), json!(good));
    report.extra.insert("knee_is_of".to_owned(), json!(format!("{past:?}").to_lowercase()));
    report.extra.insert("steps".to_owned(), json!(steps));
    Ok(report)
}

fn judge(run: &Run, bound_ms: u64) -> Option<Past> {
    if run.late_percent() > LATE_PERCENT_MAX {
        return Some(Past::Generator);
    }
    let p99 = run.deliver.borrow().percentiles().map_or(u64::MAX, |found| found.p99);
    (p99 > bound_ms * 1_000).then_some(Past::Server)
}

/// A step's latencies are not the run's.
fn forget(run: &Run) {
    run.deliver.borrow_mut().clear();
    run.ack.borrow_mut().clear();
    *run.window.borrow_mut() = Window::default();
    run.replace_lag(Lag::default());
}
