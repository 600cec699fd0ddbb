//! One conversation, many senders over all nodes: what it costs the store to keep one order for all.
//!
//! Closed loop. A node that is home to the conversation makes many sends one conditional write; two nodes that decided
//! against each other would each pay, again and again. The servers' own counters say what a message took.

use crate::client::Following;
use crate::options::Common;
use crate::report::Report;
use crate::run::{Crew, Part, People, Run};

/// The options of `busy_room`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Senders, each with one socket, over all nodes.
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    senders: u32,
    /// Sends that each keeps in flight.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    depth: u32,
    /// Members that read, over all nodes.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    readers: u32,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let run = Run::new(common).await?;
    let (senders, readers) = (args.senders as usize, args.readers as usize);
    let people = People::register(&run, senders + readers).await?;
    let rooms = people.converse(vec![(0..senders + readers).collect()]).await?;
    let mut crew = Crew::new(&run);
    for person in 0..senders + readers {
        let Some(mut options) = people.options(person, person) else { continue };
        let sends = person < senders;
        options.following = if sends { Following::Nothing } else { Following::All };
        let depth = if sends { args.depth as usize } else { 0 };
        crew.add(Part { options, conversations: rooms.clone(), depth, timed: !sends });
    }
    crew.assemble().await?;
    crew.let_run().await;
    crew.finish("busy_room", &rooms).await
}
