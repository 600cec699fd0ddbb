//! What the servers count themselves: read from each one's `/metrics` before and after, and compared with the ledger.
//!
//! A server that was started again counts from zero; of one that is not there at the end nothing is known.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use super::Run;
use crate::client::http::{Http, Target};
use crate::measure::{as_f64, per};
use crate::report;

/// Conditional writes (LWT) to the CQL store, and the label of those that append to a log.
const LWTS: &str = "hubbub_cql_writes_total";
const APPENDS: &str = "of=\"append\"";
/// Conditional writes whose outcome nobody knew at first.
const UNKNOWN: &str = "hubbub_cql_doubts_total";
/// Bytes that went to Redis, and that came from there.
const BUS_BYTES: [&str; 2] = ["hubbub_bus_published_bytes_total", "hubbub_bus_heard_bytes_total"];
/// Acts that one node had another decide.
const FORWARDED: &str = "hubbub_forwarded_acts_total";
/// A server that does not tell within this time is left out.
const PATIENCE: Duration = Duration::from_secs(3);

/// One look at the counters of all servers, each by its name and labels.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    servers: Vec<Option<BTreeMap<String, u64>>>,
}

impl Look {
    /// Looks at these servers now.
    pub(crate) async fn at(targets: &[Target]) -> Self {
        let mut servers = Vec::new();
        for target in targets {
            let mut http = Http::new(target.clone());
            let text = timeout(PATIENCE, http.text("/metrics")).await;
            servers.push(text.ok().and_then(Result::ok).map(|text| read(&text)));
        }
        Self { servers }
    }

    /// By how much each counter grew since an earlier look, over all servers.
    fn since(&self, earlier: &Self) -> BTreeMap<String, u64> {
        let mut grown: BTreeMap<String, u64> = BTreeMap::new();
        for (now, then) in self.servers.iter().zip(&earlier.servers) {
            for (name, count) in now.iter().flatten() {
                let before = then.as_ref().and_then(|then| then.get(name)).filter(|before| *before <= count);
                *grown.entry(name.clone()).or_default() += count - before.copied().unwrap_or(0);
            }
        }
        grown
    }
}

/// The counters of a text in Prometheus' format, by name and labels.
fn read(text: &str) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        if name_of(series).ends_with("_total")
            && let Ok(value) = value.parse::<u64>()
        {
            counters.insert(series.to_owned(), value);
        }
    }
    counters
}

impl Run {
    /// Looks at the servers' counters, if any of them tells.
    pub(crate) async fn look(&self) -> Option<Look> {
        let look = Look::at(&self.metrics).await;
        look.servers.iter().any(Option::is_some).then_some(look)
    }
}

/// What the counters come to, for so many acked messages.
pub(crate) fn report(before: &Look, after: &Look, acked: u64) -> report::Counters {
    let grown = after.since(before);
    let of = |name: &str, label: &str| {
        let series = grown.iter().filter(|(series, _)| name_of(series) == name && series.contains(label));
        series.map(|(_, count)| *count).reduce(|all, one| all + one)
    };
    let each = |count: Option<u64>| count.filter(|_| acked > 0).map(|count| per(count, as_f64(acked)));
    let bus_bytes = BUS_BYTES.iter().filter_map(|name| of(name, "")).reduce(|out, back| out + back);
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for (series, count) in &grown {
        *all.entry(name_of(series).to_owned()).or_default() += count;
    }
    report::Counters {
        lwts: of(LWTS, ""),
        lwts_per_message: each(of(LWTS, APPENDS)),
        redis_bytes_per_message: each(bus_bytes),
        unknown_outcomes: of(UNKNOWN, ""),
        forwarded: of(FORWARDED, ""),
        all,
    }
}

/// A series' name without its labels.
fn name_of(series: &str) -> &str {
    series.split('{').next().unwrap_or(series)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# TYPE a counter\nhubbub_cql_writes_total{of=\"append\",outcome=\"applied\"} 5\n\
                          hubbub_cql_writes_total{of=\"row\"} 2\nx 3\n";
    const AFTER: &str = "hubbub_cql_writes_total{of=\"append\",outcome=\"applied\"} 9\n\
                         hubbub_cql_writes_total{of=\"row\"} 3\nhubbub_bus_heard_bytes_total 50\n";

    #[test]
    fn counters_are_summed_over_labels_and_servers_and_a_new_server_counts_from_zero() {
        let look = |texts: [&str; 2]| Look { servers: texts.iter().map(|text| Some(read(text))).collect() };
        let (before, after) = (look([BEFORE, AFTER]), look([AFTER, "hubbub_cql_writes_total{of=\"append\"} 4"]));
        let counters = report(&before, &after, 10);
        assert_eq!(counters.lwts, Some(5 + 4), "12 after 7, and 4 after a start");
        assert_eq!(counters.lwts_per_message, Some(0.8), "of these 8 were appends");
        assert_eq!(counters.redis_bytes_per_message, Some(5.0));
        assert_eq!((counters.forwarded, counters.unknown_outcomes), (None, None), "what is not told is not 0");
        assert_eq!(counters.all.get("hubbub_cql_writes_total"), Some(&9));
    }
}
