//! Claims about one CQL node of three that dies or stands still: the other two are a quorum.

use std::time::Duration;

use crate::kit::cluster::Cluster;
use crate::kit::load::{Load, kept_time};
use crate::kit::{by_length, stillness};

/// Without one of three nodes sends go on: never longer than this without any ack. A node that stands still is first
/// waited for, by coordinators and drivers, until they take it for dead.
const PAUSE_MAX: Duration = Duration::from_secs(12);
/// Once everybody has noticed, sends go on as if nothing were: one in four is acked in time at least, on two busy cores.
const NOTICED: Duration = Duration::from_secs(12);
const ACKED_AT_LEAST: u64 = 4;

const SHORT: [&str; 9] = ["cluster", "--clients", "24", "--members", "8", "--rate", "60", "--seconds", "24"];
const FULL: [&str; 9] = ["cluster", "--clients", "90", "--members", "10", "--rate", "100", "--seconds", "260"];

/// Looks on while something is broken.
fn goes_on(load: &Load, time: Duration) {
    let rate: u64 = by_length(SHORT, FULL)[6].parse().expect("a rate");
    let first = load.watch(time.min(NOTICED));
    println!("cql: without it, at first: {first:?}");
    let noticed = time.saturating_sub(NOTICED);
    let then = load.watch(noticed);
    println!("cql: without it, then: {then:?}");
    let enough = noticed.as_secs() * rate / ACKED_AT_LEAST;
    assert!(first.acked + then.acked > 0 && then.acked >= enough, "sends go on without one of three nodes: {then:?}");
}

fn ends_well(load: Load) {
    let pause = load.signs().take_longest_pause();
    let report = load.passes();
    println!("cql: the longest time without any ack was {} ms", pause.as_millis());
    assert!(pause < PAUSE_MAX || !kept_time(&report), "sends go on: {pause:?} without any ack");
}

#[test]
fn durable_and_once_when_a_cql_node_is_killed_and_comes_back_under_load_and_sends_go_on() {
    let Some(cluster) = Cluster::of_three(&[]) else { return };
    let load = Load::start(&cluster, &by_length(SHORT, FULL)).runs();
    for kill in 0..by_length(1, 5) {
        load.watch(Duration::from_secs(2));
        let gone = cluster.cql.kill(1 + kill % 3);
        goes_on(&load, by_length(Duration::from_secs(8), Duration::from_secs(20)));
        gone.mend();
        load.watch(Duration::from_secs(2));
    }
    ends_well(load);
}

#[test]
fn durable_and_once_when_a_cql_node_stands_still_and_goes_on_under_load_and_sends_go_on() {
    let Some(cluster) = Cluster::of_three(&[]) else { return };
    let load = Load::start(&cluster, &by_length(SHORT, FULL)).runs();
    for pause in 0..by_length(1, 3) {
        load.watch(Duration::from_secs(1));
        let still = cluster.cql.pause(1 + pause % 3);
        goes_on(&load, stillness(16));
        still.mend();
        load.watch(Duration::from_secs(2));
    }
    ends_well(load);
}
