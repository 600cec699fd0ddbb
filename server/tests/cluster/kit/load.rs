//! Load from many clients, on a thread of its own, with signs of how it fares; judged at the end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hubbub_loadtest::cli;
use hubbub_loadtest::report::Report;
use hubbub_loadtest::signs::{Signs, Stage};

use super::PATIENCE;
use super::cluster::Cluster;

/// Of 100 sends 99 start no later than this after their instant; else the machine is too busy for any claim about time.
const LATE_MAX: Duration = Duration::from_millis(250);

/// Whether what a run says about time counts. What it says about loss and order always does.
pub(crate) fn kept_time(report: &Report) -> bool {
    let late = Duration::from_micros(report.generator.lag_us.map_or(0, |lag| lag.p99));
    if late > LATE_MAX {
        println!("NOT JUDGED: times, as the generator itself was {late:?} late (p99): the machine is too busy");
    }
    late <= LATE_MAX
}

/// A scenario of the load test that goes on.
pub(crate) struct Load {
    signs: Arc<Signs>,
    /// Until somebody waits for it.
    thread: Option<JoinHandle<Result<Report, String>>>,
}

/// What was seen for a while.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Sends that were acked.
    pub(crate) acked: u64,
    /// The longest time without any ack.
    pub(crate) longest_pause: Duration,
}

impl Load {
    /// Starts a scenario over all nodes of a cluster.
    pub(crate) fn start(cluster: &Cluster, words: &[&str]) -> Self {
        let rest = cluster.rest_urls();
        let rest: Vec<&str> = rest.iter().flat_map(|rest| ["--rest", rest]).collect();
        Self::at(&cluster.urls(), cluster.seed, &[words, &rest].concat())
    }

    /// Starts a scenario at these URLs.
    pub(crate) fn at(urls: &str, seed: u64, words: &[&str]) -> Self {
        let seed = seed.to_string();
        // Two busy cores are late at times; no latency is claimed here that this would spoil.
        let shared = ["--url", urls, "--seed", &seed, "--warm-up", "0", "--drain", "60", "--max-late", "100"];
        let scenario = cli::scenario(&[words, &shared].concat()).expect("such a scenario");
        let signs = Arc::clone(&scenario.common().signs);
        let thread = std::thread::spawn(move || cli::perform(&scenario).map_err(|error| format!("{error:#}")));
        Self { signs, thread: Some(thread) }
    }

    /// Waits until all clients are live and send.
    pub(crate) fn runs(mut self) -> Self {
        let give_up = Instant::now() + PATIENCE;
        while self.signs.stage() < Stage::Running && Instant::now() < give_up {
            if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
                // It says why it never ran.
                self.report();
                panic!("the load is over before it ran");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Deliveries from before are no measure of what comes.
        self.signs.take_slowest_ack();
        self.signs.take_slowest_delivery();
        self
    }

    pub(crate) fn signs(&self) -> Arc<Signs> {
        Arc::clone(&self.signs)
    }

    /// Looks on for a while.
    pub(crate) fn watch(&self, time: Duration) -> Watched {
        let began = Instant::now();
        let before = self.signs.acked();
        let (mut last, mut since, mut longest_pause) = (before, began, Duration::ZERO);
        while began.elapsed() < time {
            std::thread::sleep(Duration::from_millis(20));
            let now = self.signs.acked();
            longest_pause = longest_pause.max(since.elapsed());
            if now > last {
                (last, since) = (now, Instant::now());
            }
        }
        Watched { acked: last - before, longest_pause }
    }

    /// What was acked by now is with every member of its room, whichever node they are on, after this time.
    pub(crate) fn is_with_everybody(&self, members: u64, within: Duration) {
        let due = self.signs.acked() * members;
        self.watch(within);
        let delivered = self.signs.delivered();
        assert!(delivered >= due, "RESUMABLE: {delivered} of {due} deliveries were made {within:?} after the ack");
    }

    /// Waits for the end, and shows the report.
    pub(crate) fn report(&mut self) -> Report {
        let thread = self.thread.take().expect("it is waited for once");
        let report = thread.join().expect("the load's thread ends").expect("the load ends");
        println!("{report}");
        report
    }

    /// Waits for the end, at which nothing may be lost, doubled or reordered, and everything settled.
    pub(crate) fn passes(mut self) -> Report {
        let report = self.report();
        assert!(report.acked > 0 && report.delivered > 0, "there was load: {report}");
        assert_eq!(report.lost, 0, "DURABLE, GAPLESS, RESUMABLE: {:#?}", report.violations);
        assert_eq!(report.doubled, 0, "ONCE: {:#?}", report.violations);
        assert_eq!(report.reordered, 0, "IN-ORDER, GAPLESS: {:#?}", report.violations);
        assert_eq!(report.gaps, 0, "IN-ORDER: all is retained, so no gap is announced: {:#?}", report.violations);
        assert_eq!(report.false_, 0, "HONEST, MEMBERS-ONLY: {:#?}", report.violations);
        assert_eq!(report.unknown, 0, "HONEST: unknown ones were settled by a retry with the same id");
        // Among them: that presence is right in time.
        assert!(report.valid || !kept_time(&report), "{:#?}", report.notes);
        report
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // A test that failed wants no report; the next one wants the machine.
        self.signs.abandon();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
