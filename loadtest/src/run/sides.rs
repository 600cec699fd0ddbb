//! The same messages without something and with it, by turns: what it does to whoever has no part in it.
//!
//! On a machine that others share, the 99th percentile of one minute and that of the next differ by a third with nothing
//! changed. So each round has both sides over the same sockets, in every other round the second one first, and what counts
//! is the median of the rounds' ratios. What the generator did is kept for each side, as it may be what is slower.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Crew, Run};
use crate::host::cpu::Cpu;
use crate::measure::{Latencies, as_f64, per};
use crate::pacer::{Lag, Spread};
use crate::report::{Report, Round};
use crate::statistics::{median, moved_percent};

/// At the beginning of a turn this much is not measured.
const WARM_AGAIN: Duration = Duration::from_millis(500);
/// Of what the ratio is.
const RATIO_OF: &str = "deliver_us_p99";

/// How both sides are measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// How long each side of each round is measured.
    pub(crate) length: Duration,
    /// Messages a second.
    pub(crate) rate: f64,
}

/// What was used: by the server, by the generator, and over how long.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    server: Cpu,
    own: Cpu,
    spent_ns: u64,
}

impl Used {
    fn up_to_now(run: &Run) -> Self {
        let window = run.window.borrow();
        Self {
            server: window.server.unwrap_or_default(),
            own: window.own.unwrap_or_default(),
            spent_ns: window.spent_ns,
        }
    }
}

/// All turns of one side.
#[derive(Debug, Default)]
struct Side {
    p99_us: Vec<f64>,
    deliver: Latencies,
    lag: Lag,
    used: Used,
}

impl Side {
    /// Takes what a turn came to, since what was used before.
    fn take(&mut self, run: &Run, before: Used) {
        let (deliver, lag, now) = (run.deliver.take(), run.lag.take(), Used::up_to_now(run));
        self.p99_us.push(deliver.percentiles().map_or(0.0, |found| as_f64(found.p99)));
        self.deliver.add(&deliver);
        self.lag.add(&lag);
        self.used.server += now.server - before.server;
        self.used.own += now.own - before.own;
        self.used.spent_ns += now.spent_ns - before.spent_ns;
    }

    fn told(&self) -> Value {
        let percent = |cpu: Cpu| per(cpu.used_ns, Duration::from_nanos(self.used.spent_ns).as_secs_f64()) / 1e7;
        json!({
            "p99_us": self.p99_us,
            "deliver_us": self.deliver.percentiles(),
            "server_cpu_percent": percent(self.used.server),
            "generator_cpu_percent": percent(self.used.own),
            "generator_lag_us": self.lag.percentiles(),
            "late_percent": self.lag.late_percent(),
        })
    }
}

/// Both sides.
#[derive(Debug, Default)]
pub(crate) struct Sides {
    without: Side,
    with: Side,
    /// Turns of which not all had come when it was waited for no longer.
    unsettled: u32,
}

impl Sides {
    /// Enters what they came to.
    pub(crate) fn report(&self, report: &mut Report, max_late: f64) {
        let pairs = self.without.p99_us.iter().zip(&self.with.p99_us).filter(|(without, _)| **without > 0.0);
        let rounds = pairs.map(|(without, with)| Round { figure: *with, floor: *without, ratio: with / without });
        report.by_rounds(RATIO_OF, rounds.collect());
        let moved = report.ratio.and_then(|ratio| moved_percent(1.0, ratio));
        for (name, value) in [
            ("p99_us_without", json!(median(&self.without.p99_us))),
            ("p99_us_with", json!(median(&self.with.p99_us))),
            ("p99_moved_percent", json!(moved)),
            ("without", self.without.told()),
            ("with", self.with.told()),
        ] {
            report.extra.insert(name.to_owned(), value);
        }
        self.doubt(report, max_late);
    }

    /// Says what speaks against the figures: what was heard of one side alone, or too late, is no comparison.
    fn doubt(&self, report: &mut Report, max_late: f64) {
        for (name, side) in [("without", &self.without), ("with", &self.with)] {
            let late = side.lag.late_percent();
            if late > max_late {
                report.invalid(format!("the generator lagged {name}: {late:.2} % of its sends were over 5 ms late"));
            }
            let silent = side.p99_us.iter().filter(|p99| **p99 <= 0.0).count();
            if silent > 0 {
                report.invalid(format!("in {silent} turns {name} nobody heard anything"));
            }
        }
        if self.unsettled > 0 {
            report.invalid(format!("in {} turns not everything had come 10 s after the last send", self.unsettled));
        }
        let p99 = |lag: &Lag| lag.percentiles().map_or(0.0, |found| as_f64(found.p99));
        let (lag, moved) =
            (p99(&self.with.lag) - p99(&self.without.lag), median(&self.with.p99_us) - median(&self.without.p99_us));
        if moved > 0.0 && lag > moved / 4.0 {
            report.notes.push(format!(
                "of the {:.2} ms by which the p99 moves, the generator's own lag may be {:.2} ms",
                moved / 1e3,
                lag / 1e3
            ));
        }
    }
}

impl Crew {
    /// The first player sends, without something and with it, by turns. `disturb` is begun with each turn that is with
    /// it, and is over with that at the latest.
    pub(crate) async fn by_sides(&self, plan: Plan, mut disturb: impl AsyncFnMut()) -> anyhow::Result<Sides> {
        let run = &self.run;
        let mut sides = Sides::default();
        self.conduct_in(run.common.warming(), Duration::ZERO, plan.rate, Spread::Even, || (0, 0)).await?;
        run.replace_lag(Lag::default());
        for round in 0..plan.rounds {
            for is_with in [round % 2 == 1, round % 2 == 0] {
                let before = Used::up_to_now(run);
                let disturbance = async {
                    if is_with {
                        disturb().await;
                    }
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    biased;
                    settled = self.turn(plan) => sides.unsettled += u32::from(!settled?),
                    () = disturbance => {}
                }
                let side = if is_with { &mut sides.with } else { &mut sides.without };
                side.take(run, before);
            }
        }
        // All of it is the run's.
        for side in [&sides.without, &sides.with] {
            run.deliver.borrow_mut().add(&side.deliver);
            run.lag.borrow_mut().add(&side.lag);
        }
        Ok(sides)
    }

    /// One side once, to its last delivery: what comes late counts too, or the slowest were left out. Whether all came.
    async fn turn(&self, plan: Plan) -> anyhow::Result<bool> {
        self.pace(WARM_AGAIN, plan.length, plan.rate, Spread::Even, || (0, 0)).await?;
        let settled = self.settle().await;
        self.run.end_measuring();
        Ok(settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(p99_us: &[f64], lags_ms: &[u64]) -> Side {
        let mut side = Side { p99_us: p99_us.to_vec(), ..Side::default() };
        for ms in lags_ms {
            side.lag.record(0, ms * 1_000_000);
        }
        side
    }

    fn report_of(sides: &Sides) -> Report {
        let mut report = Report { valid: true, ..Report::default() };
        sides.report(&mut report, 1.0);
        report
    }

    #[test]
    fn one_bad_round_on_either_side_does_not_move_what_both_come_to() {
        let sides = Sides {
            without: side(&[10.0, 10.0, 90.0, 20.0, 10.0], &[1]),
            with: side(&[11.0, 80.0, 99.0, 22.0, 11.0], &[1]),
            unsettled: 0,
        };
        let report = report_of(&sides);
        assert!(report.valid && report.floor.is_none());
        assert!(report.ratio.is_some_and(|ratio| (ratio - 1.1).abs() < 1e-9), "{:?}", report.ratio);
        assert_eq!((report.rounds.len(), report.ratio_interval.map(|interval| interval.rounds)), (5, Some(5)));
        let moved = report.extra.get("p99_moved_percent").and_then(Value::as_f64);
        assert!(moved.is_some_and(|moved| (moved - 10.0).abs() < 1e-6), "{moved:?}");
    }

    #[test]
    fn a_late_generator_on_either_side_is_no_measure() {
        let quiet = [1; 400];
        for lags in [[&quiet[..], &[1, 1, 6]], [&[1, 1, 6], &quiet[..]]] {
            let [without, with] = lags.map(|lags| side(&[10.0], lags));
            assert!(
                !report_of(&Sides { without, with, unsettled: 0 }).valid,
                "late on one side, though seldom over both"
            );
        }
    }

    #[test]
    fn turns_in_which_nothing_came_or_not_all_are_no_measure() {
        let report = |without, with, unsettled| {
            report_of(&Sides { without: side(&[10.0, without], &[1]), with: side(&[10.0, with], &[1]), unsettled })
        };
        assert!(report(10.0, 10.0, 0).valid);
        assert!(!report(0.0, 10.0, 0).valid && !report(10.0, 0.0, 0).valid && !report(10.0, 10.0, 1).valid);
        assert_eq!(report(0.0, 10.0, 0).ratio_interval.map(|interval| interval.rounds), Some(1));
    }

    #[test]
    fn what_the_generator_adds_is_said() {
        let sides =
            |lag_ms| Sides { without: side(&[10_000.0], &[1]), with: side(&[12_000.0], &[lag_ms]), unsettled: 0 };
        assert_eq!((report_of(&sides(1)).notes.len(), report_of(&sides(2)).notes.len()), (0, 1));
    }
}
