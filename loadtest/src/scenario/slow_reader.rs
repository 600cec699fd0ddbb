//! Some of a room stop reading: a slow reader hurts only itself (BOUNDED).
//!
//! First everybody reads, then the slow ones stop, with small receive buffers so that their outboxes fill soon. They
//! must find `going_away` with their resume points and close 4005, come back, and complete their streams (RESUMABLE);
//! the others' latencies before and during are reported side by side.

use std::time::Duration;

use serde_json::json;

use crate::measure::as_f64;
use crate::options::Common;
use crate::pacer::Spread;
use crate::report::Report;
use crate::run::{Crew, Order, Part, People, Run};
use crate::statistics::moved_percent;

/// The kernel's receive buffer of a slow reader, in bytes: two segments of the loopback, so that it fills soon and yet
/// lets the backlog through at full speed afterwards.
const SLOW_RECEIVE_BYTES: u32 = 128 * 1024;

/// The options of `slow_reader`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Readers that keep reading.
    #[arg(long, value_name = "N", default_value_t = 18, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    readers: u32,
    /// Readers that stop.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    slow: u32,
    /// Messages a second.
    #[arg(long, value_name = "N", default_value_t = 200.0)]
    rate: f64,
    /// How long the slow ones do not read. They must be cut within it.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pause: u64,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let mut common = common.clone();
    // Small messages would need minutes to fill a kernel's buffers.
    common.payload = common.payload.max(8 * 1024);
    let run = Run::new(&common).await?;
    let (readers, slow) = (args.readers as usize, args.slow as usize);
    let people = People::register(&run, 1 + readers + slow).await?;
    let rooms = people.converse(vec![(0..=readers + slow).collect()]).await?;
    let mut crew = Crew::new(&run);
    for person in 0..=readers + slow {
        let Some(mut options) = people.options(person, person) else { continue };
        let is_slow = person > readers;
        if is_slow {
            options.socket.receive_buffer = Some(SLOW_RECEIVE_BYTES);
            options.socket.read_bytes = 4 * 1024;
        }
        crew.add(Part { options, conversations: rooms.clone(), depth: 0, timed: !is_slow });
    }
    crew.assemble().await?;
    crew.conduct(common.warming(), args.rate, Spread::Even, || (0, 0)).await?;
    let before = run.deliver.borrow().percentiles();
    run.deliver.borrow_mut().clear();
    for person in readers + 1..=readers + slow {
        crew.order(person, Order::Pause(Duration::from_secs(args.pause)));
    }
    crew.conduct(Duration::ZERO, args.rate, Spread::Even, || (0, 0)).await?;
    let during = run.deliver.borrow().percentiles();
    let mut report = crew.finish("slow_reader", &rooms).await?;
    report.extra.insert("deliver_us_before".to_owned(), json!(before));
    report.extra.insert("deliver_us_during".to_owned(), json!(during));
    if let (Some(before), Some(during)) = (before, during) {
        let moved = moved_percent(as_f64(before.p99), as_f64(during.p99));
        report.extra.insert("p99_moved_percent".to_owned(), json!(moved));
    }
    let told = |how: &&String| how.starts_with("4005") && how.contains("right resume points");
    let cut: u64 = run.endings.borrow().iter().filter(|(how, _)| told(how)).map(|(_, count)| count).sum();
    report.extra.insert("slow_readers_cut_with_a_resume_point".to_owned(), json!(cut));
    if cut < u64::from(args.slow) {
        report
            .invalid(format!("only {cut} of {slow} slow readers were told, closed with 4005 and given resume points"));
    }
    Ok(report)
}
