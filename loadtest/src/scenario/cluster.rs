//! Rooms whose members sit on different nodes, all of whom send and read: the load under which nodes are broken.
//!
//! Open loop. Nodes and what they stand on may be killed, paused, cut off and brought back meanwhile: clients go on at
//! another node, and the ledger, which judges over all nodes, must stay clean (DURABLE, ONCE, GAPLESS, RESUMABLE,
//! REDIS-FREE TRUTH). At the end everybody must be told rightly who is there.

use crate::options::Common;
use crate::pacer::{Seeded, Spread};
use crate::report::Report;
use crate::run::{Crew, Part, People, Presence, Run};

/// The options of `cluster`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// People, each with one socket; neighbours in a room are at different nodes.
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(3..=20_000))]
    clients: u32,
    /// Members of each room.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(3..=50))]
    members: u32,
    /// Rooms of each person.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50))]
    rooms: u32,
    /// Messages a second, over all.
    #[arg(long, value_name = "N", default_value_t = 200.0)]
    rate: f64,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let run = Run::new(common).await?;
    run.presence.replace(Some(Presence::default()));
    let clients = args.clients as usize;
    let people = People::register(&run, clients).await?;
    let plan = plan(args, common.seed);
    let rooms = people.converse(plan.clone()).await?;
    let mut crew = Crew::new(&run);
    // Who sends where: each member of each room, as player and slot.
    let mut seats = Vec::new();
    for person in 0..clients {
        let Some(options) = people.options(person, person) else { continue };
        let own = plan.iter().zip(&rooms).filter(|(members, _)| members.contains(&person));
        let own: Vec<_> = own.map(|(_, room)| room.clone()).collect();
        seats.extend((0..own.len()).map(|slot| (person, slot)));
        crew.add(Part { options, conversations: own, depth: 0, timed: true });
    }
    crew.assemble().await?;
    let mut seeded = Seeded::new(common.seed);
    crew.conduct(common.warming(), args.rate, Spread::Random, || seats[seeded.below(seats.len())]).await?;
    crew.finish("cluster", &rooms).await
}

/// Who is in which room: once round by round of neighbours, then again in another order for each further room.
fn plan(args: &Args, seed: u64) -> Vec<Vec<usize>> {
    let (clients, members) = (args.clients as usize, (args.members as usize).min(args.clients as usize));
    let mut seeded = Seeded::new(seed ^ 0x5eed);
    let mut order: Vec<usize> = (0..clients).collect();
    let mut plan: Vec<Vec<usize>> = Vec::new();
    for _ in 0..args.rooms {
        plan.extend(order.chunks(members).map(|room| {
            // The last room is filled up from the beginning.
            let missing = order.iter().take(members - room.len());
            room.iter().chain(missing).copied().collect()
        }));
        for place in (1..clients).rev() {
            order.swap(place, seeded.below(place + 1));
        }
    }
    plan
}
