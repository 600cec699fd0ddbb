//! What one measurement of one peer in one round gave, and how the CPU behind it is watched.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::kind::{Kept, Kind};
use super::ledger::Tally;
use crate::host::cpu::Cpu;
use crate::measure::{Latencies, per};

/// What is measured. With its parameter, as each has rows of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Measure {
    /// Deliveries of one room, so many messages out at a time.
    FanOut(usize),
    /// Acknowledged publishes, by what the acknowledgement stands for.
    Ack(Kept),
    /// Connections with their login.
    Connects,
    /// Memory of connections that do nothing.
    Idle,
}

/// Latencies, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Took {
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
}

impl Took {
    pub(super) fn of(latencies: &Latencies) -> Option<Self> {
        let all = latencies.percentiles()?;
        Some(Self { p50: all.p50, p99: all.p99, max: all.max })
    }
}

/// What one measurement gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    pub(super) peer: Kind,
    pub(super) measure: Measure,
    pub(super) round: usize,
    /// How many a second: deliveries, acknowledgements, connections.
    pub(super) rate: Option<f64>,
    /// The server's CPU for each, in microseconds.
    pub(super) server_us: Option<f64>,
    /// The server's memory for each connection.
    pub(super) kib: Option<f64>,
    /// How much of a core the server used.
    pub(super) server_busy: Option<f64>,
    /// How much of a core the generator used: near 1 it is the limit, and the rate says nothing of the server.
    pub(super) generator_busy: Option<f64>,
    /// A burst until all had it, or a publish until it was acknowledged.
    pub(super) took_us: Option<Took>,
    /// What came of what was sent.
    pub(super) ledger: Tally,
    /// What went wrong, if anything did.
    pub(super) trouble: Option<String>,
}

impl Sample {
    /// A sample that could not be taken.
    pub(super) fn failed(peer: Kind, measure: Measure, round: usize, trouble: String) -> Self {
        Self {
            peer,
            measure,
            round,
            rate: None,
            server_us: None,
            kib: None,
            server_busy: None,
            generator_busy: None,
            took_us: None,
            ledger: Tally::default(),
            trouble: Some(trouble),
        }
    }

    /// With its place.
    pub(super) fn taken(peer: Kind, measure: Measure, round: usize, used: Used, ledger: Tally) -> Self {
        Self {
            rate: Some(used.rate),
            server_us: used.server_us,
            server_busy: used.server_busy,
            generator_busy: used.generator_busy,
            ledger,
            trouble: None,
            ..Self::failed(peer, measure, round, String::new())
        }
    }

    /// Whether it counts.
    pub(super) fn is_clean(&self) -> bool {
        self.trouble.is_none() && self.ledger.is_clean()
    }
}

/// What was used over a time, for each of a count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    rate: f64,
    server_us: Option<f64>,
    server_busy: Option<f64>,
    generator_busy: Option<f64>,
}

/// The CPU of server and generator from now on.
pub(super) struct Watch {
    pid: Option<u32>,
    server: Option<Cpu>,
    own: Option<Cpu>,
    began: Instant,
}

impl Watch {
    pub(super) fn begin(pid: Option<u32>) -> Self {
        Self { pid, server: pid.and_then(Cpu::look), own: Cpu::own(), began: Instant::now() }
    }

    /// Until now, in which so many were done.
    pub(super) fn end(&self, count: u64) -> Used {
        let seconds = self.began.elapsed().as_secs_f64();
        let us = |before: Option<Cpu>, after: Option<Cpu>| {
            before.zip(after).map(|(before, after)| (after - before).used_ns / 1_000)
        };
        let server = us(self.server, self.pid.and_then(Cpu::look));
        let own = us(self.own, Cpu::own());
        Used {
            rate: per(count, seconds),
            server_us: server.filter(|_| count > 0).map(|us| per(us, per(count, 1.0))),
            server_busy: server.map(|us| per(us, seconds * 1e6)),
            generator_busy: own.map(|us| per(us, seconds * 1e6)),
        }
    }
}
