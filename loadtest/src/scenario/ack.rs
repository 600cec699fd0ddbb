//! Sends as fast as acks come back: how many the server makes durable in a second, and its CPU for each.
//!
//! Closed loop: each sender keeps so many in flight, in a conversation of its own to which it does not listen, so that
//! nothing but sends is measured. The histories are compared at the end (DURABLE, ONCE). Its floor is an `epoll` echo of
//! the same sizes, which appends and syncs each group that it finds if the server does.

use crate::client::Following;
use crate::floor::Spec;
use crate::options::Common;
use crate::report::Report;
use crate::run::{Crew, Part, People, Per, Run};

/// The options of `ack`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Senders, each with one socket.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    senders: u32,
    /// Sends that each keeps in flight.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    depth: u32,
    /// Conversations of each sender.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    conversations: u32,
    /// People; several sockets of one person send to conversations of their own. Less than the senders saves
    /// registrations.
    #[arg(long, value_name = "N")]
    people: Option<u32>,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let run = Run::new(common).await?;
    let senders = args.senders as usize;
    let count = args.people.map_or(senders, |people| (people as usize).clamp(1, senders));
    let people = People::register(&run, count).await?;
    let each = args.conversations as usize;
    let plan = (0..senders).flat_map(|sender| vec![vec![sender % count]; each]).collect();
    let conversations = people.converse(plan).await?;
    let mut crew = Crew::new(&run);
    for (sender, own) in conversations.chunks(each).enumerate() {
        let Some(mut options) = people.options(sender, sender % count) else { continue };
        options.following = Following::Nothing;
        crew.add(Part { options, conversations: own.to_vec(), depth: args.depth as usize, timed: false });
    }
    crew.assemble().await?;
    let spec = Spec::echo(common, senders, args.depth as usize);
    let go = async |warming, length| {
        crew.go(warming, length).await;
        Ok(())
    };
    crew.by_turns(Some(spec), Per::Send, go).await?;
    crew.finish("ack", &conversations).await
}
