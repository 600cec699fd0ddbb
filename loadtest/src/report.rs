//! The report of a run: one JSON object whose keys are a contract, and the same for people.
//!
//! What a scenario does not measure is null, and never 0.

use std::fmt;

use serde::Serialize;

use crate::ledger::{Counts, Findings, Kind};
use crate::measure::Percentiles;

/// What a run found. Keys are added and never renamed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Which scenario.
    pub scenario: String,
    /// The generator kept up, and the run went to its end.
    pub valid: bool,
    /// How long was measured.
    pub seconds: f64,
    /// Sockets.
    pub clients: u64,
    /// Messages sent.
    pub sent: u64,
    /// Of these, acked.
    pub acked: u64,
    /// Of these, neither acked nor refused at the end.
    pub unknown: u64,
    /// Of these, refused for good.
    pub refused: u64,
    /// Events that readers got.
    pub delivered: u64,
    /// What had to be there and is not.
    pub lost: u64,
    /// What is there more than once.
    pub doubled: u64,
    /// What is at the wrong place.
    pub reordered: u64,
    /// Ranges announced as missing.
    pub gaps: u64,
    /// Acked sends a second, in the measured time.
    pub send_rate: Option<f64>,
    /// Deliveries a second, in the measured time.
    pub delivery_rate: Option<f64>,
    /// From the intended instant to the ack.
    pub ack_us: Option<Percentiles>,
    /// From the intended instant to a reader.
    pub deliver_us: Option<Percentiles>,
    /// What the server used.
    pub server: Server,
    /// The bare program that the server is compared with.
    pub floor: Option<Floor>,
    /// The server's CPU over the floor's.
    pub ratio: Option<f64>,

    /// What is there and must not be: an ack that names the wrong place, a refused message, one that nobody sent.
    #[serde(rename = "false")]
    pub false_: u64,
    /// Of the acked, those that were written more than once.
    pub repeated: u64,
    /// Of the deliveries, those from a replay.
    pub replayed: u64,
    /// Sockets that were lost and opened again.
    pub reconnects: u64,
    /// How the generator did.
    pub generator: Generator,
    /// What else a scenario measured, by name.
    pub extra: std::collections::BTreeMap<String, serde_json::Value>,
    /// The run's seed.
    pub seed: u64,
    /// Where the servers are.
    pub urls: Vec<String>,
    /// The first findings, in words.
    pub violations: Vec<crate::ledger::Violation>,
    /// Why the run is not valid, and what else should be known.
    pub notes: Vec<String>,
}

/// What the server used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Server {
    /// Its CPU over the acked sends.
    pub cpu_us_per_send: Option<f64>,
    /// Its CPU over the deliveries.
    pub cpu_us_per_delivery: Option<f64>,
    /// Its resident memory at the end of the measured time.
    pub rss_kib: Option<u64>,
    /// What a connection added to it.
    pub rss_kib_per_connection: Option<f64>,
    /// What a connection added to the kernel's socket memory, the server's end alone.
    pub kernel_kib_per_connection: Option<f64>,
    /// Its proportional share of memory.
    pub pss_kib: Option<u64>,
    /// What a connection added to that.
    pub pss_kib_per_connection: Option<f64>,
    /// Its open descriptors.
    pub descriptors: Option<u64>,
    /// Its CPU in the measured time, in hundredths of one core.
    pub cpu_percent: Option<f64>,
}

/// The bare program of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Floor {
    /// Its name.
    pub name: String,
    /// Its CPU for the same.
    pub cpu_us: f64,
}

/// How the generator did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Generator {
    /// By how much its sends started after their instants.
    pub lag_us: Option<Percentiles>,
    /// Those that started over 5 ms after, in a hundred.
    pub late_percent: f64,
    /// Sends that were due and not made, as their client had too many waiting.
    pub withheld: u64,
    /// Its CPU in the measured time, in hundredths of one core.
    pub cpu_percent: Option<f64>,
}

impl Report {
    /// Enters what the ledger counted and found.
    pub fn enter(&mut self, counts: Counts, findings: &Findings) {
        self.sent = counts.sent;
        self.acked = counts.acked;
        self.unknown = counts.unknown();
        self.refused = counts.refused;
        self.delivered = counts.delivered;
        self.repeated = counts.repeated;
        self.replayed = counts.replayed;
        self.lost = findings.count(Kind::Lost);
        self.doubled = findings.count(Kind::Doubled);
        self.reordered = findings.count(Kind::Reordered);
        self.gaps = findings.count(Kind::Gap);
        self.false_ = findings.count(Kind::False);
        self.violations = findings.examples().to_vec();
    }

    /// The ledger is clean and every send was settled.
    pub const fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.reordered + self.gaps + self.false_ + self.unknown == 0
    }

    /// Whether the run may be quoted: valid and clean.
    pub const fn passed(&self) -> bool {
        self.valid && self.is_clean()
    }

    /// The run cannot be quoted, and why.
    pub fn invalid(&mut self, why: impl Into<String>) {
        self.valid = false;
        self.notes.push(why.into());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        writeln!(
            f,
            "{}: {verdict}  ({} clients, {:.1} s measured, seed {})",
            self.scenario, self.clients, self.seconds, self.seed
        )?;
        writeln!(
            f,
            "  sent       {}  acked {}  refused {}  unknown {}  repeated {}",
            self.sent, self.acked, self.refused, self.unknown, self.repeated
        )?;
        writeln!(
            f,
            "  delivered  {}  of these replayed {}  reconnects {}",
            self.delivered, self.replayed, self.reconnects
        )?;
        writeln!(
            f,
            "  ledger     lost {}  doubled {}  reordered {}  gaps {}  false {}",
            self.lost, self.doubled, self.reordered, self.gaps, self.false_
        )?;
        writeln!(f, "  rates      {} sends/s  {} deliveries/s", number(self.send_rate), number(self.delivery_rate))?;
        writeln!(f, "  ack        {}", latencies(self.ack_us))?;
        writeln!(f, "  deliver    {}", latencies(self.deliver_us))?;
        let server = &self.server;
        writeln!(
            f,
            "  server     {} µs/send  {} µs/delivery  {} % CPU",
            number(server.cpu_us_per_send),
            number(server.cpu_us_per_delivery),
            number(server.cpu_percent)
        )?;
        writeln!(
            f,
            "             RSS {} KiB  per connection {} KiB, kernel {} KiB",
            whole(server.rss_kib),
            number(server.rss_kib_per_connection),
            number(server.kernel_kib_per_connection)
        )?;
        let generator = &self.generator;
        writeln!(
            f,
            "  generator  lag {}  late {:.2} %  withheld {}  {} % CPU",
            latencies(generator.lag_us),
            generator.late_percent,
            generator.withheld,
            number(generator.cpu_percent)
        )?;
        for (name, value) in &self.extra {
            writeln!(f, "  {name}  {value}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        for violation in &self.violations {
            writeln!(f, "  {} broken ({:?}): {}", violation.promise, violation.rule, violation.what)?;
        }
        Ok(())
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn whole(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn latencies(value: Option<Percentiles>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let named = [("p50", value.p50), ("p90", value.p90), ("p99", value.p99), ("p99.9", value.p999), ("max", value.max)];
    let texts = named.map(|(name, us)| format!("{name} {}.{:03} ms", us / 1_000, us % 1_000));
    texts.join("  ")
}
