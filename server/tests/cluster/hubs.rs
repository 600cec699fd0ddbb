//! Claims about a hub that is killed, and about what one node knows of another's people.

use std::thread::sleep;
use std::time::{Duration, Instant};

use hubbub_loadtest::client::ClientError;
use hubbub_loadtest::client::http::Http;

use crate::kit::by_length;
use crate::kit::cluster::Cluster;
use crate::kit::load::Load;
use crate::kit::people::{Ear, Person, target};

/// Presence is right this long after the last change, also where a node died.
const PRESENCE: Duration = Duration::from_secs(10);
/// Members of each room.
const MEMBERS: u64 = 10;
/// While all is well, what was acked is with everybody, on every node, within this time; on two busy cores.
const ACROSS: Duration = Duration::from_millis(2_500);
/// A revocation reaches live sockets on another node within this time, and without Redis within that.
const REVOKED: Duration = Duration::from_secs(2);
const REVOKED_WITHOUT_REDIS: Duration = Duration::from_secs(15);

#[test]
fn durable_and_once_with_one_order_everywhere_when_a_hub_is_killed_under_load_and_comes_back() {
    let Some(mut cluster) = Cluster::of_three(&[]) else { return };
    let words = by_length(
        ["cluster", "--clients", "30", "--members", "10", "--rate", "90", "--seconds", "18"],
        ["cluster", "--clients", "90", "--members", "10", "--rate", "200", "--seconds", "120"],
    );
    let kills = by_length(1, 8);
    let load = Load::start(&cluster, &words).runs();
    for kill in 0..kills {
        load.watch(Duration::from_secs(4));
        load.is_with_everybody(MEMBERS, ACROSS);
        let hub = kill % cluster.hubs.len();
        cluster.hubs[hub].kill();
        let without = load.watch(Duration::from_secs(4));
        assert!(without.acked > 0, "sends go on at the other two: {without:?}");
        cluster.hubs[hub].start_again();
        load.watch(Duration::from_secs(3));
    }
    let report = load.passes();
    assert!(report.reconnects > 0 && report.replayed > 0, "its clients came back elsewhere");
    assert!(report.deliver_cross_us.is_some(), "nodes told each other");
    // The load has looked for as long as the promise allows, and failed if it never was right.
    assert!(report.presence.is_some_and(|presence| presence.pairs > 0), "presence was compared");
}

#[test]
fn presence_forgets_the_people_of_a_killed_hub_within_10_s_and_hears_of_those_who_come_back() {
    let Some(mut cluster) = Cluster::of_three(&[]) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let hubs = &mut cluster.hubs;
        let (ann, ben, eve) = (
            Person::new(&hubs[0], "ann").await,
            Person::new(&hubs[1], "ben").await,
            Person::new(&hubs[2], "eve").await,
        );
        let others = [ben.id(), eve.id()];
        ann.account.create_group(&mut ann.account.http(), "three", &others).await.expect("a group");
        let mut ears: [Ear; 2] = [ann.connect(&hubs[0]).await, eve.connect(&hubs[2]).await];
        let ben_was_here = ben.connect(&hubs[1]).await;
        for ear in &mut ears {
            let told = ear.told_of(ben.id(), true, PRESENCE).await;
            assert!(told.is_some(), "who is on another node is told of");
        }
        hubs[1].kill();
        drop(ben_was_here);
        let killed = Instant::now();
        for ear in &mut ears {
            let told = ear.told_of(ben.id(), false, PRESENCE.saturating_sub(killed.elapsed())).await;
            assert!(told.is_some(), "nobody is a ghost 10 s after their node died");
        }
        println!("presence: the killed node's people were gone after {} ms", killed.elapsed().as_millis());
        hubs[1].start_again();
        let _back = ben.connect(&hubs[1]).await;
        for ear in &mut ears {
            let told = ear.told_of(ben.id(), true, PRESENCE).await;
            assert!(told.is_some(), "who comes back is told of");
        }
    });
}

#[test]
fn members_only_a_logout_on_one_node_ends_the_sockets_on_others_within_2_s_and_without_redis_within_15_s() {
    let Some(cluster) = Cluster::of_three(&[]) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for (without_redis, deadline) in [(false, REVOKED), (true, REVOKED_WITHOUT_REDIS)] {
        for round in 0..by_length(5, 100) {
            runtime.block_on(async {
                let person = Person::new(&cluster.hubs[0], &format!("out-{without_redis}-{round}")).await;
                let mut ears = [person.connect(&cluster.hubs[1]).await, person.connect(&cluster.hubs[2]).await];
                let still = without_redis.then(|| cluster.redis.pause());
                let (mut http, token) = (Http::new(target(&cluster.hubs[0])), person.account.token());
                log_out(&mut http, &token).await;
                let began = Instant::now();
                for ear in &mut ears {
                    let ended = ear.ends(deadline.saturating_sub(began.elapsed())).await;
                    let (code, _) = ended.unwrap_or_else(|| panic!("MEMBERS-ONLY: still open after {deadline:?}"));
                    assert_eq!(code, Some(4004), "it is told that its session was ended");
                }
                println!("logout: {} ms, without Redis: {without_redis}", began.elapsed().as_millis());
                drop(still);
            });
            if without_redis {
                // Long enough for the nodes to notice that it is back.
                sleep(Duration::from_secs(2));
            }
        }
    }
}

/// Logs out; on a busy machine the store may not say in time whether that was done.
async fn log_out(http: &mut Http, token: &str) {
    let nothing = serde_json::json!({});
    for _ in 0..10 {
        match http.call(http::Method::POST, "/auth/logout", Some(token), &nothing).await {
            Err(ClientError::Refused { error, .. }) if error.retryable => {}
            // An earlier try was done, and so this token is worth nothing.
            Err(ClientError::Refused { status: 401, .. }) | Ok(_) => return,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the store is never sure");
}
