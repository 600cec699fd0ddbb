//! A Redis that is away, stops in its tracks, or throws its clients out.

use hubbub_storage::bus::redis::OpenError;

use super::*;

/// A silent Redis is noticed after two and a half probes; on a busy machine a little later.
const NOTICED_WITHIN: Duration = Duration::from_secs(4);

/// The bus is up again so long after Redis is: a pause of a second at the most, and the try after it.
const BACK_WITHIN: Duration = Duration::from_secs(3);

fn with_redis<F: Future<Output = ()>>(test: impl FnOnce(RedisServer) -> F) {
    let Some(server) = RedisServer::start().unwrap() else { return };
    run(test(server));
}

async fn join_up(server: &RedisServer) -> Node {
    let mut node = Node::of(redis::open(config(server)).await.unwrap());
    assert!(node.open.bus.is_up(), "whoever opens at a Redis that is there finds the bus up");
    assert_eq!(node.next().await, BusEvent::Up);
    node
}

/// The node is back, and knows that it may have missed something.
async fn is_back(node: &mut Node) -> Duration {
    let took = node.until(&BusEvent::Up).await;
    assert_eq!(node.next().await, BusEvent::Missed, "after each Up but the first");
    took
}

#[test]
fn redis_free_truth_a_node_starts_without_redis_and_finds_it_when_it_comes() {
    with_redis(|mut server| async move {
        server.kill().unwrap();
        let began = Instant::now();
        let mut node = Node::of(redis::open(config(&server)).await.unwrap());
        assert!(began.elapsed() < Duration::from_secs(2), "REDIS-FREE TRUTH: starting does not wait for Redis");
        assert!(!node.open.bus.is_up());
        assert_eq!(node.all().await, [], "down is how it begins");
        server.restart().unwrap();
        let took = node.until(&BusEvent::Up).await;
        assert!(took < BACK_WITHIN, "{took:?}");
        assert_eq!(node.all().await, []);
    });
}

#[test]
fn what_no_waiting_mends_is_refused_at_once_and_tells_no_password() {
    run(async {
        let secret = || [7; 32].into();
        for wrong in ["", "localhost", "redis://", "http://:hush@localhost", "redis://:hush@localhost:port", "hush"] {
            let error = redis::open(RedisConfig::new(wrong, secret())).await.err().expect("a malformed URL is refused");
            assert!(matches!(error, OpenError::Url(_)), "{wrong}: {error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        for tls in ["rediss://:hush@localhost", "REDISS://localhost", "valkeys://localhost"] {
            let error = redis::open(RedisConfig::new(tls, secret())).await.err();
            assert_eq!(error, Some(OpenError::Tls), "{tls}");
        }
        for prefix in ["", "a:b", "a b", &"a".repeat(65)] {
            let config = RedisConfig { prefix: prefix.to_owned(), ..RedisConfig::new("redis://localhost", secret()) };
            assert_eq!(redis::open(config).await.err(), Some(OpenError::Prefix), "{prefix}");
        }
        let shown = format!("{:?}", RedisConfig::new("redis://:hush@localhost", [0xab; 32].into()));
        assert!(!shown.contains("hush") && !shown.contains("171"), "{shown}");
    });
}

#[test]
fn a_redis_that_stops_in_its_tracks_is_noticed_and_found_again() {
    with_redis(|server| async move {
        let (mut one, mut two) = (join_up(&server).await, join_up(&server).await);
        let topic = conversation();
        two.watch(topic).await;
        for pause in [Duration::from_secs(4), Duration::from_secs(7)] {
            server.pause().unwrap();
            let paused = Instant::now();
            one.say(topic, "into the silence");
            let counted = Instant::now();
            assert_eq!(one.open.bus.count(b"key", Duration::from_secs(9)).await, None);
            assert!(counted.elapsed() < Duration::from_millis(250), "a count does not wait: {:?}", counted.elapsed());
            let noticed = one.until(&BusEvent::Down).await;
            two.until(&BusEvent::Down).await;
            tokio::time::sleep_until(paused + pause).await;
            server.resume().unwrap();
            let back = is_back(&mut one).await;
            is_back(&mut two).await;
            eprintln!("paused {pause:?}: noticed after {noticed:?}, back after {back:?}");
            assert!(noticed < NOTICED_WITHIN && back < BACK_WITHIN, "{noticed:?}, {back:?}");
            one.say(topic, "word");
            while two.word().await.2 != "word" {}
        }
    });
}

#[test]
fn a_watch_that_redis_does_not_answer_is_refused_within_a_second_and_told_of_later() {
    with_redis(|server| async move {
        let mut node = join_up(&server).await;
        server.pause().unwrap();
        let began = Instant::now();
        assert!(node.open.bus.watch(conversation()).await.is_err());
        let took = began.elapsed();
        assert!((Duration::from_millis(900)..Duration::from_millis(1800)).contains(&took), "{took:?}");
        server.resume().unwrap();
        node.until(&BusEvent::Missed).await;
    });
}

#[test]
fn connections_that_redis_kills_are_built_anew() {
    with_redis(|server| async move {
        let mut node = join_up(&server).await;
        // The one that listens, then the one that talks.
        for kind in [b"pubsub".as_slice(), b"normal"] {
            tokio::time::sleep(Duration::from_millis(2100)).await;
            server.command(&[b"CLIENT", b"KILL", b"TYPE", kind]).unwrap();
            let noticed = node.until(&BusEvent::Down).await;
            let back = is_back(&mut node).await;
            eprintln!("{} killed: noticed after {noticed:?}, back after {back:?}", String::from_utf8_lossy(kind));
            assert!(noticed < NOTICED_WITHIN && back < BACK_WITHIN, "{noticed:?}, {back:?}");
            node.say(Topic::Cluster, "word");
            assert_eq!(node.next().await, heard(Topic::Cluster, &node, b"word"));
        }
    });
}

#[test]
fn a_listener_that_redis_throws_out_for_its_backlog_is_told_that_it_missed_something() {
    with_redis(|server| async move {
        let (one, mut two) = (join_up(&server).await, join_up(&server).await);
        let limit = b"pubsub 20kb 20kb 0".as_slice();
        server.command(&[b"CONFIG", b"SET", b"client-output-buffer-limit", limit]).unwrap();
        let topic = conversation();
        two.watch(topic).await;
        for _ in 0..20 {
            one.say(topic, vec![0; 400 * 1024]);
        }
        two.until(&BusEvent::Down).await;
        server.command(&[b"CONFIG", b"SET", b"client-output-buffer-limit", b"pubsub 0 0 0"]).unwrap();
        is_back(&mut two).await;
        one.say(topic, "word");
        while two.word().await.2 != "word" {}
    });
}

#[test]
fn a_bus_that_is_dropped_leaves_no_connection() {
    with_redis(|server| async move {
        let nodes = [join_up(&server).await, join_up(&server).await];
        let connections = || {
            let list = server.command(&[b"CLIENT", b"LIST"]).unwrap();
            String::from_utf8_lossy(&list).matches("fd=").count() - 1
        };
        assert_eq!(connections(), 4);
        drop(nodes);
        let began = Instant::now();
        while connections() > 0 {
            assert!(began.elapsed() < PATIENCE, "connections stay");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn whatever_redis_does_in_between_in_the_end_all_that_is_wanted_is_heard_and_no_more() {
    with_redis(|mut server| async move {
        let (one, mut two) = (join_up(&server).await, join_up(&server).await);
        let topics: Vec<Topic> = (0..300).map(|_| conversation()).collect();
        for round in 0..12 {
            for (place, topic) in topics.iter().enumerate() {
                // Wished for and taken back at other times in each round, answered or not.
                if (place + round) % 3 == 0 {
                    two.open.bus.unwatch(*topic);
                } else {
                    drop(two.open.bus.watch(*topic));
                }
                if place % 100 == round * 8 {
                    match round % 3 {
                        0 => drop(server.command(&[b"CLIENT", b"KILL", b"TYPE", b"pubsub"]).unwrap()),
                        1 => drop(server.command(&[b"CLIENT", b"KILL", b"TYPE", b"normal"]).unwrap()),
                        _ => server.restart().unwrap(),
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(40 * round as u64)).await;
        }
        let began = Instant::now();
        // Up again, and no end of a connection still on its way to be noticed.
        tokio::time::sleep(BACK_WITHIN).await;
        while !(one.open.bus.is_up() && two.open.bus.is_up()) {
            assert!(began.elapsed() < PATIENCE, "the bus stays down");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        two.watch(conversation()).await;
        two.all().await;
        for (place, topic) in topics.iter().enumerate() {
            one.say(*topic, "word");
            if (place + 11) % 3 != 0 {
                assert_eq!(two.next().await, heard(*topic, &one, b"word"));
            }
        }
        assert_eq!(two.all().await, []);
    });
}
