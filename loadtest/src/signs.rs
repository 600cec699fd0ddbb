//! What others may see of a run while it goes on: how far it is, and how its clients fare.
//!
//! Written by the run's one thread, read by any other, such as that of a test which breaks things meanwhile. Plain
//! counters: nothing here waits. The one word in the other direction is that nobody wants the report any more.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// People and conversations are made, sockets are opened.
    Preparing,
    /// There is load.
    Running,
    /// No new load: all settles.
    Settling,
    /// The histories are read.
    Comparing,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Preparing, Self::Running, Self::Settling, Self::Comparing];
}

/// The signs of one run.
#[derive(Debug, Default)]
pub struct Signs {
    stage: AtomicU8,
    live: AtomicU64,
    acked: AtomicU64,
    delivered: AtomicU64,
    deferred: AtomicU64,
    slowest_ack_us: AtomicU64,
    slowest_delivery_us: AtomicU64,
    last_ack_us: AtomicU64,
    longest_pause_us: AtomicU64,
    abandoned: AtomicBool,
}

impl Signs {
    /// How far it is.
    pub fn stage(&self) -> Stage {
        let stage = self.stage.load(Ordering::Acquire);
        Stage::ALL.get(usize::from(stage)).copied().unwrap_or(Stage::Comparing)
    }

    /// Clients whose socket is open and live.
    pub fn live(&self) -> u64 {
        self.live.load(Ordering::Acquire)
    }

    /// Sends that were acked so far.
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Acquire)
    }

    /// Events that readers got so far.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Acquire)
    }

    /// How often a send was not taken for now, or nobody knew whether it was.
    pub fn deferred(&self) -> u64 {
        self.deferred.load(Ordering::Acquire)
    }

    /// The longest time from the intended instant of a send to its ack, of the acks since this was last asked.
    pub fn take_slowest_ack(&self) -> Duration {
        Duration::from_micros(self.slowest_ack_us.swap(0, Ordering::AcqRel))
    }

    /// The longest time between two acks since this was last asked. One that goes on still does not count yet.
    pub fn take_longest_pause(&self) -> Duration {
        Duration::from_micros(self.longest_pause_us.swap(0, Ordering::AcqRel))
    }

    /// The longest time from the intended instant of a send to a reader, of the deliveries since this was last asked,
    /// replayed ones included.
    pub fn take_slowest_delivery(&self) -> Duration {
        Duration::from_micros(self.slowest_delivery_us.swap(0, Ordering::AcqRel))
    }

    /// Nobody wants the report any more: the run ends soon.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    /// Whether nobody wants the report any more.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    pub(crate) fn reach(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    pub(crate) fn one_live(&self) {
        self.live.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn one_not_live(&self) {
        self.live.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn one_acked(&self, intended_ns: u64, now_ns: u64) {
        let first = self.acked.fetch_add(1, Ordering::AcqRel) == 0;
        self.slowest_ack_us.fetch_max(now_ns.saturating_sub(intended_ns) / 1_000, Ordering::AcqRel);
        let last_us = self.last_ack_us.swap(now_ns / 1_000, Ordering::AcqRel);
        let pause_us = if first { 0 } else { (now_ns / 1_000).saturating_sub(last_us) };
        self.longest_pause_us.fetch_max(pause_us, Ordering::AcqRel);
    }

    pub(crate) fn one_delivered(&self, after_ns: Option<u64>) {
        self.delivered.fetch_add(1, Ordering::AcqRel);
        if let Some(after_ns) = after_ns {
            self.slowest_delivery_us.fetch_max(after_ns / 1_000, Ordering::AcqRel);
        }
    }

    pub(crate) fn one_deferred(&self) {
        self.deferred.fetch_add(1, Ordering::AcqRel);
    }
}
