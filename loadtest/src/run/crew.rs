//! The players of a run, ordered about as one: assemble, play to a schedule or by themselves, drain, go home.
//!
//! Owned by the scenario. Every player is a task of one set, which is waited for; each has a bounded queue of orders.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::presence::Mistakes;
use super::{Conversation, Order, Part, Player, Run, people};
use crate::pacer::{Pacer, Schedule, Spread};
use crate::progress::Phase;
use crate::report::{Presence, Report};
use crate::signs::Stage;

/// Orders that one player can have waiting: at 100 sends a second, 40 s of a server that is away. A send beyond is
/// withheld, and counted.
pub(super) const ORDERS_MAX: usize = 4_096;
/// All sockets must be open and live within this time.
const OPENING_DEADLINE: Duration = Duration::from_mins(2);
/// After everything was seen, this long is waited for what must not come.
const AFTERMATH: Duration = Duration::from_millis(300);

/// Within this time after the last coming and going presence must be right.
const PRESENCE_DEADLINE: Duration = Duration::from_secs(10);

/// The players of a run, and the ways to order them about.
pub(crate) struct Crew {
    pub(super) run: Rc<Run>,
    orders: Vec<mpsc::Sender<Order>>,
    tasks: JoinSet<()>,
}

impl Crew {
    pub(crate) fn new(run: &Rc<Run>) -> Self {
        Self { run: Rc::clone(run), orders: Vec::new(), tasks: JoinSet::new() }
    }

    /// Puts a player to work.
    pub(crate) fn add(&mut self, part: Part) {
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        self.orders.push(orders);
        self.tasks.spawn_local(Player::new(Rc::clone(&self.run), part, inbox).play());
    }

    pub(crate) fn len(&self) -> usize {
        self.orders.len()
    }

    /// Waits until every player's socket is open and live.
    pub(crate) async fn assemble(&self) -> anyhow::Result<()> {
        let phase = Phase::begin("connecting", self.len() as u64);
        let deadline = Instant::now() + OPENING_DEADLINE;
        while self.run.live.get() < self.len() as u64 {
            if Instant::now() > deadline {
                let why = self.run.last_failure.borrow().clone().unwrap_or_else(|| "no reason known".to_owned());
                bail!("only {} of {} sockets are live: {why}", self.run.live.get(), self.len());
            }
            phase.at(self.run.live.get());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let look = self.run.look().await;
        self.run.looks.borrow_mut().0 = look;
        self.run.signs.reach(Stage::Running);
        Ok(())
    }

    /// Waits, for a bounded time, until everybody is told rightly who is there, and says how that went.
    pub(crate) async fn introduce(&self) -> Option<Presence> {
        let began = Instant::now();
        loop {
            let mistakes = self.run.presence.borrow().as_ref()?.mistakes();
            let is_right = mistakes.ghosts + mistakes.unseen == 0;
            if is_right || began.elapsed() > PRESENCE_DEADLINE {
                let after = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                let Mistakes { pairs, ghosts, unseen } = mistakes;
                return Some(Presence { pairs, ghosts, unseen, right_after_ms: is_right.then_some(after) });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Gives an order; `false` if the player has too many waiting.
    pub(crate) fn order(&self, player: usize, order: Order) -> bool {
        self.orders.get(player).is_some_and(|orders| orders.try_send(order).is_ok())
    }

    /// Open loop: at each instant of a schedule, `pick` says which player sends to which of its conversations.
    pub(crate) async fn conduct(
        &self,
        warming: Duration,
        rate: f64,
        spread: Spread,
        pick: impl FnMut() -> (usize, usize),
    ) -> anyhow::Result<()> {
        self.conduct_in(warming, self.run.common.measured(), rate, spread, pick).await
    }

    /// The same, measured for so long.
    pub(crate) async fn conduct_in(
        &self,
        warming: Duration,
        measured: Duration,
        rate: f64,
        spread: Spread,
        pick: impl FnMut() -> (usize, usize),
    ) -> anyhow::Result<()> {
        self.pace(warming, measured, rate, spread, pick).await?;
        self.run.end_measuring();
        Ok(())
    }

    /// The same, with the end of what is measured left to the caller.
    pub(super) async fn pace(
        &self,
        warming: Duration,
        measured: Duration,
        rate: f64,
        spread: Spread,
        mut pick: impl FnMut() -> (usize, usize),
    ) -> anyhow::Result<()> {
        let run = &self.run;
        let length = warming + measured;
        let start_ns = run.clock.now_ns() + 10_000_000;
        let measure_ns = start_ns + u64::try_from(warming.as_nanos()).unwrap_or(u64::MAX);
        let schedule = Schedule::new(start_ns, length, rate, spread, run.common.seed);
        let mut pacer = Pacer::start(run.clock, schedule).context("no thread for the pacer")?;
        let work = async {
            while let Some(intended_ns) = pacer.due().await {
                if intended_ns >= measure_ns {
                    run.begin_measuring();
                }
                let (player, slot) = pick();
                if !self.order(player, Order::Send { slot, intended_ns }) {
                    run.withheld.set(run.withheld.get() + 1);
                }
            }
        };
        run.watch(Phase::begin("running", length.as_secs()), work).await;
        Ok(pacer.stop()?)
    }

    /// Closed loop or no loop: players do what they do by themselves, for the time that is measured.
    pub(crate) async fn let_run(&self) {
        let common = &self.run.common;
        let phase = Phase::begin("running", common.warm_up + common.seconds);
        self.run.watch(phase, self.go(common.warming(), common.measured())).await;
    }

    /// The same for so long.
    pub(crate) async fn go(&self, warming: Duration, length: Duration) {
        let run = &self.run;
        run.sending.set(true);
        for player in 0..self.len() {
            self.order(player, Order::Begin);
        }
        tokio::time::sleep(warming).await;
        run.begin_measuring();
        run.look_at_timers(length).await;
        run.end_measuring();
        run.sending.set(false);
    }

    /// Waits, for a bounded time, until all is settled and seen.
    pub(crate) async fn drain(&self) {
        let run = &self.run;
        let deadline = Instant::now() + Duration::from_secs(run.common.drain);
        let work = async {
            while !run.is_settled() && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tokio::time::sleep(AFTERMATH).await;
        };
        run.watch(Phase::begin("settling", run.common.drain), work).await;
    }

    /// Sends all players home and waits for them.
    pub(crate) async fn dismiss(mut self) -> anyhow::Result<()> {
        self.orders.clear();
        while let Some(done) = self.tasks.join_next().await {
            done.context("a player panicked")?;
        }
        Ok(())
    }

    /// Drains, compares with the histories, judges, and writes the report.
    pub(crate) async fn finish(self, scenario: &str, conversations: &[Conversation]) -> anyhow::Result<Report> {
        let run = Rc::clone(&self.run);
        run.signs.reach(Stage::Settling);
        let presence = self.introduce().await;
        self.drain().await;
        run.looks.borrow_mut().1 = run.look().await;
        run.signs.reach(Stage::Comparing);
        let mut report =
            Report { scenario: scenario.to_owned(), valid: true, clients: self.len() as u64, ..Report::default() };
        if let Err(error) = people::read_histories(&run, conversations).await {
            report.invalid(format!("the histories could not be read: {error:#}"));
        }
        self.dismiss().await?;
        let findings = run.ledger.borrow().judge();
        run.report(&mut report, &findings);
        report.presence = presence;
        if let Some(Presence { ghosts, unseen, right_after_ms: None, .. }) = presence {
            report.invalid(format!("presence is wrong after 10 s: {ghosts} ghosts, {unseen} unseen"));
        }
        Ok(report)
    }
}
