//! Everybody in a large room types at once, and somebody sends: what typing does to messages.
//!
//! Typing is promised nothing and dropped first (BOUNDED), so messages should not notice. By turns the same messages are
//! sent without and with the storm; the medians of the two p99 stand side by side.

use std::cell::Cell;
use std::time::Duration;

use serde_json::json;

use crate::options::Common;
use crate::pacer::Spread;
use crate::report::Report;
use crate::run::{Crew, Order, Part, People, Run};
use crate::statistics::{median, moved_percent};

/// How often typers are told to type; each has a share of them.
const BEAT: Duration = Duration::from_millis(20);

/// The options of `typing_storm`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Sockets in the room.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    members: u32,
    /// People; each of their sockets types for them. Less than the members saves registrations.
    #[arg(long, value_name = "N")]
    people: Option<u32>,
    /// Every so many seconds each of them says that they type.
    #[arg(long, value_name = "SECONDS", default_value_t = 4.0)]
    every: f64,
    /// Messages a second.
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    rate: f64,
    /// How often without and with take turns. The measured time is divided among them.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    turns: u32,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let run = Run::new(common).await?;
    let members = args.members as usize;
    let count = args.people.map_or(members, |people| (people as usize).clamp(2, members));
    let people = People::register(&run, count).await?;
    let rooms = people.converse(vec![(0..count).collect()]).await?;
    let mut crew = Crew::new(&run);
    for member in 0..members {
        let Some(options) = people.options(member, member % count) else { continue };
        crew.add(Part { options, conversations: rooms.clone(), depth: 0, timed: true });
    }
    crew.assemble().await?;
    let typed = Cell::new(0_u64);
    let length = common.measured() / (2 * args.turns);
    let mut p99 = (Vec::new(), Vec::new());
    for turn in 0..2 * args.turns {
        // Without, with, with, without: neither is always the later one.
        let storms = matches!(turn % 4, 1 | 2);
        let storm = async {
            if storms {
                type_on(&crew, args, &typed).await;
            }
            std::future::pending::<()>().await;
        };
        run.deliver.borrow_mut().clear();
        let warming = if turn == 0 { common.warming() } else { Duration::from_millis(500) };
        let sends = crew.conduct_in(warming, length, args.rate, Spread::Even, || (0, 0));
        tokio::select! {
            biased;
            sent = sends => sent?,
            () = storm => {}
        }
        let found = run.deliver.borrow().percentiles().map_or(0.0, |found| crate::measure::as_f64(found.p99));
        if storms { p99.1.push(found) } else { p99.0.push(found) }
    }
    let mut report = crew.finish("typing_storm", &rooms).await?;
    let (without, with) = (median(&p99.0), median(&p99.1));
    report.extra.insert("p99_us_without".to_owned(), json!(without));
    report.extra.insert("p99_us_with".to_owned(), json!(with));
    report.extra.insert("p99_moved_percent".to_owned(), json!(moved_percent(without, with)));
    report.extra.insert("typing_sent".to_owned(), json!(typed.get()));
    report.extra.insert("typing_delivered".to_owned(), json!(run.typings.get()));
    Ok(report)
}

/// Has everybody type, evenly over the time, for ever.
async fn type_on(crew: &Crew, args: &Args, typed: &Cell<u64>) {
    let share = crate::measure::as_f64(crew.len() as u64) * BEAT.as_secs_f64() / args.every.max(0.02);
    let (mut due, mut next) = (0.0, 0);
    let mut beat = tokio::time::interval(BEAT);
    loop {
        beat.tick().await;
        due += share;
        while due >= 1.0 {
            crew.order(next % crew.len(), Order::Type { slot: 0 });
            typed.set(typed.get() + 1);
            next += 1;
            due -= 1.0;
        }
    }
}
