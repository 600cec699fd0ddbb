//! Claims about one CQL node of three that dies or stands still: the other two are a quorum.

use std::time::Duration;

use crate::kit::cluster::Cluster;
use crate::kit::load::Load;
use crate::kit::{by_length, stillness};

/// Without one of three nodes sends go on: no longer than this without any ack. A node that stands still is first waited
/// for, by coordinator and driver.
const PAUSE_MAX: Duration = Duration::from_secs(8);

const SHORT: [&str; 9] = ["cluster", "--clients", "24", "--members", "8", "--rate", "60", "--seconds", "26"];
const FULL: [&str; 9] = ["cluster", "--clients", "90", "--members", "10", "--rate", "100", "--seconds", "240"];

#[test]
fn durable_and_once_when_a_cql_node_is_killed_and_comes_back_under_load_and_sends_go_on() {
    let Some(cluster) = Cluster::of_three(&[]) else { return };
    let load = Load::start(&cluster, &by_length(SHORT, FULL)).runs();
    for kill in 0..by_length(1, 5) {
        load.watch(Duration::from_secs(2));
        let gone = cluster.cql.kill(1 + kill % 3);
        let without = load.watch(by_length(Duration::from_secs(8), Duration::from_secs(15)));
        assert!(without.acked > 0 && without.longest_pause < PAUSE_MAX, "sends go on without it: {without:?}");
        // The node is busy starting meanwhile.
        gone.mend();
        let after = load.watch(Duration::from_secs(2));
        assert!(after.acked > 0, "sends go on with it: {after:?}");
    }
    load.passes();
}

#[test]
fn durable_and_once_when_a_cql_node_stands_still_and_goes_on_under_load_and_sends_go_on() {
    let Some(cluster) = Cluster::of_three(&[]) else { return };
    let load = Load::start(&cluster, &by_length(SHORT, FULL)).runs();
    for pause in 0..by_length(2, 3) {
        load.watch(Duration::from_secs(1));
        // Among them the one that this hub or that talks to first.
        let still = cluster.cql.pause(1 + pause % 3);
        let meanwhile = load.watch(stillness(5));
        still.mend();
        assert!(meanwhile.acked > 0 && meanwhile.longest_pause < PAUSE_MAX, "sends go on without it: {meanwhile:?}");
        load.watch(Duration::from_secs(2));
    }
    load.passes();
}
