//! A report for a terminal.

use std::fmt;

use super::{Cores, Node, Presence, Report};
use crate::measure::Percentiles;

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
        self.write_cluster(f)?;
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
        self.write_floor(f)?;
        let generator = &self.generator;
        writeln!(
            f,
            "  generator  lag {}  late {:.2} %  withheld {}  {} % CPU  {} % waiting",
            latencies(generator.lag_us),
            generator.late_percent,
            generator.withheld,
            number(generator.cpu_percent),
            number(generator.run_queue_percent)
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

impl Report {
    /// The comparison with the floor, and where both ran.
    fn write_floor(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(floor) = &self.floor {
            let (cpu, latency) = (floor.cpu_us, number(floor.latency_us));
            writeln!(f, "  floor      {}: {cpu:.3} µs CPU, {latency} µs", floor.name)?;
        }
        if let (Some(interval), Some(of)) = (self.ratio_interval, &self.ratio_of) {
            writeln!(f, "  ratio      {interval}, of {of}")?;
        }
        if let Cores { server: Some(server), generator: Some(generator) } = &self.cores {
            writeln!(f, "  cores      server {server}  generator {generator}")?;
        }
        Ok(())
    }

    /// What only several nodes, or servers that come and go, make interesting.
    fn write_cluster(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.deliver_cross_us.is_some() {
            writeln!(f, "    across   {}", latencies(self.deliver_cross_us))?;
            writeln!(f, "    within   {}", latencies(self.deliver_same_us))?;
        }
        for node in self.nodes.iter().filter(|_| self.nodes.len() > 1) {
            let Node { url, logins, lost, acked, delivered } = node;
            writeln!(f, "  node       {url}  logins {logins}  lost {lost}  acked {acked}  delivered {delivered}")?;
        }
        if self.clients_cut > 0 {
            writeln!(f, "  gaps       {} clients: {}", self.clients_cut, latencies(self.gap_us))?;
            writeln!(f, "             at most {} reconnects in 100 ms", self.reconnects_in_100_ms)?;
        }
        for (code, count) in &self.deferred {
            writeln!(f, "  deferred   {count} with {code}")?;
        }
        if let Some(presence) = self.presence {
            let Presence { pairs, ghosts, unseen, right_after_ms } = presence;
            let after = right_after_ms.map_or_else(|| "never".to_owned(), |ms| format!("after {ms} ms"));
            writeln!(f, "  presence   {pairs} pairs right {after}  ghosts {ghosts}  unseen {unseen}")?;
        }
        if let Some(counters) = self.counters.as_ref().filter(|counters| counters.lwts.is_some()) {
            writeln!(
                f,
                "  counters   {} LWTs, {} a message  Redis {} bytes a message  unknown {}  forwarded {}",
                whole(counters.lwts),
                number(counters.lwts_per_message),
                number(counters.redis_bytes_per_message),
                whole(counters.unknown_outcomes),
                whole(counters.forwarded)
            )?;
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
