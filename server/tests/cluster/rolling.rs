//! A claim about restarting every node in turn, as for an upgrade (DRAINED).

use std::time::Duration;

use crate::kit::by_length;
use crate::kit::cluster::Cluster;
use crate::kit::load::{Load, kept_time};

/// 99 of 100 clients are without a node no longer than this: the promise; and of a debug build, which shares two cores
/// with all else.
const GAP_MAX_MS: u64 = 2_000;
const GAP_MAX_DEBUG_MS: u64 = 6_000;
/// A node hands its clients over within this time, each at a moment of its own.
const SPREAD_MS: u64 = 1_500;
/// Of those who come back so many times as many may come within some 100 ms as if they were spread evenly.
const UNEVEN: u64 = 3;

#[test]
fn drained_a_rolling_restart_of_three_nodes_loses_nothing_and_makes_no_herd() {
    let window = format!("hub.handover_window_ms={SPREAD_MS}");
    let Some(mut cluster) = Cluster::of_three(&["--set", &window]) else { return };
    let clients = by_length("200", "2000");
    let words = ["cluster", "--clients", clients, "--members", "10", "--rate", "80"];
    let load = Load::start(&cluster, &[&words[..], &["--seconds", by_length("22", "90")]].concat()).runs();
    for hub in &mut cluster.hubs {
        load.watch(by_length(Duration::from_secs(2), Duration::from_secs(10)));
        hub.stop();
        hub.start_again();
    }
    load.watch(Duration::from_secs(2));
    let report = load.passes();
    assert!(report.clients_cut >= report.clients / 3, "clients were sent away: {report}");
    if !kept_time(&report) {
        return;
    }
    // A generator that is held up sees all that happened meanwhile at once.
    let held_up_ms = report.generator.lag_us.map_or(0, |lag| lag.max) / 1_000;
    let gaps = report.gap_us.expect("clients were sent away");
    let longest = if cfg!(debug_assertions) { GAP_MAX_DEBUG_MS } else { GAP_MAX_MS } + held_up_ms;
    let gap = gaps.p99 / 1_000;
    assert!(gap <= longest, "DRAINED: 1 of 100 clients was without a node for {gap} ms");
    let most = report.nodes.iter().map(|node| node.lost).max().unwrap_or(0);
    let (herd, even) = (report.reconnects_in_100_ms, most * (100 + held_up_ms) / SPREAD_MS);
    assert!(herd <= UNEVEN * even.max(1), "a herd: {herd} of {most} came back within 100 ms");
}
