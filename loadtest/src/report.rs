//! The report of a run: one JSON object whose keys are a contract, and the same for people.
//!
//! What a scenario does not measure is null, and never 0. [`text`] writes it for a terminal, [`page`] as a page with plots.

mod page;
mod plot;
mod text;

use serde::Serialize;

use crate::ledger::{Counts, Findings, Kind};
use crate::measure::Percentiles;
use crate::statistics::Interval;

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
    /// The server's CPU over the floor's, its latency over the floor's, or its latency with something over that without
    /// it: the median of the rounds.
    pub ratio: Option<f64>,
    /// Which figure it is of.
    pub ratio_of: Option<String>,
    /// Between which bounds it lies.
    pub ratio_interval: Option<Interval>,
    /// The rounds of the scenario and its floor by turns, or of the scenario with something and without it.
    pub rounds: Vec<Round>,
    /// Where they ran.
    pub cores: Cores,

    /// What is there and must not be: an ack that names the wrong place, a refused message, one that nobody sent.
    #[serde(rename = "false")]
    pub false_: u64,
    /// Of the acked, those that were written more than once.
    pub repeated: u64,
    /// Of the deliveries, those from a replay.
    pub replayed: u64,
    /// Sockets that were lost and opened again.
    pub reconnects: u64,
    /// Sends that were not taken for now, or of which nobody knew, by code; each was repeated.
    pub deferred: std::collections::BTreeMap<String, u64>,
    /// Of the clients that lost their node, the longest time of each until it was live again in all conversations.
    pub gap_us: Option<Percentiles>,
    /// How many lost it.
    pub clients_cut: u64,
    /// The most clients that came to a door again within any 100 ms: how much of a herd they were.
    pub reconnects_in_100_ms: u64,
    /// As `deliver_us`, live events whose sender is on another node.
    pub deliver_cross_us: Option<Percentiles>,
    /// As `deliver_us`, live events whose sender is on the same node.
    pub deliver_same_us: Option<Percentiles>,
    /// What each node did, as its clients saw it.
    pub nodes: Vec<Node>,
    /// Who was told to be there, against who was.
    pub presence: Option<Presence>,
    /// What the servers counted themselves.
    pub counters: Option<Counters>,
    /// How many acks took how long: pairs of microseconds and a count.
    pub ack_distribution: Vec<(u64, u64)>,
    /// The same of deliveries.
    pub deliver_distribution: Vec<(u64, u64)>,
    /// The run over time.
    pub series: Vec<Sample>,
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
    /// The kernel's memory for all sockets of the machine.
    pub socket_memory_kib: Option<u64>,
    /// Its CPU in the measured time, in hundredths of one core.
    pub cpu_percent: Option<f64>,
    /// How long its threads were ready and others ran, in hundredths of the measured time.
    pub run_queue_percent: Option<f64>,
}

/// One moment of a run. Rates and shares are those since the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since the load began.
    pub at: f64,
    /// Acked sends a second.
    pub sends: f64,
    /// Deliveries a second.
    pub deliveries: f64,
    /// Sockets that are live.
    pub live: u64,
    /// The server's resident memory.
    pub rss_kib: Option<u64>,
    /// Its open descriptors.
    pub descriptors: Option<u64>,
    /// Its CPU, in hundredths of one core.
    pub cpu_percent: Option<f64>,
    /// The generator's.
    pub generator_percent: Option<f64>,
    /// The kernel's memory for all sockets of the machine.
    pub socket_memory_kib: Option<u64>,
}

/// One node, as its clients saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Where it is.
    pub url: String,
    /// Sockets that were opened there.
    pub logins: u64,
    /// Of these, those that were lost there.
    pub lost: u64,
    /// Acks that came from there.
    pub acked: u64,
    /// Events that came from there.
    pub delivered: u64,
}

/// Presence, when nobody came or went any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Presence {
    /// Pairs of somebody who is there and somebody whom they know.
    pub pairs: u64,
    /// Told to be there, and is not.
    pub ghosts: u64,
    /// There, and not told.
    pub unseen: u64,
    /// After how long there was no mistake left, in milliseconds; null if one was left.
    pub right_after_ms: Option<u64>,
}

/// What the servers counted during the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Counters {
    /// Conditional writes to the CQL store, of any kind.
    pub lwts: Option<u64>,
    /// Those that append to a log, for each acked message.
    pub lwts_per_message: Option<f64>,
    /// Bytes to and from Redis for each acked message.
    pub redis_bytes_per_message: Option<f64>,
    /// Outcomes that the store did not know at first.
    pub unknown_outcomes: Option<u64>,
    /// Acts that one node had another decide.
    pub forwarded: Option<u64>,
    /// Every counter of theirs, by name, over all labels and servers.
    pub all: std::collections::BTreeMap<String, u64>,
}

/// The bare program of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Floor {
    /// Its name.
    pub name: String,
    /// Its CPU for the same.
    pub cpu_us: f64,
    /// Its median time for the same: a round trip, or a round of deliveries.
    pub latency_us: Option<f64>,
}

/// One round: a scenario and its floor, or with something and without it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Round {
    /// The scenario's figure.
    pub figure: f64,
    /// The floor's, or that without.
    pub floor: f64,
    /// The one over the other.
    pub ratio: f64,
}

/// Which cores they were put on, separated by commas; null if they were left where they were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cores {
    /// The server and its floor.
    pub server: Option<String>,
    /// The generator.
    pub generator: Option<String>,
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
    /// How long its threads were ready and others ran, in hundredths of the measured time.
    pub run_queue_percent: Option<f64>,
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

    /// Enters what rounds of two by turns came to, as a ratio of this.
    pub(crate) fn by_rounds(&mut self, of: &str, rounds: Vec<Round>) {
        let ratios: Vec<f64> = rounds.iter().map(|round| round.ratio).collect();
        self.ratio_interval = Interval::of(&ratios);
        self.ratio = self.ratio_interval.map(|interval| interval.median);
        self.ratio_of = Some(of.to_owned());
        self.rounds = rounds;
    }

    /// The run cannot be quoted, and why.
    pub fn invalid(&mut self, why: impl Into<String>) {
        self.valid = false;
        self.notes.push(why.into());
    }
}
