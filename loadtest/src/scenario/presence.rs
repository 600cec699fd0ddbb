//! People come and go over the nodes: some time after the last, everybody is told rightly who is there.
//!
//! Nothing is sent. A tenth of the time a person who left comes back at once, at the next node, which is where the news
//! of leaving and of coming race.

use std::time::Duration;

use serde_json::json;

use crate::options::Common;
use crate::pacer::Seeded;
use crate::report::Report;
use crate::run::{Crew, Order, Part, People, Presence, Run};

/// The options of `presence`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// People, each with one socket at a time.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(3..=5_000))]
    clients: u32,
    /// Members of each room.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(3..=50))]
    members: u32,
    /// Comings and goings a second, over all.
    #[arg(long, value_name = "N", default_value_t = 20.0)]
    rate: f64,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let run = Run::new(common).await?;
    run.presence.replace(Some(Presence::default()));
    let clients = args.clients as usize;
    let people = People::register(&run, clients).await?;
    let everybody: Vec<usize> = (0..clients).collect();
    let plan: Vec<Vec<usize>> = everybody.chunks(args.members as usize).map(<[usize]>::to_vec).collect();
    // Two people have a direct conversation, and one alone nobody to tell.
    let plan: Vec<Vec<usize>> = plan.into_iter().filter(|room| room.len() > 1).collect();
    let rooms = people.converse(plan.clone()).await?;
    let mut crew = Crew::new(&run);
    for person in 0..clients {
        let Some(options) = people.options(person, person) else { continue };
        let own = plan.iter().zip(&rooms).filter(|(members, _)| members.contains(&person));
        let conversations = own.map(|(_, room)| room.clone()).collect();
        crew.add(Part { options, conversations, depth: 0, timed: false });
    }
    crew.assemble().await?;
    let moves = come_and_go(&run, &crew, args, common).await;
    let mut report = crew.finish("presence", &rooms).await?;
    report.extra.insert("comings_and_goings".to_owned(), json!(moves));
    Ok(report)
}

/// Has people come and go for the time that is measured. Gives how often one did.
async fn come_and_go(run: &Run, crew: &Crew, args: &Args, common: &Common) -> u64 {
    let mut seeded = Seeded::new(common.seed);
    let mut is_here = vec![true; args.clients as usize];
    let mut moves = 0;
    let pause = Duration::from_secs_f64(1.0 / args.rate.max(0.01));
    let work = async {
        let end = tokio::time::Instant::now() + common.measured();
        let mut next = tokio::time::Instant::now();
        while next < end {
            let who = seeded.below(is_here.len());
            let Some(here) = is_here.get_mut(who) else { continue };
            *here = !*here;
            moves += 1;
            crew.order(who, if *here { Order::Return } else { Order::Leave });
            if !*here && seeded.below(10) == 0 {
                *here = true;
                moves += 1;
                crew.order(who, Order::Return);
            }
            next += pause;
            tokio::time::sleep_until(next).await;
        }
    };
    run.measure("running", common.seconds, work).await;
    moves
}
