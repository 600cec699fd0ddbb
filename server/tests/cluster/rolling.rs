//! A claim about restarting every node in turn, as for an upgrade (DRAINED).

use std::time::Duration;

use crate::kit::by_length;
use crate::kit::cluster::Cluster;
use crate::kit::load::Load;

/// 99 of 100 clients are without a node no longer than this, in microseconds: the promise; and of a debug build, which
/// shares two cores with all else.
const GAP_MAX_US: u64 = 2_000_000;
const GAP_MAX_DEBUG_US: u64 = 4_000_000;
/// How many of a hundred clients of a node may come back within the same 100 ms; evenly spread over 1,500 ms were 7.
const HERD_PERCENT: u64 = 30;

#[test]
fn drained_a_rolling_restart_of_three_nodes_loses_nothing_and_makes_no_herd() {
    // Clients come back within a second and a half, each at a moment of its own.
    let Some(mut cluster) = Cluster::of_three(&["--set", "hub.reconnect_window_ms=1500"]) else { return };
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
    let of_a_node = report.clients / 3;
    assert!(report.clients_cut >= of_a_node, "clients were sent away: {report}");
    let gaps = report.gap_us.expect("clients were sent away");
    let longest = if cfg!(debug_assertions) { GAP_MAX_DEBUG_US } else { GAP_MAX_US };
    assert!(gaps.p99 <= longest, "DRAINED: 1 of 100 clients was without a node for {} ms", gaps.p99 / 1_000);
    // The node that was restarted last but one may have taken in another's clients.
    let herd = report.reconnects_in_100_ms * 100 / (of_a_node * 3 / 2);
    assert!(herd <= HERD_PERCENT, "{} of {of_a_node} came back within 100 ms", report.reconnects_in_100_ms);
}
