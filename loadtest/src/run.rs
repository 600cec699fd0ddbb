//! One run: what all its players share, from the first account to the report.
//!
//! Everything runs on one thread, so that nothing is locked and the generator is one core at the most; what stands in
//! cells is touched between awaits only. More load than one core makes comes from more processes.

mod people;
mod player;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::client::http::Target;
use crate::host::Process;
use crate::ledger::{Findings, Ledger};
use crate::measure::{Clock, Latencies};
use crate::options::Common;
use crate::pacer::{Lag, Pacer, Schedule, Spread};
use crate::progress::{EVERY, Phase};
use crate::report::{Generator, Report};

pub(crate) use self::people::{Conversation, People};
pub(crate) use self::player::{Order, Part, Player};

/// Sockets that are being opened at one time: enough to keep two cores busy, few enough for any listen queue.
const OPENING_MAX: usize = 128;
/// Orders that one player can have waiting: at 100 sends a second, 40 s of a server that is away. A send beyond is
/// withheld, and counted.
const ORDERS_MAX: usize = 4_096;
/// All sockets must be open and live within this time.
const OPENING_DEADLINE: Duration = Duration::from_mins(2);
/// After everything was seen, this long is waited for what must not come.
const AFTERMATH: Duration = Duration::from_millis(300);

/// What counts in the measured time alone.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    acked: u64,
    delivered: u64,
    began_ns: u64,
    ended_ns: u64,
    server: (Option<Process>, Option<Process>),
    own: (Option<Process>, Option<Process>),
}

/// What the players of a run share.
pub(crate) struct Run {
    pub(crate) common: Common,
    pub(crate) targets: Arc<[Target]>,
    pub(crate) clock: Clock,
    /// Tells this run's accounts and messages from those of others.
    number: u32,
    pub(crate) ledger: RefCell<Ledger>,
    pub(crate) ack: RefCell<Latencies>,
    pub(crate) deliver: RefCell<Latencies>,
    lag: RefCell<Lag>,
    window: RefCell<Window>,
    measuring: Cell<bool>,
    /// Players that send by themselves go on.
    pub(crate) sending: Cell<bool>,
    live: Cell<u64>,
    reconnects: Cell<u64>,
    withheld: Cell<u64>,
    /// How sockets ended, by close code and reason.
    pub(crate) endings: RefCell<BTreeMap<String, u64>>,
    last_failure: RefCell<Option<String>>,
    doors: Semaphore,
}

impl Run {
    /// Prepares a run.
    pub(crate) async fn new(common: &Common) -> anyhow::Result<Rc<Self>> {
        let mut targets = Vec::new();
        for url in &common.url {
            targets.push(Target::resolve(url).await?);
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = since.subsec_nanos() ^ u32::try_from(since.as_secs() & 0xffff_ffff).unwrap_or(0).rotate_left(7);
        Ok(Rc::new(Self {
            common: common.clone(),
            targets: targets.into(),
            clock: Clock::start(),
            number,
            ledger: RefCell::new(Ledger::new(number)),
            ack: RefCell::default(),
            deliver: RefCell::default(),
            lag: RefCell::default(),
            window: RefCell::default(),
            measuring: Cell::new(false),
            sending: Cell::new(false),
            live: Cell::new(0),
            reconnects: Cell::new(0),
            withheld: Cell::new(0),
            endings: RefCell::default(),
            last_failure: RefCell::default(),
            doors: Semaphore::new(OPENING_MAX),
        }))
    }

    /// An address of its own for each person, if the server is on this machine: it counts logins by address, and the
    /// people of a load test do not share one.
    pub(crate) fn source(&self, person: usize) -> Option<IpAddr> {
        let here = self.targets.iter().all(|target| target.address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST));
        let spread = u32::try_from(person % (1 << 20)).unwrap_or(0).wrapping_add(self.number << 8) & 0x000f_ffff;
        here.then(|| IpAddr::V4(Ipv4Addr::from_bits(0x7f10_0001 + spread)))
    }

    fn begin_measuring(&self) {
        if !self.measuring.replace(true) {
            let (server, own) = ((self.server(), None), (Process::own(), None));
            *self.window.borrow_mut() = Window { began_ns: self.clock.now_ns(), server, own, ..Window::default() };
        }
    }

    fn end_measuring(&self) {
        if self.measuring.replace(false) {
            let mut window = self.window.borrow_mut();
            window.ended_ns = self.clock.now_ns();
            window.server.1 = self.server();
            window.own.1 = Process::own();
        }
    }

    /// A look at the server's process, if it was named.
    pub(crate) fn server(&self) -> Option<Process> {
        self.common.server_pid.and_then(Process::look)
    }

    /// Whether all sends are settled and all readers hold all that is known.
    fn is_settled(&self) -> bool {
        let ledger = self.ledger.borrow();
        ledger.counts().unknown() == 0 && ledger.behind() == 0
    }

    fn rates(&self, since: &mut (Instant, u64, u64)) -> String {
        let counts = self.ledger.borrow().counts();
        let seconds = since.0.elapsed().as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| per(now.saturating_sub(before), seconds);
        let text = format!(
            "{:.0} sends/s  {:.0} deliveries/s  {} waiting  {} reconnects  {}",
            rate(counts.acked, since.1),
            rate(counts.delivered, since.2),
            counts.unknown(),
            self.reconnects.get(),
            self.last_failure.borrow().as_deref().unwrap_or_default(),
        );
        *since = (Instant::now(), counts.acked, counts.delivered);
        text
    }

    /// Shows the rates for as long as something else goes on.
    async fn watch<T>(&self, phase: Phase, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let show = async {
            let mut since = (Instant::now(), 0, 0);
            loop {
                tokio::time::sleep(EVERY).await;
                phase.at(began.elapsed().as_secs());
                phase.say(self.rates(&mut since));
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            never = show => never,
        }
    }
}

/// The players of a run, and the ways to order them about.
pub(crate) struct Crew {
    run: Rc<Run>,
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
        Ok(())
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
        mut pick: impl FnMut() -> (usize, usize),
    ) -> anyhow::Result<()> {
        let run = &self.run;
        let length = warming + run.common.measured();
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
            run.end_measuring();
        };
        run.watch(Phase::begin("running", length.as_secs()), work).await;
        Ok(pacer.stop()?)
    }

    /// Closed loop or no loop: players do what they do by themselves, for the time that is measured.
    pub(crate) async fn let_run(&self) {
        let run = &self.run;
        let work = async {
            run.sending.set(true);
            for player in 0..self.len() {
                self.order(player, Order::Begin);
            }
            tokio::time::sleep(run.common.warming()).await;
            run.begin_measuring();
            // A timer's own lateness is this thread's: the generator's lag, where no schedule shows it.
            let end = Instant::now() + run.common.measured();
            while Instant::now() < end {
                let intended_ns = run.clock.now_ns() + 10_000_000;
                tokio::time::sleep_until(run.clock.instant(intended_ns).into()).await;
                // The runtime's timers are up to two milliseconds late by their nature.
                run.lag.borrow_mut().record(intended_ns + 2_000_000, run.clock.now_ns());
            }
            run.end_measuring();
            run.sending.set(false);
        };
        run.watch(Phase::begin("running", run.common.warm_up + run.common.seconds), work).await;
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
        self.drain().await;
        let run = Rc::clone(&self.run);
        let mut report =
            Report { scenario: scenario.to_owned(), valid: true, clients: self.len() as u64, ..Report::default() };
        if let Err(error) = people::read_histories(&run, conversations).await {
            report.invalid(format!("the histories could not be read: {error:#}"));
        }
        self.dismiss().await?;
        let findings = run.ledger.borrow().judge();
        run.report(&mut report, &findings);
        Ok(report)
    }
}

impl Run {
    fn report(&self, report: &mut Report, findings: &Findings) {
        report.enter(self.ledger.borrow().counts(), findings);
        let window = *self.window.borrow();
        let seconds = Duration::from_nanos(window.ended_ns.saturating_sub(window.began_ns)).as_secs_f64();
        report.seconds = seconds;
        report.seed = self.common.seed;
        report.urls.clone_from(&self.common.url);
        report.reconnects = self.reconnects.get();
        report.ack_us = self.ack.borrow().percentiles();
        report.deliver_us = self.deliver.borrow().percentiles();
        report.send_rate = (report.sent > 0).then(|| per(window.acked, seconds));
        report.delivery_rate = (report.delivered > 0).then(|| per(window.delivered, seconds));
        self.report_server(report, &window, seconds);
        self.report_generator(report, &window, seconds);
        for (how, count) in self.endings.borrow().iter() {
            report.notes.push(format!("{count} sockets ended with {how}"));
        }
    }

    #[expect(clippy::unused_self, reason = "a report is the run's business")]
    fn report_server(&self, report: &mut Report, window: &Window, seconds: f64) {
        let (Some(before), Some(after)) = window.server else { return };
        let cpu_us = after.cpu_us.saturating_sub(before.cpu_us);
        let each = |count: u64| (count > 0).then(|| per(cpu_us, as_f64(count)));
        report.server.cpu_us_per_send = each(window.acked);
        report.server.cpu_us_per_delivery = each(window.delivered);
        report.server.cpu_percent = Some(per(cpu_us, seconds) / 10_000.0);
        report.server.rss_kib = Some(after.rss_kib);
        report.server.pss_kib = after.pss_kib;
        report.server.descriptors = after.descriptors;
    }

    fn report_generator(&self, report: &mut Report, window: &Window, seconds: f64) {
        let lag = self.lag.borrow();
        let cpu = match window.own {
            (Some(before), Some(after)) => Some(per(after.cpu_us.saturating_sub(before.cpu_us), seconds) / 10_000.0),
            _ => None,
        };
        let (late_percent, withheld) = (lag.late_share(), self.withheld.get());
        report.generator = Generator { lag_us: lag.percentiles(), late_percent, withheld, cpu_percent: cpu };
        if !lag.kept_up() {
            report.invalid(format!("the generator lagged: {late_percent:.2} % of its sends were over 5 ms late"));
        }
        if withheld > 0 {
            report.invalid(format!("{withheld} sends were withheld, as their clients had {ORDERS_MAX} waiting"));
        }
    }
}

/// So many of something by so much of something.
pub(crate) fn per(count: u64, by: f64) -> f64 {
    if by > 0.0 { as_f64(count) / by } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2⁵³")]
pub(crate) const fn as_f64(count: u64) -> f64 {
    count as f64
}
