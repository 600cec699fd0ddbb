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
            some.iter().for_each(|topic| one.say(*topic, "word"));
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
