//! A few senders in large rooms: what a delivery costs.
//!
//! With a rate it is an open loop at even distances. With a window it is a closed one: so many messages are out at a
//! time, each until every member has it. A window of 1 shows what a delivery alone costs; with 16 those that wait can leave
//! joined, and its floor joins them too.

use crate::floor::Spec;
use crate::options::Common;
use crate::pacer::Spread;
use crate::report::Report;
use crate::run::{Crew, Part, People, Per, Run, Waves};

/// The options of `fan_out`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Sockets in each room.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    members: u32,
    /// Rooms; everybody is in all of them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    rooms: u32,
    /// Members that send, by turns.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    senders: u32,
    /// Messages a second, over all; each is delivered to every member of its room.
    #[arg(long, value_name = "N", default_value_t = 50.0)]
    rate: f64,
    /// Messages that are out at a time, in place of a rate.
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=64))]
    window: Option<u32>,
    /// People; several sockets of one person are in the room. Less than the members saves registrations.
    #[arg(long, value_name = "N")]
    people: Option<u32>,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let members = args.members as usize;
    // Two people have one direct conversation, however often it is opened.
    anyhow::ensure!(members != 2 || args.rooms == 1, "two people have one room: take --rooms 1, or other --members");
    let run = Run::new(common).await?;
    let count = args.people.map_or(members, |people| (people as usize).clamp(1, members));
    let people = People::register(&run, count).await?;
    let plan = vec![(0..count).collect(); args.rooms as usize];
    let rooms = people.converse(plan).await?;
    let mut crew = Crew::new(&run);
    for member in 0..members {
        let Some(options) = people.options(member, member % count) else { continue };
        crew.add(Part { options, conversations: rooms.clone(), depth: 0, timed: true });
    }
    crew.assemble().await?;
    let senders = (args.senders as usize).min(members);
    let mut turn = 0;
    let mut pick = || {
        turn += 1;
        (turn % senders, turn / senders % rooms.len())
    };
    if let Some(window) = args.window.map(|window| window as usize) {
        run.waves.replace(Some(Waves::new(members)));
        let spec = Spec::fan(common, members, window);
        let go = async |warming, length| {
            crew.keep_out(window, warming, length, &mut pick).await;
            Ok(())
        };
        crew.by_turns(Some(spec), Per::Delivery, go).await?;
    } else {
        crew.conduct(common.warming(), args.rate, Spread::Even, pick).await?;
    }
    crew.finish("fan_out", &rooms).await
}
