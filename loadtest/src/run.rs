//! One run: what all its players share, from the first account to the report.
//!
//! Everything runs on one thread, so that nothing is locked and the generator is one core at the most; what stands in
//! cells is touched between awaits only. More load than one core makes comes from more processes.

mod counters;
mod crew;
mod crowd;
mod nodes;
mod people;
mod player;
mod presence;
mod probe;
mod series;
mod sides;
mod summary;
mod turns;
mod waves;
mod window;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::client::http::Target;
use crate::client::stamp::run_number;
use crate::host::cores::Cores;
use crate::ledger::Ledger;
use crate::measure::{Clock, Latencies, per};
use crate::options::Common;
use crate::pacer::Lag;
use crate::progress::{EVERY, Phase};
use crate::signs::Signs;

use self::counters::Look;
pub(crate) use self::crew::Crew;
pub(crate) use self::crowd::Pairs;
use self::nodes::Nodes;
pub(crate) use self::people::{Conversation, People};
pub(crate) use self::player::{Order, Part, Player};
pub(crate) use self::presence::Presence;
pub(crate) use self::probe::{Met, Probe};
use self::series::Series;
pub(crate) use self::series::percent_an_hour;
pub(crate) use self::sides::Plan;
pub(crate) use self::turns::Per;
use self::turns::Turns;
use self::waves::Bell;
pub(crate) use self::waves::Waves;
pub(crate) use self::window::Window;

/// Sockets that are being opened at one time: enough to keep two cores busy, few enough for any listen queue.
const OPENING_MAX: usize = 128;

/// What the players of a run share.
pub(crate) struct Run {
    pub(crate) common: Common,
    pub(crate) targets: Arc<[Target]>,
    /// Where REST is served.
    pub(crate) rest: Arc<[Target]>,
    /// Where counters are told.
    metrics: Vec<Target>,
    pub(crate) signs: Arc<Signs>,
    pub(crate) clock: Clock,
    /// Tells this run's accounts and messages from those of others.
    number: u32,
    pub(crate) ledger: RefCell<Ledger>,
    pub(crate) ack: RefCell<Latencies>,
    pub(crate) deliver: RefCell<Latencies>,
    lag: RefCell<Lag>,
    pub(crate) window: RefCell<Window>,
    /// Messages that are out until every reader has them, in scenarios that wait for that.
    pub(crate) waves: RefCell<Option<Waves>>,
    bell: Bell,
    /// The scenario and its floor by turns.
    turns: RefCell<Option<Turns>>,
    /// Who runs where.
    cores: Arc<Cores>,
    measuring: Cell<bool>,
    /// Players that send by themselves go on.
    pub(crate) sending: Cell<bool>,
    live: Cell<u64>,
    pub(crate) reconnects: Cell<u64>,
    withheld: Cell<u64>,
    /// How often players were told that somebody writes; known once they went home.
    pub(crate) typings: Cell<u64>,
    nodes: RefCell<Nodes>,
    /// Who is there and who was told so, in scenarios that ask.
    pub(crate) presence: RefCell<Option<Presence>>,
    /// The servers' counters before, and after.
    looks: RefCell<(Option<Look>, Option<Look>)>,
    /// Sends that were not taken for now, by the code of the refusal.
    deferred: RefCell<BTreeMap<String, u64>>,
    /// How sockets ended, by close code and reason.
    pub(crate) endings: RefCell<BTreeMap<String, u64>>,
    last_failure: RefCell<Option<String>>,
    doors: Semaphore,
    series: RefCell<Series>,
}

impl Run {
    /// Prepares a run.
    pub(crate) async fn new(common: &Common) -> anyhow::Result<Rc<Self>> {
        let targets = resolve(&common.url).await?;
        let rest = if common.rest.is_empty() { targets.clone() } else { resolve(&common.rest).await? };
        let metrics = if common.metrics.is_empty() { targets.clone() } else { resolve(&common.metrics).await? };
        let number = run_number();
        let cores = Arc::new(if common.bench.pin { Cores::part(&common.server_pid) } else { Cores::default() });
        Ok(Rc::new(Self {
            common: common.clone(),
            targets: targets.into(),
            rest: rest.into(),
            metrics,
            signs: Arc::clone(&common.signs),
            clock: Clock::start(),
            number,
            ledger: RefCell::new(Ledger::new(number)),
            ack: RefCell::default(),
            deliver: RefCell::default(),
            lag: RefCell::default(),
            window: RefCell::default(),
            waves: RefCell::default(),
            bell: Bell::new(),
            turns: RefCell::default(),
            cores,
            measuring: Cell::new(false),
            sending: Cell::new(false),
            live: Cell::new(0),
            reconnects: Cell::new(0),
            withheld: Cell::new(0),
            typings: Cell::new(0),
            nodes: RefCell::new(Nodes::new(&common.url)),
            presence: RefCell::default(),
            looks: RefCell::default(),
            deferred: RefCell::default(),
            endings: RefCell::default(),
            last_failure: RefCell::default(),
            doors: Semaphore::new(OPENING_MAX),
            series: RefCell::default(),
        }))
    }

    /// Whether the servers are on this machine, at its first loopback address: then sockets can come from others of them.
    pub(crate) fn is_local(&self) -> bool {
        self.targets.iter().chain(self.rest.iter()).all(|target| target.address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// An address of its own for each person, if the server is on this machine: it counts logins by address, and the
    /// people of a load test do not share one.
    pub(crate) fn source(&self, person: usize) -> Option<IpAddr> {
        let spread = u32::try_from(person % (1 << 20)).unwrap_or(0).wrapping_add(self.number << 8) & 0x000f_ffff;
        self.is_local().then(|| IpAddr::V4(Ipv4Addr::from_bits(0x7f10_0001 + spread)))
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

    /// How many sends were over 5 ms late so far, in a hundred.
    pub(crate) fn late_percent(&self) -> f64 {
        self.lag.borrow().late_percent()
    }

    /// Begins to count lateness anew.
    pub(crate) fn replace_lag(&self, lag: Lag) {
        self.lag.replace(lag);
    }

    /// Waits so long. A timer's own lateness is this thread's: the generator's lag, where no schedule shows it.
    pub(crate) async fn look_at_timers(&self, length: Duration) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            let intended_ns = self.clock.now_ns() + 10_000_000;
            tokio::time::sleep_until(self.clock.instant(intended_ns).into()).await;
            // The runtime's timers are up to two milliseconds late by their nature.
            self.lag.borrow_mut().record(intended_ns + 2_000_000, self.clock.now_ns());
        }
    }

    /// Measures for as long as something goes on, which has about so many steps or seconds.
    pub(crate) async fn measure<T>(&self, name: &'static str, steps: u64, work: impl Future<Output = T>) -> T {
        self.begin_measuring();
        let done = self.watch(Phase::begin(name, steps), work).await;
        self.end_measuring();
        done
    }

    /// Shows the rates for as long as something else goes on.
    async fn watch<T>(&self, phase: Phase, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let show = async {
            let mut since = (Instant::now(), 0, 0);
            loop {
                tokio::time::sleep(EVERY).await;
                phase.at(began.elapsed().as_secs());
                if self.series.borrow().is_due() {
                    self.look_over_time();
                    phase.say(self.rates(&mut since), self.common.lines);
                }
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            never = show => never,
        }
    }
}

async fn resolve(urls: &[String]) -> anyhow::Result<Vec<Target>> {
    let mut targets = Vec::new();
    for url in urls {
        targets.push(Target::resolve(url).await?);
    }
    Ok(targets)
}
