//! Strangers who may write to Redis, and a Redis that lies: they can delay, and nothing else.

use super::*;

const WORD: &[u8] = b"said by a node";

fn channel(topic: Topic) -> String {
    match topic {
        Topic::Cluster => "hubbub:all".to_owned(),
        Topic::Node(node) => format!("hubbub:n:{node}"),
        Topic::Conversation(conversation_id) => format!("hubbub:c:{conversation_id}"),
    }
}

fn publish(server: &RedisServer, topic: Topic, frame: &[u8]) {
    let answer = server.command(&[b"PUBLISH", channel(topic).as_bytes(), frame]).unwrap();
    // Whoever overheard a frame before may not be gone yet.
    assert!(matches!(answer.as_slice(), b":1\r\n" | b":2\r\n"), "the node's listening connection got it: {answer:?}");
}

/// The frame in which a node says something, as a relay sees it.
async fn overheard(server: &RedisServer, node: &Node, topic: Topic) -> Vec<u8> {
    let client = ::redis::Client::open(server.url()).unwrap();
    let (mut ask, mut messages) = client.get_async_pubsub().await.unwrap().split();
    ask.subscribe(channel(topic)).await.unwrap();
    node.say(topic, WORD);
    let message = futures_util::StreamExt::next(&mut messages).await.unwrap();
    message.get_payload_bytes().to_vec()
}

#[test]
fn redis_free_truth_what_strangers_and_a_lying_relay_say_is_never_heard() {
    let Some(server) = RedisServer::start().unwrap() else { return };
    run(async {
        let mesh = Mesh::Redis(server);
        let (mut node, topic, other) = (mesh.join_up().await, conversation(), conversation());
        let Mesh::Redis(server) = &mesh else { unreachable!() };
        node.watch(topic).await;
        node.watch(other).await;
        let frame = overheard(server, &node, topic).await;
        assert_eq!(node.next().await, heard(topic, &node, WORD));

        publish(server, topic, &frame);
        publish(server, other, &frame);
        publish(server, topic, b"");
        publish(server, topic, &[1; 42]);
        publish(server, topic, &vec![0xff; 100_000]);
        for at in 0..frame.len() {
            let mut changed = frame.clone();
            changed[at] ^= 1;
            publish(server, topic, &changed);
        }
        publish(server, topic, &frame[..frame.len() - 1]);
        assert_eq!(node.all().await, [], "REDIS-FREE TRUTH");
        node.say(topic, "said by a node");
        assert_eq!(node.next().await, heard(topic, &node, WORD), "and nodes are heard as before");
    });
}

#[test]
fn nodes_of_another_secret_or_prefix_are_not_heard() {
    let Some(server) = RedisServer::start().unwrap() else { return };
    run(async {
        let mesh = Mesh::Redis(server);
        let mut node = mesh.join_up().await;
        let Mesh::Redis(server) = &mesh else { unreachable!() };
        let strangers = [
            RedisConfig::new(server.url(), [8; 32].into()),
            RedisConfig { prefix: "other".to_owned(), ..config(server) },
        ];
        for config in strangers {
            let mut stranger = Node::of(redis::open(config).await.unwrap());
            assert_eq!(stranger.next().await, BusEvent::Up, "it hears itself");
            stranger.say(Topic::Cluster, "strange");
            stranger.say(Topic::Node(node.id()), "strange");
            assert_eq!(node.all().await, [], "REDIS-FREE TRUTH");
            node.say(Topic::Cluster, "word");
            assert_eq!(node.next().await, heard(Topic::Cluster, &node, b"word"));
            let heard = stranger.all().await;
            assert!(!heard.iter().any(|event| matches!(event, BusEvent::Heard { origin, .. } if *origin == node.id())));
        }
    });
}

#[test]
fn whom_a_counter_is_for_cannot_be_read_in_redis_and_it_expires() {
    let Some(server) = RedisServer::start().unwrap() else { return };
    run(async {
        let mesh = Mesh::Redis(server);
        let node = mesh.join_up().await;
        let Mesh::Redis(server) = &mesh else { unreachable!() };
        // Counted though the answer be late, as it may on a busy machine.
        node.open.bus.count(b"192.0.2.1", Duration::from_mins(1)).await;
        let keys = String::from_utf8(server.command(&[b"KEYS", b"*"]).unwrap()).unwrap();
        assert!(keys.starts_with("*1\r\n") && keys.contains("hubbub:k:") && !keys.contains("192"), "{keys}");
        let key = keys.lines().last().unwrap();
        let left = String::from_utf8(server.command(&[b"PTTL", key.as_bytes()]).unwrap()).unwrap();
        let left: u64 = left.trim_start_matches(':').trim().parse().unwrap();
        assert!((50_000..=60_000).contains(&left), "{left}");
        node.open.bus.count(b"192.0.2.1", Duration::from_mins(1)).await;
        let later = String::from_utf8(server.command(&[b"PTTL", key.as_bytes()]).unwrap()).unwrap();
        let later: u64 = later.trim_start_matches(':').trim().parse().unwrap();
        assert!(later <= left, "a count does not lengthen its window");
    });
}
