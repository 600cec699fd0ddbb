//! Claims about a full disk under load: the server stops with a clear last word, and no ack was a lie (DURABLE, HONEST).

use std::collections::HashMap;

use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::client::MessageSend;
use hubbub_protocol::frame::server::{Event, ServerFrame};
use hubbub_protocol::{ClientMessageId, ConversationId};
use tokio::task::JoinSet;

use crate::support::Hubbub;
use crate::wire::{Host, Peer, Person, message, sequences};

/// No file may grow over 2 MiB (a shell counts blocks of 512 bytes), so the disk is as good as full there. The signal that
/// comes with it is ignored, as a full disk sends none.
const LIMITED: [&str; 3] = ["sh", "-c", r#"trap "" XFSZ; ulimit -f 4096; exec "$0" "$@""#];
/// Sockets that send all the time.
const SENDERS: usize = 8;
/// More than fits.
const MOST_SENDS: usize = 20_000;

/// What one sender knows at the end.
#[derive(Default)]
struct Knows {
    whose: usize,
    sent: Vec<MessageSend>,
    acked: HashMap<ClientMessageId, u64>,
    refused: Vec<ClientMessageId>,
}

async fn send_until_the_end(whose: usize, mut peer: Peer, conversation: ConversationId) -> Knows {
    let mut knows = Knows { whose, ..Knows::default() };
    loop {
        let open = knows.sent.len() - knows.acked.len() - knows.refused.len();
        if open < 8 && knows.sent.len() < MOST_SENDS {
            let id = peer.command();
            let message = MessageSend { id, ..message(conversation, vec![b'x'; 2_000]) };
            knows.sent.push(message.clone());
            if !peer.try_say(message).await {
                return knows;
            }
            continue;
        }
        match peer.hear_or_end().await {
            Ok(ServerFrame::MessageAck(ack)) => {
                knows.acked.insert(ack.client_message_id, ack.conversation_seq.get());
            }
            Ok(ServerFrame::CommandError(refused)) => match refused.error.code.as_str() {
                // Unknown: whether it is there is to be asked with the same id.
                "unknown_outcome" => {}
                "store_unavailable" => {
                    let number: usize = refused.id.unwrap().parse().unwrap();
                    knows.refused.push(knows.sent[number - 1].client_message_id);
                }
                other => panic!("{other}: {refused:?}"),
            },
            Ok(_) => {}
            Err(_) => return knows,
        }
    }
}

fn by_id(history: &[Event]) -> HashMap<ClientMessageId, u64> {
    let own = |event: &Event| match event {
        Event::MessageNew(message) => Some((message.client_message_id?, message.conversation_seq.get())),
        _ => None,
    };
    history.iter().filter_map(own).collect()
}

#[tokio::test]
async fn durable_a_full_disk_ends_the_server_with_a_clear_last_word_and_no_ack_was_a_lie() {
    let mut host = Host::start();
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let conversation = ann.group(&[&ben]).await;
    let mut first = ann.connect(Format::Json).await;
    first.send(message(conversation, "while there was room")).await.unwrap();
    host.server.signal(rustix::process::Signal::TERM);
    assert_eq!(host.server.ended().0, Some(0));

    let limited: Hubbub = host.next_server().within(LIMITED);
    host.server = limited.start();
    let mut peers = Vec::new();
    for number in 0..SENDERS {
        let person: &Person = [&ann, &ben][number % 2];
        let mut peer = person.connect(Format::ALL[number % 2]).await;
        peer.replay(conversation).await;
        peers.push((number % 2, peer));
    }
    let sending = peers.into_iter().map(|(whose, peer)| send_until_the_end(whose, peer, conversation));
    let mut senders: JoinSet<_> = sending.collect();
    let mut known = Vec::new();
    while let Some(knows) = senders.join_next().await {
        known.push(knows.expect("it sent to its end"));
    }
    let (code, log) = host.server.ended();
    assert_eq!(code, Some(3), "{log}");
    let last_word = log.lines().last().expect("there is a last word");
    assert!(last_word.contains("ending at once") && last_word.contains("disk"), "a clear last word: {log}");
    let sent: usize = known.iter().map(|one| one.sent.len()).sum();
    let acked: usize = known.iter().map(|one| one.acked.len()).sum();
    let refused: usize = known.iter().map(|one| one.refused.len()).sum();
    assert!(sent < SENDERS * MOST_SENDS, "the disk never was full");
    assert!(acked > 0, "there was room for some");

    // With room again.
    host.start_again();
    let history = ann.history(conversation, 200).await;
    assert_eq!(sequences(&history), (1..=history.len() as u64).collect::<Vec<_>>(), "GAPLESS");
    let found = by_id(&history);
    let mut peers = [ann.connect(Format::Json).await, ben.connect(Format::Json).await];
    let mut settled = 0;
    for one in &known {
        for (id, place) in &one.acked {
            assert_eq!(found.get(id), Some(place), "DURABLE: {id} was acked");
        }
        for id in &one.refused {
            assert_eq!(found.get(id), None, "HONEST: {id} was refused");
        }
        let unknown = one.sent.iter().filter(|message| !one.acked.contains_key(&message.client_message_id));
        for message in unknown {
            let place = peers[one.whose].send(message.clone()).await.expect("a repeat settles it").get();
            let earlier = found.get(&message.client_message_id);
            assert!(earlier.is_none_or(|earlier| *earlier == place), "ONCE: it was there already");
            settled += 1;
        }
    }
    let whole = ann.history(conversation, 200).await;
    assert_eq!(by_id(&whole).len(), sent + 1, "ONCE: all that was sent is there once, at the end");
    println!(
        "disk: of {sent} sent {acked} were acked, {refused} refused, {settled} settled by a repeat after the restart"
    );
}
