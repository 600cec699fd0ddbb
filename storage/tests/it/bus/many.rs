//! Many topics, many words.

use futures_util::future::try_join_all;

use super::*;

#[test]
fn ten_thousand_watched_topics_come_back_after_a_reconnect() {
    let Some(server) = RedisServer::start().unwrap() else { return };
    run(async {
        let mut mesh = Mesh::Redis(server);
        let (mut one, mut two) = (mesh.join_up().await, mesh.join_up().await);
        let topics: Vec<Topic> = (0..10_000).map(|_| conversation()).collect();
        let began = Instant::now();
        try_join_all(topics.iter().map(|topic| two.open.bus.watch(*topic))).await.unwrap();
        let watched = began.elapsed();
        mesh.down();
        one.until(&BusEvent::Down).await;
        two.until(&BusEvent::Down).await;
        mesh.up();
        one.until(&BusEvent::Missed).await;
        let back = two.until(&BusEvent::Up).await;
        eprintln!("10,000 topics: watched in {watched:?}, back in {back:?}");
        assert_eq!(two.next().await, BusEvent::Missed);
        for some in topics.chunks(1000) {
            for topic in some {
                one.say(*topic, "word");
            }
            for topic in some {
                assert_eq!(two.next().await, heard(*topic, &one, b"word"), "as Up says, all is watched again");
            }
        }
    });
}

#[test]
fn bounded_a_flood_is_cut_to_what_there_is_room_for_and_never_waits() {
    let Some(server) = RedisServer::start().unwrap() else { return };
    run(async {
        let mesh = Mesh::Redis(server);
        let (one, mut two) = (mesh.join_up().await, mesh.join_up().await);
        let topic = conversation();
        two.watch(topic).await;
        let word = Bytes::from(vec![0; 1024]);
        let began = Instant::now();
        for _ in 0..200_000 {
            one.say(topic, word.clone());
        }
        let said = began.elapsed();
        let mut heard = 0;
        while let Ok(Some(event)) = timeout(QUIET * 3, two.open.events.recv()).await {
            heard += usize::from(matches!(event, BusEvent::Heard { .. }));
        }
        eprintln!("200,000 things said in {said:?}, {heard} heard");
        assert!(said < Duration::from_secs(5), "BOUNDED: who speaks never waits");
        assert!(heard >= 8192, "what there was room for is heard");
        one.say(topic, "word");
        while two.word().await.2 != "word" {}
    });
}

#[test]
fn what_a_word_costs_in_redis_is_its_body_and_little_more() {
    const WORDS: u64 = 5000;
    const BODY: u64 = 200;
    let Some(server) = RedisServer::start().unwrap() else { return };
    run(async {
        let mesh = Mesh::Redis(server);
        let (one, mut two) = (mesh.join_up().await, mesh.join_up().await);
        let Mesh::Redis(server) = &mesh else { unreachable!() };
        let topic = conversation();
        two.watch(topic).await;
        let before = net_bytes(server);
        for _ in 0..WORDS {
            one.say(topic, vec![0; 200]);
        }
        for _ in 0..WORDS {
            two.word().await;
        }
        let after = net_bytes(server);
        let (taken, given) = ((after.0 - before.0) / WORDS, (after.1 - before.1) / WORDS);
        eprintln!("a word of {BODY} bytes to one other node: Redis takes {taken} bytes and gives {given}");
        assert!((BODY..BODY + 150).contains(&taken), "{taken}");
        assert!((BODY..BODY + 160).contains(&given), "{given}");
    });
}

/// Bytes that Redis has read and written so far.
fn net_bytes(server: &RedisServer) -> (u64, u64) {
    let info = String::from_utf8(server.command(&[b"INFO", b"stats"]).unwrap()).unwrap();
    let read = |name: &str| -> u64 {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').parse().unwrap()
    };
    (read("total_net_input_bytes"), read("total_net_output_bytes"))
}
