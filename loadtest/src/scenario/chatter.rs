//! Many small conversations in which everybody sends and reads.
//!
//! Open loop: the sends are independent of one another, as people's are. The server may be killed and started again
//! meanwhile: clients come back, resume and settle, and the ledger must stay clean (DURABLE, ONCE, RESUMABLE).

use std::collections::HashSet;

use crate::options::Common;
use crate::pacer::{Seeded, Spread};
use crate::report::Report;
use crate::run::{Crew, Part, People, Run};

/// The options of `chatter`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// People, each with one socket.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    clients: u32,
    /// Conversations.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    conversations: u32,
    /// Members of each: 2 makes direct conversations, more make groups.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=500))]
    members: u32,
    /// Messages a second, over all.
    #[arg(long, value_name = "N", default_value_t = 500.0)]
    rate: f64,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let run = Run::new(common).await?;
    let people = People::register(&run, args.clients as usize).await?;
    let plan = plan(args, common.seed);
    let conversations = people.converse(plan.clone()).await?;
    let mut crew = Crew::new(&run);
    // Who sends where: each member of each conversation, as player and slot.
    let mut seats = Vec::new();
    for person in 0..args.clients as usize {
        let Some(options) = people.options(person, person) else { continue };
        let own = plan.iter().zip(&conversations).filter(|(members, _)| members.contains(&person));
        let own: Vec<_> = own.map(|(_, conversation)| conversation.clone()).collect();
        seats.extend((0..own.len()).map(|slot| (person, slot)));
        crew.add(Part { options, conversations: own, depth: 0, timed: true });
    }
    crew.assemble().await?;
    let mut seeded = Seeded::new(common.seed);
    crew.conduct(common.warming(), args.rate, Spread::Random, || seats[seeded.below(seats.len())]).await?;
    crew.finish("chatter", &conversations).await
}

/// Who is in which conversation. Everybody is in one at least, if there are enough; no two have the same two people.
fn plan(args: &Args, seed: u64) -> Vec<Vec<usize>> {
    let clients = args.clients as usize;
    let mut seeded = Seeded::new(seed ^ 0x5eed);
    let mut taken = HashSet::new();
    let mut plan = Vec::new();
    for conversation in 0..args.conversations as usize {
        let mut members = vec![conversation % clients];
        while members.len() < (args.members as usize).min(clients) {
            let candidate = seeded.below(clients);
            if !members.contains(&candidate) {
                members.push(candidate);
            }
        }
        let mut pair = members.clone();
        pair.sort_unstable();
        // Two people have one direct conversation, however often it is opened.
        if members.len() > 2 || taken.insert(pair) {
            plan.push(members);
        }
    }
    plan
}
