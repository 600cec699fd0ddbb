//! Some of a room stop reading: a slow reader hurts only itself (BOUNDED).
//!
//! By turns everybody reads, and the slow ones stop, with small receive buffers so that their outboxes fill soon. Each
//! time they must find `going_away` with their resume points and close 4005, come back, and complete their streams
//! (RESUMABLE), a frame a millisecond. What the others wait for their messages meanwhile, that return included, stands
//! beside what they wait in the turns without.

use std::time::Duration;

use serde_json::json;

use crate::options::Common;
use crate::report::Report;
use crate::run::{Crew, Order, Part, People, Plan, Run};

/// The kernel's receive buffer of a slow reader, in bytes: two segments of the loopback, so that it fills soon and yet
/// lets the backlog through at full speed afterwards.
const SLOW_RECEIVE_BYTES: u32 = 128 * 1024;
/// A turn goes on for so long after the pause: they take what they find, stay away for the second that they are asked to,
/// and catch up.
const RETURN: Duration = Duration::from_secs(4);

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
    /// How often without and with take turns. The measured time is divided among them, but none is shorter than the pause
    /// and what follows.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    turns: u32,
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
    for person in readers + 1..=readers + slow {
        crew.order(person, Order::Slow);
    }
    let pause = Duration::from_secs(args.pause);
    let length = (common.measured() / (2 * args.turns)).max(pause + RETURN);
    let plan = Plan { rounds: args.turns, length, rate: args.rate };
    let sides = crew.by_sides(plan, async || {
        for person in readers + 1..=readers + slow {
            crew.order(person, Order::Pause(pause));
        }
    });
    let sides = sides.await?;
    let mut report = crew.finish("slow_reader", &rooms).await?;
    sides.report(&mut report, common.max_late);
    let told = |how: &&String| how.starts_with("4005") && how.contains("right resume points");
    let cut: u64 = run.endings.borrow().iter().filter(|(how, _)| told(how)).map(|(_, count)| count).sum();
    report.extra.insert("slow_readers_cut_with_a_resume_point".to_owned(), json!(cut));
    let stops = u64::from(args.slow) * u64::from(args.turns);
    if cut < stops {
        report.invalid(format!(
            "slow readers stopped {stops} times, and were told, closed with 4005 and given resume points only {cut} times"
        ));
    }
    Ok(report)
}
