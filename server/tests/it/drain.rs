//! Claims about SIGTERM under load: what was accepted is answered, everybody is told when to come back, and nothing is lost
//! (DRAINED).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::client::MessageSend;
use hubbub_protocol::frame::server::{Event, GoingAwayReason, ServerFrame};
use hubbub_protocol::{ClientMessageId, ConversationId};
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::raw::{Raw, TEXT, masked, upgrade};
use crate::wire::{Host, Peer, Person, alone, message};

/// Sockets that send all the time, and sockets that listen.
const SENDERS: usize = 16;
const LISTENERS: usize = 48;
/// Sends of one socket that are under way at once.
const IN_FLIGHT: usize = 16;
/// Over how long clients are asked to come back.
const WINDOW_MS: u64 = 5_000;

/// How one socket fared.
#[derive(Default)]
struct Fared {
    sent: Vec<ClientMessageId>,
    acked: HashMap<ClientMessageId, u64>,
    refused: Vec<ClientMessageId>,
    reconnect_after_ms: Option<u64>,
    code: Option<u16>,
}

/// Sends until the server says that it goes away, and hears it out.
async fn send_until_it_goes(mut peer: Peer, conversation: ConversationId, sends: bool) -> Fared {
    let mut fared = Fared::default();
    let mut under_way: HashMap<String, ClientMessageId> = HashMap::new();
    loop {
        // One more is sent after the word to leave, as a client that has not heard it yet would.
        while sends && under_way.len() < IN_FLIGHT && fared.refused.is_empty() {
            let (id, message) = (peer.command(), message(conversation, "work"));
            under_way.insert(id.clone().unwrap(), message.client_message_id);
            fared.sent.push(message.client_message_id);
            if !peer.try_say(MessageSend { id, ..message }).await {
                break;
            }
        }
        match peer.hear_or_end().await {
            Ok(ServerFrame::MessageAck(ack)) => {
                under_way.remove(&ack.id.unwrap());
                fared.acked.insert(ack.client_message_id, ack.conversation_seq.get());
            }
            Ok(ServerFrame::CommandError(refused)) => {
                assert_eq!(refused.error.code.as_str(), "draining", "{refused:?}");
                assert!(refused.error.retryable);
                fared.refused.extend(under_way.remove(&refused.id.unwrap()));
            }
            Ok(ServerFrame::GoingAway(going)) => {
                assert_eq!(going.reason, GoingAwayReason::Draining);
                assert_eq!(fared.reconnect_after_ms.replace(going.reconnect_after_ms), None, "it is said once");
            }
            Ok(_) => {}
            Err(ending) => {
                fared.code = ending.code;
                return fared;
            }
        }
    }
}

/// Sockets under load, all at once.
async fn load(people: &[Person], conversation: ConversationId) -> JoinSet<Fared> {
    let mut peers = Vec::new();
    for number in 0..SENDERS + LISTENERS {
        let mut peer = people[number % people.len()].connect(Format::ALL[number % 2]).await;
        peer.replay(conversation).await;
        peers.push((peer, number < SENDERS));
    }
    peers.into_iter().map(|(peer, sends)| send_until_it_goes(peer, conversation, sends)).collect()
}

fn by_id(history: &[Event]) -> HashMap<ClientMessageId, u64> {
    let mut found = HashMap::new();
    for event in history {
        if let Event::MessageNew(message) = event {
            let earlier = found.insert(message.client_message_id.unwrap(), message.conversation_seq.get());
            assert_eq!(earlier, None, "ONCE");
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drained_under_load_all_is_answered_everybody_is_told_and_nothing_acked_is_lost() {
    let _machine = alone().await;
    let mut host = Host::start();
    let mut people = Vec::new();
    for number in 0..4 {
        people.push(host.person(&format!("person-{number}")).await);
    }
    let others: Vec<&Person> = people[1..].iter().collect();
    let conversation = people[0].group(&others).await;
    let sockets = load(&people, conversation).await;
    tokio::time::sleep(Duration::from_millis(500)).await;

    let began = Instant::now();
    host.server.signal(Signal::TERM);
    let fared = sockets.join_all().await;
    let closed_after = began.elapsed();
    let (code, log) = host.server.ended();
    println!(
        "drain: all sockets closed after {} ms, the process ended after {} ms",
        closed_after.as_millis(),
        began.elapsed().as_millis()
    );
    assert_eq!(code, Some(0), "DRAINED: softly: {log}");

    let mut waits: Vec<u64> =
        fared.iter().map(|one| one.reconnect_after_ms.expect("DRAINED: everybody is told")).collect();
    waits.sort_unstable();
    let spread = waits.last().unwrap() - waits[0];
    assert!(waits.iter().all(|wait| *wait < WINDOW_MS), "{waits:?}");
    assert!(spread >= WINDOW_MS * 8 / 10, "DRAINED: spread over the window: {waits:?}");
    assert!(waits.windows(2).all(|pair| pair[1] - pair[0] < WINDOW_MS / 5), "not in herds: {waits:?}");
    assert!(fared.iter().all(|one| one.code == Some(1012)), "DRAINED: a close that says so");

    host.start_again();
    let history = by_id(&people[0].history(conversation, 200).await);
    let (mut acked, mut refused, mut unanswered) = (0, 0, 0);
    for one in &fared {
        acked += one.acked.len();
        refused += one.refused.len();
        for (id, place) in &one.acked {
            assert_eq!(history.get(id), Some(place), "DURABLE: an acked message is where its ack said");
        }
        for id in &one.refused {
            assert!(!history.contains_key(id), "HONEST: a refused message is nowhere");
        }
        for id in one.sent.iter().filter(|id| !one.acked.contains_key(*id) && !one.refused.contains(id)) {
            // It was never read off the socket: not accepted, so not stored.
            assert!(!history.contains_key(id), "DRAINED: {id} was accepted, stored, and never answered");
            unanswered += 1;
        }
    }
    println!("drain: {acked} acked, {refused} refused, {unanswered} never taken in; waits spread over {spread} ms");
    assert!(acked > SENDERS, "there was load");
}

#[tokio::test]
async fn drained_nobody_is_let_in_any_more_and_what_is_said_then_is_refused() {
    let host = Host::with(&["stop.drain_ms=3000"]);
    let ann = host.person("ann").await;
    let conversation = ann.group(&[]).await;
    let mut idle = Raw::connect(host.target.address).await;
    let mut raw = Raw::login(&host.target, Format::Json, &ann.account.token()).await;
    host.server.signal(Signal::TERM);
    // It closes by itself; until it hears of that, a client goes on sending.
    let (frames, code) = raw.out().await;
    assert_eq!(code, 1012);
    // The `live` of a login may still come behind it.
    assert!(frames.iter().any(|frame| matches!(frame, ServerFrame::GoingAway(_))), "{frames:?}");
    let send = MessageSend { id: Some("late".to_owned()), ..message(conversation, "too late") };
    let bytes = hubbub_protocol::codec::encode(&send, Format::Json).unwrap();
    raw.try_write(&masked(TEXT, &bytes), Duration::from_secs(1)).await;
    // A connection that was there before gets no socket any more.
    if idle.try_write(upgrade("/ws", "").as_bytes(), Duration::from_secs(1)).await {
        idle.ended().await;
    }
    let (status, log) = host.server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn a_second_sigterm_ends_it_at_once_and_what_was_acked_is_there() {
    let mut host = Host::with(&["stop.drain_ms=60000", "stop.grace_ms=60000"]);
    let ann = host.person("ann").await;
    let conversation = ann.group(&[]).await;
    let mut peer = ann.connect(Format::Json).await;
    let place = peer.send(message(conversation, "kept")).await.unwrap();
    // A request that the server has begun to read, and whose end never comes, keeps a soft stop waiting.
    let mut half = Raw::connect(host.target.address).await;
    let head = "POST /auth/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                expect: 100-continue\r\ncontent-length: 50\r\n\r\n";
    assert!(half.ask(head).await.starts_with("HTTP/1.1 100"));
    let began = Instant::now();
    host.server.signal(Signal::TERM);
    peer.hear_until(|frame| matches!(frame, ServerFrame::GoingAway(_)).then_some(())).await;
    host.server.signal(Signal::TERM);
    let (code, log) = host.server.ended();
    let took = began.elapsed();
    println!("drain: two signals end it after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(2), "at once, not after {took:?}");
    assert_eq!(code, Some(1), "{log}");
    host.start_again();
    let history = ann.history(conversation, 10).await;
    assert_eq!(history.last().unwrap().place().sequence, place, "DURABLE");
}
