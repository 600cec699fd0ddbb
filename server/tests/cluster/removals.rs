//! Claims about removals that race with the removed member's own sends, on other nodes (MEMBERS-ONLY).

use crate::kit::by_length;
use crate::kit::cluster::Cluster;
use crate::kit::load::Load;

#[test]
fn members_only_no_message_stands_between_a_removal_and_the_next_joining_though_they_race_over_three_nodes() {
    let Some(cluster) = Cluster::of_three(&[]) else { return };
    let rounds = by_length("300", "10000");
    let load = Load::start(&cluster, &["removals", "--rounds", rounds, "--groups", "8"]).runs();
    let report = load.passes();
    assert!(report.refused > 0, "some sends came too late");
}

#[test]
fn members_only_also_where_rest_removes_and_hubs_send_apart() {
    let Some(cluster) = Cluster::apart() else { return };
    let rounds = by_length("100", "2000");
    let load = Load::start(&cluster, &["removals", "--rounds", rounds, "--groups", "6"]).runs();
    let report = load.passes();
    assert!(report.refused > 0, "some sends came too late");
}
