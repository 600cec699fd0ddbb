//! A scenario and its floor by turns: round by round, each first as often as the other, so that whatever the machine
//! does meanwhile it does to both.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{Crew, Window};
use crate::floor::{self, Floor, Spec};
use crate::measure::per;
use crate::progress::Phase;
use crate::report;
use crate::statistics::median;

/// Between two turns of a scenario that is warm already.
const WARM_AGAIN: Duration = Duration::from_millis(200);
/// What a floor runs before it is measured.
const FLOOR_WARM_UP: Duration = Duration::from_millis(100);
/// After a turn so long is waited at most until all is settled.
const SETTLING: Duration = Duration::from_secs(10);

/// What is compared with the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Per {
    /// The server's CPU over the acked sends.
    Send,
    /// Over the deliveries.
    Delivery,
    /// Over what else the scenario counts.
    Other,
    /// The median time to an ack.
    Latency,
}

impl Per {
    const fn name(self) -> &'static str {
        match self {
            Self::Send => "cpu_us_per_send",
            Self::Delivery => "cpu_us_per_delivery",
            Self::Other => "cpu_us_each",
            Self::Latency => "ack_us_p50",
        }
    }

    /// What one round comes to.
    fn figure(self, before: &Window, after: &Window) -> f64 {
        let used = after.server.unwrap_or_default() - before.server.unwrap_or_default();
        let count = match self {
            Self::Send => after.acked - before.acked,
            Self::Delivery => after.delivered - before.delivered,
            Self::Other => after.others - before.others,
            Self::Latency => return after.acks.median_us(),
        };
        per(used.used_ns, crate::measure::as_f64(count)) / 1_000.0
    }

    fn of_floor(self, round: &floor::Round) -> f64 {
        if self == Self::Latency { round.counted.latencies.median_us() } else { round.cpu_us }
    }
}

/// What all turns came to.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    per: Per,
    kind: floor::Kind,
    rounds: Vec<report::Round>,
    floor_cpu_us: Vec<f64>,
    floor_latency_us: Vec<f64>,
}

impl Turns {
    pub(super) fn report(&self, report: &mut report::Report) {
        report.floor = Some(report::Floor {
            name: self.kind.name().to_owned(),
            cpu_us: median(&self.floor_cpu_us),
            latency_us: Some(median(&self.floor_latency_us)),
        });
        report.by_rounds(self.per.name(), self.rounds.clone());
    }
}

impl Crew {
    /// Has the scenario go for the time that is measured: in one piece, or, if there is a floor to compare it with and
    /// a server to be looked at, by turns with it. `go` is told how long to warm up and how long to measure.
    pub(crate) async fn by_turns(
        &self,
        beside: Option<Spec>,
        per: Per,
        mut go: impl AsyncFnMut(Duration, Duration) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let run = &self.run;
        let common = &run.common;
        let Some(spec) = beside.filter(|_| common.compares_with_floor()) else {
            let phase = Phase::begin("running", common.warm_up + common.seconds);
            return run.watch(phase, go(common.warming(), common.measured())).await;
        };
        let phase = Phase::begin("by turns", common.warm_up + 2 * common.seconds);
        let work = async {
            let mut floor = self.start_floor(spec).await?;
            let mut turns = Turns {
                per,
                kind: floor.kind(),
                rounds: Vec::new(),
                floor_cpu_us: Vec::new(),
                floor_latency_us: Vec::new(),
            };
            let length = common.measured() / common.bench.floor_turns;
            for number in 0..common.bench.floor_turns {
                let warming = if number == 0 { common.warming() } else { WARM_AGAIN };
                let first = number % 2 == 0;
                let mut bare = floor::Round::default();
                if first {
                    (floor, bare) = bare_round(floor, length).await?;
                }
                let before = run.window.borrow().clone();
                run.window.borrow_mut().acks.clear();
                go(warming, length).await?;
                self.settle().await;
                let figure = per.figure(&before, &run.window.borrow());
                if !first {
                    (floor, bare) = bare_round(floor, length).await?;
                }
                let floor_figure = per.of_floor(&bare);
                turns.floor_cpu_us.push(bare.cpu_us);
                turns.floor_latency_us.push(bare.counted.latencies.median_us());
                let ratio = if floor_figure > 0.0 { figure / floor_figure } else { 0.0 };
                turns.rounds.push(report::Round { figure, floor: floor_figure, ratio });
            }
            *run.turns.borrow_mut() = Some(turns);
            anyhow::Ok(())
        };
        run.watch(phase, work).await
    }

    async fn start_floor(&self, spec: Spec) -> anyhow::Result<Floor> {
        let cores = self.run.cores.clone();
        let start = move || {
            let mut floor = Floor::start(&spec, |pid| cores.with_server(pid))?;
            floor.round(FLOOR_WARM_UP)?;
            anyhow::Ok(floor)
        };
        tokio::task::spawn_blocking(start).await.context("a floor panicked")?
    }

    /// Waits, for a bounded time, until every send is answered and every reader has all; whether that came.
    pub(super) async fn settle(&self) -> bool {
        let deadline = Instant::now() + SETTLING;
        while !self.run.is_settled() {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }
}

async fn bare_round(mut floor: Floor, length: Duration) -> anyhow::Result<(Floor, floor::Round)> {
    let round = tokio::task::spawn_blocking(move || {
        let round = floor.round(length)?;
        anyhow::Ok((floor, round))
    });
    round.await.context("a floor panicked")?
}
