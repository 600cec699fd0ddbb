//! Claims about a node that is home to conversations, stands still as if frozen, and wakes.

use std::time::Duration;

use crate::kit::cluster::Cluster;
use crate::kit::load::{Load, kept_time};
use crate::kit::{by_length, stillness};

/// What a conversation whose home stands still, and a client that sits there, may lose until they go on elsewhere: the
/// client's silence of 2 s, another login, and what a forward waits for before the asker decides by itself.
const ELSEWHERE: Duration = Duration::from_secs(8);

#[test]
fn conversations_go_on_through_other_nodes_while_the_node_that_is_home_to_them_stands_still() {
    let Some(cluster) = Cluster::of_three(&[]) else { return };
    let words = by_length(
        ["cluster", "--clients", "30", "--members", "10", "--rate", "60", "--seconds", "20", "--silence", "2000"],
        ["cluster", "--clients", "90", "--members", "10", "--rate", "150", "--seconds", "220", "--silence", "2000"],
    );
    let load = Load::start(&cluster, &words).runs();
    // Each node is home to a third of the conversations: any will do, and in the long run each has its turn.
    for hub in cluster.hubs.iter().take(by_length(1, 3)) {
        load.watch(Duration::from_secs(2));
        let still = hub.pause();
        // Long enough that an ack which waits for it shows.
        load.watch(stillness(11).max(ELSEWHERE + Duration::from_secs(2)));
        still.wake();
        load.watch(Duration::from_secs(3));
    }
    let signs = load.signs();
    let report = load.passes();
    // Acks that came only when it woke, or later, are among them.
    let slowest = signs.take_slowest_ack();
    if !kept_time(&report) {
        return;
    }
    assert!(slowest < ELSEWHERE, "somebody waited {slowest:?} for a node that stands still");
    let gap = Duration::from_micros(report.gap_us.expect("its clients went elsewhere").max);
    assert!(gap < ELSEWHERE, "a client was without a node for {gap:?}");
}

#[test]
fn honest_what_a_node_answers_that_stood_still_while_others_decided_for_it() {
    let Some(cluster) = Cluster::of_three(&[]) else { return };
    // Clients of great patience: they are still there when it wakes, and hear what it says.
    let words = by_length(
        ["cluster", "--clients", "18", "--members", "6", "--rate", "60", "--seconds", "16", "--silence", "60000"],
        ["cluster", "--clients", "60", "--members", "10", "--rate", "100", "--seconds", "120", "--silence", "60000"],
    );
    let load = Load::start(&cluster, &words).runs();
    for round in 0..by_length(2, 10) {
        load.watch(Duration::from_secs(1));
        let still = cluster.hubs[round % 3].pause();
        let meanwhile = load.watch(Duration::from_secs(4));
        still.wake();
        assert!(meanwhile.acked > 0, "sends go on at the other two: {meanwhile:?}");
        load.watch(Duration::from_secs(2));
    }
    load.passes();
}
