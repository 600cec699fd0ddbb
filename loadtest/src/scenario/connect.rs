//! Logins, one after another from many sides: how many a server takes, and its CPU for each.
//!
//! Closed loop: so many at a time connect, upgrade, say who they are, are told `auth.ok`, and go without a goodbye. Its
//! floor accepts and upgrades, and asks nobody who they are.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::client::knock::Knock;
use crate::floor::Spec;
use crate::measure::{Latencies, as_f64, per};
use crate::options::Common;
use crate::report::Report;
use crate::run::{Crew, Pairs, Per, Run};

/// The access tokens must be good for longer than a round.
const TOKEN_LEFT: Duration = Duration::from_mins(2);

/// The options of `connect`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Logins at a time.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    at_once: u32,
    /// People who log in, by turns; pairs of them have a conversation.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    people: u32,
}

/// What all who knock share.
#[derive(Default)]
struct Tally {
    latencies: RefCell<Latencies>,
    failed: Cell<u64>,
    last_failure: RefCell<Option<String>>,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let run = Run::new(common).await?;
    let Pairs { people, conversations, .. } = Pairs::gather(&run, args.people as usize).await?;
    let crew = Crew::new(&run);
    crew.assemble().await?;
    let tally = Rc::new(Tally::default());
    let go = async |warming, length| {
        let mut doors = JoinSet::new();
        run.sending.set(true);
        for door in 0..args.at_once as usize {
            let Some(account) = people.accounts.get(door % people.accounts.len()) else { continue };
            let Some(target) = run.targets.get(door % run.targets.len()) else { continue };
            let knock = Knock::new(target, &account.fresh_token(TOKEN_LEFT).await?)?;
            doors.spawn_local(knock_on(Rc::clone(&run), Rc::clone(&tally), knock, door));
        }
        tokio::time::sleep(warming).await;
        run.begin_measuring();
        run.look_at_timers(length).await;
        run.end_measuring();
        run.sending.set(false);
        while let Some(done) = doors.join_next().await {
            done?;
        }
        Ok(())
    };
    let spec = Spec::door(common, args.at_once as usize);
    crew.by_turns(Some(spec), Per::Other, go).await?;
    let window = run.window.borrow().clone();
    let mut report = crew.finish("connect", &conversations).await?;
    report.clients = u64::from(args.at_once);
    let rate = per(window.others, report.seconds);
    report.extra.insert("connects".to_owned(), json!(window.others));
    report.extra.insert("connect_rate".to_owned(), json!(rate));
    report.extra.insert("connect_us".to_owned(), json!(tally.latencies.borrow().percentiles()));
    if let Some(server) = window.server {
        let each = per(server.used_ns, as_f64(window.others)) / 1_000.0;
        report.extra.insert("cpu_us_per_connect".to_owned(), json!(each));
    }
    if tally.failed.get() > 0 {
        let why = tally.last_failure.borrow().clone().unwrap_or_default();
        report.invalid(format!("{} logins failed: {why}", tally.failed.get()));
    }
    Ok(report)
}

/// Logs in again and again.
async fn knock_on(run: Rc<Run>, tally: Rc<Tally>, knock: Knock, door: usize) {
    let Some(target) = run.targets.get(door % run.targets.len()) else { return };
    while run.sending.get() {
        let began_ns = run.clock.now_ns();
        match knock.once(target).await {
            Ok(_) if run.is_measuring() => {
                run.window.borrow_mut().others += 1;
                tally.latencies.borrow_mut().record(began_ns, run.clock.now_ns());
            }
            Ok(_) => {}
            Err(error) => {
                tally.failed.set(tally.failed.get() + 1);
                *tally.last_failure.borrow_mut() = Some(error.to_string());
            }
        }
    }
}
