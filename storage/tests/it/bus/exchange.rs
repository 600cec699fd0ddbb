//! What only the exchange can do: its faults, and a node that is alone.

use std::collections::HashMap;

use hubbub_storage::bus::local::{self, Faults};

use super::*;

#[test]
fn a_node_that_is_alone_waits_for_nothing_and_hears_nothing() {
    run(async {
        let mut alone = Node::of(local::alone());
        assert!(alone.open.bus.is_alone() && alone.open.bus.is_up());
        alone.watch(conversation()).await;
        alone.say(Topic::Cluster, "word");
        assert_eq!(alone.open.bus.count(b"key", Duration::from_secs(9)).await, None);
        assert_eq!(alone.all().await, []);
        assert!(!alone.open.events.is_closed(), "a reader waits, and does not end");
        alone.open.bus.close().await;
    });
}

#[test]
fn faults_lose_and_delay_and_keep_each_origins_order_on_a_topic() {
    run(async {
        let exchange = Exchange::new(3);
        let (mut one, two) = (Node::of(exchange.join()), Node::of(exchange.join()));
        exchange.set_faults(Faults { lost: 100, late: 300, late_by: Duration::from_millis(20) });
        for word in 0..1000_u32 {
            for node in [&one, &two] {
                node.say(Topic::Cluster, word.to_be_bytes().to_vec());
                node.say(Topic::Node(one.id()), word.to_be_bytes().to_vec());
            }
        }
        let words: Vec<(Topic, NodeId, u32)> = one.all().await.into_iter().filter_map(word).collect();
        let mut last = HashMap::new();
        for (topic, origin, word) in &words {
            let before = last.insert((topic, origin), word);
            assert!(before.is_none_or(|before| before < word), "the order of one origin on one topic");
        }
        assert!((3400..3800).contains(&words.len()), "about a tenth is lost: {}", words.len());
        let overtaken = words.windows(2).filter(|pair| pair[1].2 < pair[0].2).count();
        assert!(overtaken > 10, "origins and topics change places: {overtaken}");
    });
}

fn word(event: BusEvent) -> Option<(Topic, NodeId, u32)> {
    match event {
        BusEvent::Heard { topic, origin, body } => Some((topic, origin, u32::from_be_bytes(body[..].try_into().ok()?))),
        BusEvent::Up | BusEvent::Down | BusEvent::Missed => None,
    }
}

#[test]
fn a_node_that_is_cut_off_neither_hears_nor_is_heard_until_it_is_healed() {
    run(async {
        let exchange = Exchange::new(1);
        let mesh = Mesh::Local(exchange.clone());
        let (mut one, mut two) = (mesh.join_up().await, mesh.join_up().await);
        exchange.partition(two.id());
        one.say(Topic::Cluster, "here");
        two.say(Topic::Cluster, "there");
        assert_eq!(one.all().await, [heard(Topic::Cluster, &one, b"here")]);
        assert_eq!(two.all().await, [BusEvent::Down]);
        exchange.down();
        exchange.up();
        assert_eq!(two.all().await, [], "it is still cut off");
        exchange.heal(two.id());
        assert_eq!(two.all().await, [BusEvent::Up, BusEvent::Missed]);
        one.say(Topic::Cluster, "again");
        assert_eq!(two.next().await, heard(Topic::Cluster, &one, b"again"));
    });
}

#[test]
fn a_node_whose_bus_is_dropped_is_gone() {
    run(async {
        let exchange = Exchange::new(1);
        let mesh = Mesh::Local(exchange.clone());
        let (one, mut two) = (mesh.join_up().await, mesh.join_up().await);
        let OpenBus { bus, events: mut receiver } = two.open;
        drop(bus);
        assert_eq!(timeout(PATIENCE, receiver.recv()).await, Ok(None));
        one.say(Topic::Cluster, "word");
        two = mesh.join_up().await;
        assert_eq!(two.all().await, []);
    });
}

#[test]
fn bounded_a_node_that_wakes_is_told_that_it_missed_something_though_nobody_speaks() {
    run(async {
        let exchange = Exchange::new(1);
        let mut one = Mesh::Local(exchange).join_up().await;
        for _ in 0..=local::INBOX_EVENTS {
            one.say(Topic::Cluster, "flood");
        }
        one.until(&BusEvent::Missed).await;
    });
}
