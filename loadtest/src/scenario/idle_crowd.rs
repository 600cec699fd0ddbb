//! Many sockets that do nothing, each with one conversation: what each costs the server and the kernel.
//!
//! Several sockets share a person; a conversation is between two people, so that each socket follows exactly one. The
//! open-file limit is raised as far as it goes; what does not fit into one process is spread over several, one a server
//! if there are several. Some of them may chat afterwards.

use serde_json::json;

use crate::host::cores::Cores;
use crate::host::cpu::Cpu;
use crate::host::{Process, SocketMemory, raise_open_files};
use crate::measure::{as_f64, per};
use crate::options::Common;
use crate::pacer::{Seeded, Spread};
use crate::parts::{self, Held, Leash, Parts};
use crate::report::Report;
use crate::run::{Crew, Pairs, Run, Window};

/// Descriptors that are not sockets: files, timers, REST connections.
const OTHER_DESCRIPTORS: u64 = 300;

/// The options of `idle_crowd`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Sockets.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    clients: u32,
    /// Sockets of one person.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    per_person: u32,
    /// Of the sockets, those that chat after the time in which all are idle, for as long again.
    #[arg(long, value_name = "N", default_value_t = 0)]
    chatting: u32,
    /// Messages a second of those that chat, over all.
    #[arg(long, value_name = "N", default_value_t = 100.0)]
    rate: f64,
    /// Processes that share the sockets, if not one a server and as many as the open-file limit asks for.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    processes: Option<u32>,
}

/// What was seen of servers and kernel at one moment.
type Look = (Option<Process>, Option<SocketMemory>);

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let room = raise_open_files().map_or(u64::MAX, |limit| limit.saturating_sub(OTHER_DESCRIPTORS)).max(1);
    let asked = u64::from(args.clients).div_ceil(room).max(common.url.len() as u64);
    let processes = args.processes.map_or(asked, u64::from);
    if processes > 1 && !common.part {
        let (args, common) = (args.clone(), common.clone());
        let leash = Leash::default();
        let held = leash.held();
        return tokio::task::spawn_blocking(move || in_parts(&args, &common, processes, held)).await?;
    }
    anyhow::ensure!(u64::from(args.clients) <= room, "{} sockets do not fit into one process", args.clients);
    alone(args, common).await
}

/// All in this process.
async fn alone(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let run = Run::new(common).await?;
    let sockets = args.clients as usize;
    let pairs = Pairs::gather(&run, sockets.div_ceil(args.per_person as usize)).await?;
    parts::say(common, "ready").await?;
    let before = (run.server(), SocketMemory::look());
    let mut crew = Crew::new(&run);
    for part in (0..sockets).filter_map(|socket| pairs.socket(socket, socket < args.chatting as usize)) {
        crew.add(part);
    }
    crew.assemble().await?;
    parts::say(common, "live").await?;
    crew.let_run().await;
    let after = (run.server(), SocketMemory::look());
    parts::say(common, "held").await?;
    let idle_cpu = run.window.borrow().server;
    if args.chatting > 0 {
        // The rates of the report are those of the chat.
        run.window.replace(Window::default());
        let mut seeded = Seeded::new(common.seed);
        let chatting = (args.chatting as usize).min(sockets);
        crew.conduct(common.warming(), args.rate, Spread::Random, || (seeded.below(chatting), 0)).await?;
        crew.drain().await;
        parts::say(common, "chatted").await?;
    }
    let mut report = crew.finish("idle_crowd", &pairs.conversations).await?;
    enter(&mut report, u64::from(args.clients), before, after);
    if let Some(cpu) = idle_cpu {
        let percent = per(cpu.used_ns, common.measured().as_secs_f64()) / 1e7;
        report.extra.insert("idle_cpu_percent".to_owned(), json!(percent));
    }
    Ok(report)
}

/// What each socket added.
fn enter(report: &mut Report, clients: u64, before: Look, after: Look) {
    let each = |before: u64, after: u64| as_f64(after.saturating_sub(before)) / as_f64(clients);
    if let (Some(before), Some(after)) = (before.0, after.0) {
        report.server.rss_kib_per_connection = Some(each(before.rss_kib, after.rss_kib));
        let pss = before.pss_kib.zip(after.pss_kib);
        report.server.pss_kib_per_connection = pss.map(|(before, after)| each(before, after));
        report.extra.insert("rss_kib_before".to_owned(), json!(before.rss_kib));
        report.extra.insert("rss_kib_idle".to_owned(), json!(after.rss_kib));
    }
    if let (Some(before), Some(after)) = (before.1, after.1) {
        // Both ends are on this machine and cost alike.
        let both = each(before.total_kib(), after.total_kib());
        report.server.kernel_kib_per_connection = Some(both / 2.0);
        report.extra.insert("kernel_structures_counted".to_owned(), json!(after.structures_kib.is_some()));
    }
}

/// In several processes. Blocks.
fn in_parts(args: &Args, common: &Common, processes: u64, held: Held) -> anyhow::Result<Report> {
    let cores = if common.bench.pin { Cores::part(&common.server_pid) } else { Cores::default() };
    let share = |of: u32, number: u64| {
        let (of, number) = (u64::from(of), number);
        (of * (number + 1) / processes - of * number / processes).to_string()
    };
    let words = (0..processes).map(|number| {
        let rate = args.rate / as_f64(processes);
        let named = [
            ("--clients", share(args.clients, number)),
            ("--per-person", args.per_person.to_string()),
            ("--chatting", share(args.chatting, number)),
            ("--rate", rate.to_string()),
        ];
        std::iter::once("idle_crowd".to_owned())
            .chain(named.into_iter().flat_map(|(name, value)| [name.to_owned(), value]))
            .collect()
    });
    let look = || (Process::of_all(&common.server_pid), SocketMemory::look());
    let cpu = || Cpu::of_all(&common.server_pid);
    let mut parts = Parts::start(common, words, held)?;
    parts.all_say("ready")?;
    let before = look();
    parts.go_on()?;
    parts.all_say("live")?;
    let began = (std::time::Instant::now(), cpu());
    parts.go_on()?;
    parts.all_say("held")?;
    let (after, idle) = (look(), (began.0.elapsed().as_secs_f64(), cpu()));
    parts.go_on()?;
    if args.chatting > 0 {
        parts.all_say("chatted")?;
        parts.go_on()?;
    }
    let mut report = Report { scenario: "idle_crowd".to_owned(), valid: true, ..Report::default() };
    report.seconds = idle.0;
    report.seed = common.seed;
    report.urls.clone_from(&common.url);
    let end = look();
    parts.finish(&mut report)?;
    enter(&mut report, u64::from(args.clients), before, after);
    if let Some(end) = end.0 {
        (report.server.rss_kib, report.server.pss_kib) = (Some(end.rss_kib), end.pss_kib);
        report.server.descriptors = end.descriptors;
    }
    if let (Some(before), Some(after)) = (began.1, idle.1) {
        let percent = per((after - before).used_ns, idle.0) / 1e7;
        report.extra.insert("idle_cpu_percent".to_owned(), json!(percent));
    }
    report.extra.insert("processes".to_owned(), json!(processes));
    let (server, generator) = cores.words().unzip();
    report.cores = crate::report::Cores { server, generator };
    Ok(report)
}
