//! A few senders in large rooms: what a delivery costs.
//!
//! Open loop at even distances, so that at low rates one message is out at a time, and at high ones they meet.

use crate::options::Common;
use crate::pacer::Spread;
use crate::report::Report;
use crate::run::{Crew, Part, People, Run};

/// The options of `fan_out`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Members of each room, each with one socket.
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
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let members = args.members as usize;
    // Two people have one direct conversation, however often it is opened.
    anyhow::ensure!(members != 2 || args.rooms == 1, "two people have one room: take --rooms 1, or other --members");
    let run = Run::new(common).await?;
    let people = People::register(&run, members).await?;
    let plan = vec![(0..members).collect(); args.rooms as usize];
    let rooms = people.converse(plan).await?;
    let mut crew = Crew::new(&run);
    for person in 0..members {
        let Some(options) = people.options(person, person) else { continue };
        crew.add(Part { options, conversations: rooms.clone(), depth: 0, timed: true });
    }
    crew.assemble().await?;
    let senders = (args.senders as usize).min(members);
    let mut turn = 0;
    let pick = || {
        turn += 1;
        (turn % senders, turn / senders % rooms.len())
    };
    crew.conduct(common.warming(), args.rate, Spread::Even, pick).await?;
    crew.finish("fan_out", &rooms).await
}
