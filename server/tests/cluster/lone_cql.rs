//! A claim about the only CQL server, which is away for a while: nobody is told anything that is not true, and all goes on
//! by itself once it is back.

use std::time::{Duration, Instant};

use crate::kit::cluster::{Told, take_turn};
use crate::kit::cql::Cql;
use crate::kit::hub::Hub;
use crate::kit::load::Load;
use crate::kit::redis::Redis;
use crate::kit::{by_length, seed, skip, stillness};

/// What a send may be answered with while the truth cannot be reached: all of them say to repeat it.
const HONEST: [&str; 3] = ["unknown_outcome", "store_unavailable", "overloaded"];
/// All is well this long after it is back.
const RECOVERED: Duration = Duration::from_secs(15);

#[test]
fn honest_while_the_only_cql_server_is_away_and_nothing_is_lost_or_doubled_when_it_is_back() {
    let _turn = take_turn();
    let (cql, redis) = match (Cql::one(), Redis::start()) {
        (Ok(cql), Ok(redis)) => (cql, redis),
        (Err(why), _) | (_, Err(why)) => return skip(&why),
    };
    let seed = seed();
    println!("seed {seed} (HUBBUB_CHAOS_SEED={seed} repeats it)");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let told = Told {
        folder: folder.path(),
        cql: &cql.addresses,
        redis: Some(&redis.url),
        replication: 1,
        keyspace: "hubbub",
    };
    let start = |name: &str| Hub::start(told.arguments(name, &[]), folder.path().join(format!("{name}.log")));
    let mut hubs = [start("hub-0"), start("hub-1")];
    let urls = format!("{},{}", hubs[0].url(), hubs[1].url());
    let words = by_length(
        ["cluster", "--clients", "12", "--members", "6", "--rate", "40", "--seconds", "30", "--silence", "20000"],
        ["cluster", "--clients", "60", "--members", "10", "--rate", "60", "--seconds", "150", "--silence", "20000"],
    );
    let load = Load::at(&urls, seed, &words).runs();
    load.watch(Duration::from_secs(2));
    let away = cql.stop(1);
    load.watch(stillness(6).min(Duration::from_secs(30)));
    let ready = hubs[0].get("/health/ready");
    assert!(ready.starts_with("HTTP/1.1 503"), "it says that it is not ready: {ready}");
    away.mend();
    let back = Instant::now();
    while load.watch(Duration::from_millis(200)).acked == 0 {
        assert!(back.elapsed() < RECOVERED, "nodes recover without a restart");
    }
    println!("lone cql: the first ack came {} ms after the server", back.elapsed().as_millis());
    let report = load.passes();
    for code in report.deferred.keys() {
        assert!(HONEST.contains(&code.as_str()), "HONEST: {code} is no answer to a send that may be stored");
    }
    assert_eq!(report.refused, 0, "HONEST: nothing is refused for good because the store is away");
    assert!(!report.deferred.is_empty(), "it was away while there was load");
    let ready = hubs[0].get("/health/ready");
    assert!(ready.starts_with("HTTP/1.1 200"), "it says that it is ready again: {ready}");
    assert!(hubs.iter_mut().all(Hub::runs), "no node was restarted, and none ended");
}
