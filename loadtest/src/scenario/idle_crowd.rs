//! Many sockets that do nothing, each with one conversation: what each costs the server and the kernel.
//!
//! Several sockets share a person, as registering one costs a password hash; a conversation is between two people, so
//! that each socket follows exactly one. The open-file limit is raised as far as it goes, and beyond 20,000 sockets
//! they come from several addresses, since each has 28,231 ports.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;

use crate::host::{SocketMemory, raise_open_files};
use crate::measure::as_f64;
use crate::options::Common;
use crate::report::Report;
use crate::run::{Crew, Part, People, Run};

/// Sockets from one address: well below the ports it has.
const SOCKETS_PER_SOURCE: usize = 20_000;
/// Descriptors that are not sockets: files, timers, REST connections.
const OTHER_DESCRIPTORS: u64 = 100;

/// The options of `idle_crowd`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Sockets.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    clients: u32,
    /// Sockets of one person.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    per_person: u32,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let sockets = args.clients as usize;
    if let Some(limit) = raise_open_files().filter(|limit| *limit < u64::from(args.clients) + OTHER_DESCRIPTORS) {
        anyhow::bail!("{sockets} sockets do not fit into the limit of {limit} open files of this process");
    }
    let run = Run::new(common).await?;
    // An even number, as conversations are between two.
    let count = sockets.div_ceil(args.per_person as usize).next_multiple_of(2);
    let people = People::register(&run, count).await?;
    let plan = (0..count / 2).map(|pair| vec![2 * pair, 2 * pair + 1]).collect();
    let conversations = people.converse(plan).await?;
    let before = (run.server(), SocketMemory::look());
    let mut crew = Crew::new(&run);
    for socket in 0..sockets {
        let person = socket % count;
        let Some(mut options) = people.options(socket, person) else { continue };
        options.socket.read_bytes = 1024;
        options.socket.source = source(&run, socket);
        let own = conversations.get(person / 2).cloned();
        crew.add(Part { options, conversations: own.into_iter().collect(), depth: 0, timed: false });
    }
    crew.assemble().await?;
    crew.let_run().await;
    let after = (run.server(), SocketMemory::look());
    let mut report = crew.finish("idle_crowd", &conversations).await?;
    let each = |before: u64, after: u64| as_f64(after.saturating_sub(before)) / as_f64(u64::from(args.clients));
    if let (Some(before), Some(after)) = (before.0, after.0) {
        report.server.rss_kib_per_connection = Some(each(before.rss_kib, after.rss_kib));
        let pss = before.pss_kib.zip(after.pss_kib);
        report.server.pss_kib_per_connection = pss.map(|(before, after)| each(before, after));
    }
    if let (Some(before), Some(after)) = (before.1, after.1) {
        // Both ends are on this machine and cost alike.
        let both = each(before.total_kib(), after.total_kib());
        report.server.kernel_kib_per_connection = Some(both / 2.0);
        report.extra.insert("kernel_structures_counted".to_owned(), json!(after.structures_kib.is_some()));
    }
    Ok(report)
}

/// Which loopback address a socket comes from: the first is the system's choice.
fn source(run: &Run, socket: usize) -> Option<IpAddr> {
    let turn = u8::try_from(socket / SOCKETS_PER_SOURCE).unwrap_or(u8::MAX);
    (turn > 0 && run.is_local()).then(|| IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1 + turn)))
}
