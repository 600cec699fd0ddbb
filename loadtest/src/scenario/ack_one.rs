//! One sender that waits for each ack: what a message takes when nothing shares its way to the disk.
//!
//! Closed loop, one in flight. Its floor is one socket whose requests are appended, synced and answered one by one: the
//! disk's own `fdatasync` and a round trip. The ratio is that of the median times.

use crate::client::Following;
use crate::floor::Spec;
use crate::options::Common;
use crate::report::Report;
use crate::run::{Crew, Part, People, Per, Run};

/// The options of `ack_one`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {}

/// Runs it.
pub(super) async fn run(_: &Args, common: &Common) -> anyhow::Result<Report> {
    let run = Run::new(common).await?;
    let people = People::register(&run, 1).await?;
    let conversations = people.converse(vec![vec![0]]).await?;
    let mut crew = Crew::new(&run);
    if let Some(mut options) = people.options(0, 0) {
        options.following = Following::Nothing;
        crew.add(Part { options, conversations: conversations.clone(), depth: 1, timed: false });
    }
    crew.assemble().await?;
    let go = async |warming, length| {
        crew.go(warming, length).await;
        Ok(())
    };
    crew.by_turns(Some(Spec::echo(common, 1, 1)), Per::Latency, go).await?;
    crew.finish("ack_one", &conversations).await
}
