//! Claims about Redis: killed, emptied, paused or lying, it delays and never loses (REDIS-FREE TRUTH).

use std::time::{Duration, Instant};

use hubbub_loadtest::client::stamp::mix;
use hubbub_loadtest::report::Report;

use crate::kit::cluster::Cluster;
use crate::kit::load::{Load, kept_time};
use crate::kit::redis::Liar;
use crate::kit::{by_length, stillness};

/// All has caught up this long after it is back.
const CAUGHT_UP: Duration = Duration::from_secs(5);
/// Without it sends go on: no longer than this without any ack.
const PAUSE_MAX: Duration = Duration::from_secs(4);

const SHORT: [&str; 9] = ["cluster", "--clients", "24", "--members", "8", "--rate", "60", "--seconds", "32"];
const FULL: [&str; 9] = ["cluster", "--clients", "90", "--members", "10", "--rate", "150", "--seconds", "180"];

/// Sends go on without it.
fn goes_on(load: &Load, time: Duration) {
    let meanwhile = load.watch(time);
    assert!(meanwhile.acked > 0 && meanwhile.longest_pause < PAUSE_MAX, "REDIS-FREE TRUTH: sends go on: {meanwhile:?}");
}

/// Waits until all should have caught up; the slowest delivery from then on. What takes longer than the time to catch up
/// was sent before Redis was back.
fn catches_up(load: &Load) -> Duration {
    load.watch(CAUGHT_UP);
    let before = (load.signs().take_slowest_delivery(), load.signs().take_slowest_ack());
    load.watch(Duration::from_secs(2));
    let after = (load.signs().take_slowest_delivery(), load.signs().take_slowest_ack());
    println!("redis: slowest delivery and ack up to 5 s after its return {before:?}, then {after:?}");
    after.0
}

/// Nothing was refused, not even for now; that an outcome was not known is another thing.
fn never_refused(report: &Report) {
    assert_eq!(report.refused, 0, "REDIS-FREE TRUTH: nothing is refused for Redis");
    let for_now: Vec<&String> = report.deferred.keys().filter(|code| *code != "unknown_outcome").collect();
    assert!(for_now.is_empty(), "REDIS-FREE TRUTH: nothing is refused for Redis, not even for now: {for_now:?}");
}

#[test]
fn redis_free_truth_when_redis_is_killed_comes_back_empty_is_flushed_cut_off_and_stands_still_under_load() {
    let Some(cluster) = Cluster::of_three(&[]) else { return };
    let load = Load::start(&cluster, &by_length(SHORT, FULL)).runs();
    load.watch(Duration::from_secs(1));
    let gone = cluster.redis.kill();
    goes_on(&load, by_length(Duration::from_secs(4), Duration::from_secs(20)));
    let ready = cluster.hubs[0].get("/health/ready");
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("degraded"), "degraded, not down: {ready}");
    gone.mend();
    let after_its_death = catches_up(&load);
    cluster.redis.flush();
    for cut in 0..by_length(10, 100) {
        cluster.redis.cut_one(mix(cluster.seed, cut));
        load.watch(Duration::from_millis(150));
    }
    let still = cluster.redis.pause();
    goes_on(&load, stillness(5));
    still.mend();
    let after_its_sleep = catches_up(&load);
    let ready = cluster.hubs[0].get("/health/ready");
    assert!(ready.starts_with("HTTP/1.1 200") && !ready.contains("degraded"), "as well as before: {ready}");
    let report = load.passes();
    never_refused(&report);
    let slowest = after_its_death.max(after_its_sleep);
    assert!(
        slowest < CAUGHT_UP || !kept_time(&report),
        "REDIS-FREE TRUTH: 5 s after its return a delivery took {slowest:?}"
    );
}

#[test]
fn redis_free_truth_when_a_foreign_hand_replays_bends_and_forges_what_nodes_say() {
    let Some(cluster) = Cluster::of_three(&[]) else { return };
    let words = by_length(
        ["cluster", "--clients", "24", "--members", "8", "--rate", "60", "--seconds", "10"],
        ["cluster", "--clients", "90", "--members", "10", "--rate", "150", "--seconds", "60"],
    );
    let load = Load::start(&cluster, &words).runs();
    let mut liar = Liar::new(&cluster.redis, cluster.seed);
    let began = Instant::now();
    let lying = by_length(Duration::from_secs(8), Duration::from_secs(50));
    while began.elapsed() < lying {
        liar.turn();
        // Some hundreds of lies a second: enough to confuse, too few to be a flood.
        std::thread::sleep(Duration::from_millis(2));
    }
    println!("redis: {} lies", liar.lies);
    assert!(liar.lies > 100, "it was lied to them");
    let slowest = load.signs().take_slowest_delivery();
    assert!(slowest < CAUGHT_UP, "lies delay, and not for long: {slowest:?}");
    never_refused(&load.passes());
}
