//! Everybody in a large room types at once, and somebody sends: what typing does to messages.
//!
//! Typing is promised nothing and dropped first (BOUNDED), so messages should not notice. By turns the same messages are
//! sent without and with the storm. In a room of more than 200 a hub tells nobody who types: there the storm is what the
//! typers say; in a smaller one it is what all the others hear of it.

use std::cell::Cell;
use std::time::Duration;

use serde_json::json;

use crate::measure::as_f64;
use crate::options::Common;
use crate::report::Report;
use crate::run::{Crew, Order, Part, People, Plan, Run};

/// Nobody says more often than this that they type, in seconds: a hub passes on ten a second of each socket.
const EVERY_MIN: f64 = 0.1;

/// The options of `typing_storm`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Sockets in the room.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    members: u32,
    /// People; each of their sockets types for them. Less than the members saves registrations.
    #[arg(long, value_name = "N")]
    people: Option<u32>,
    /// Every so many seconds each of them says that they type. A mark lasts for five, so whoever goes on says it every three.
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    every: f64,
    /// Messages a second.
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    rate: f64,
    /// How often without and with take turns. The measured time is divided among them.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
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
    let plan = Plan { rounds: args.turns, length: common.measured() / (2 * args.turns), rate: args.rate };
    let sides = crew.by_sides(plan, async || type_on(&crew, args, &typed).await).await?;
    let mut report = crew.finish("typing_storm", &rooms).await?;
    sides.report(&mut report, common.max_late);
    report.extra.insert("typing_sent".to_owned(), json!(typed.get()));
    report.extra.insert("typing_delivered".to_owned(), json!(run.typings.get()));
    Ok(report)
}

/// Has everybody type, one after another, for ever.
async fn type_on(crew: &Crew, args: &Args, typed: &Cell<u64>) {
    let each = args.every.max(EVERY_MIN) / as_f64(crew.len().max(1) as u64);
    let mut beat = tokio::time::interval(Duration::from_secs_f64(each));
    for typer in (0..crew.len()).cycle() {
        beat.tick().await;
        if crew.order(typer, Order::Type { slot: 0 }) {
            typed.set(typed.get() + 1);
        }
    }
}
