//! The open-loop schedule: when each send is meant to happen, whatever became of those before.
//!
//! A closed loop waits for a slow server and so hides its slowness (coordinated omission). Here every instant is fixed
//! in advance by rate and seed, latencies count from it, and what the generator itself is late by is measured: a run in
//! which it lagged is not valid. Run by the scenario's conductor.

use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::measure::{Clock, Latencies, Percentiles};

/// A send that starts later than this after its instant is late.
pub const LATE_NS: u64 = 5_000_000;
/// Late sends, in a hundred, up to which a run is valid.
pub const LATE_PERCENT_MAX: f64 = 1.0;

/// A small generator of numbers from a seed (`SplitMix64`), the same on every machine.
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// The numbers of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub const fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() >> 16) as usize % bound }
    }

    /// A number in [0, 1).
    pub fn share(&mut self) -> f64 {
        let bits = u32::try_from(self.next() >> 32).unwrap_or(0);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

/// How instants are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// As people come: independent of one another (a Poisson process).
    Random,
    /// At equal distances.
    Even,
}

/// The intended instants, in nanoseconds of a [`Clock`].
#[derive(Debug, Clone)]
pub struct Schedule {
    next_ns: f64,
    end_ns: f64,
    mean_ns: f64,
    spread: Spread,
    seeded: Seeded,
}

impl Schedule {
    /// `rate` instants a second from `start_ns` for `length`.
    #[must_use]
    pub fn new(start_ns: u64, length: Duration, rate: f64, spread: Spread, seed: u64) -> Self {
        let start = as_f64(start_ns);
        let mean_ns = 1e9 / rate.max(1e-6);
        let end_ns = start + length.as_secs_f64() * 1e9;
        Self { next_ns: start, end_ns, mean_ns, spread, seeded: Seeded::new(seed) }
    }

    /// The instant that comes next, without passing it.
    pub fn peek(&self) -> Option<u64> {
        (self.next_ns < self.end_ns).then_some(as_ns(self.next_ns))
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let now = self.peek()?;
        self.next_ns += match self.spread {
            Spread::Even => self.mean_ns,
            Spread::Random => -(1.0 - self.seeded.share()).ln() * self.mean_ns,
        };
        Some(now)
    }
}

#[expect(clippy::cast_precision_loss, reason = "2⁵³ ns are 104 days")]
const fn as_f64(ns: u64) -> f64 {
    ns as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative, far below 2⁶⁴")]
const fn as_ns(ns: f64) -> u64 {
    ns as u64
}

/// How late the generator itself was.
#[derive(Debug, Clone, Default)]
pub struct Lag {
    lags: Latencies,
    late: u64,
}

impl Lag {
    /// Something that was meant for one instant starts at another.
    pub fn record(&mut self, intended_ns: u64, now_ns: u64) {
        self.lags.record(intended_ns, now_ns);
        self.late += u64::from(now_ns.saturating_sub(intended_ns) > LATE_NS);
    }

    /// Records all that another holds.
    pub(crate) fn add(&mut self, other: &Self) {
        self.lags.add(&other.lags);
        self.late += other.late;
    }

    /// Late ones, in a hundred.
    pub fn late_percent(&self) -> f64 {
        let count = self.lags.count();
        if count == 0 { 0.0 } else { 100.0 * as_f64(self.late) / as_f64(count) }
    }

    /// By how much it was late.
    pub fn percentiles(&self) -> Option<Percentiles> {
        self.lags.percentiles()
    }
}

/// Instants that wait to be taken. Full, the pacer waits, and the wait shows as lag.
const DUE_MAX: usize = 1_024;

/// Tells the instants of a schedule as they come, finer than the runtime's own timers, which are a millisecond coarse.
///
/// A thread of its own sleeps from one to the next; it ends with its schedule, or when the pacer is dropped.
pub struct Pacer {
    due: mpsc::Receiver<u64>,
    thread: JoinHandle<()>,
}

impl Pacer {
    /// Starts to tell the instants of this schedule.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn start(clock: Clock, schedule: Schedule) -> io::Result<Self> {
        let (tell, due) = mpsc::channel(DUE_MAX);
        let thread = Builder::new().name("pacer".to_owned()).spawn(move || tell_all(clock, schedule, &tell))?;
        Ok(Self { due, thread })
    }

    /// The next intended instant, once it is there; `None` at the end.
    pub async fn due(&mut self) -> Option<u64> {
        self.due.recv().await
    }

    /// Waits for its thread, which ends at its next instant at the latest.
    ///
    /// # Errors
    ///
    /// The thread panicked.
    pub fn stop(self) -> io::Result<()> {
        drop(self.due);
        self.thread.join().map_err(|_| io::Error::other("the pacer's thread panicked"))
    }
}

fn tell_all(clock: Clock, schedule: Schedule, tell: &mpsc::Sender<u64>) {
    for intended_ns in schedule {
        let wait_ns = intended_ns.saturating_sub(clock.now_ns());
        if wait_ns > 0 {
            std::thread::sleep(Duration::from_nanos(wait_ns));
        }
        if tell.blocking_send(intended_ns).is_err() {
            return;
        }
    }
}
