//! Claims about a member that stops reading: it is closed with a resume point, and nobody else notices (BOUNDED).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hubbub_loadtest::client::socket::SocketOptions;
use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::client::MessageSend;
use hubbub_protocol::frame::server::{GoingAwayReason, ServerFrame};
use hubbub_protocol::{ClientMessageId, ConversationId};
use tokio::time::{interval, sleep};

use crate::wire::{Host, Peer, Person, alone, event_of, message, sequences};

/// Big enough that the slow one's outbox and the kernel's buffers on its way are full within a second or two.
const PAYLOAD_BYTES: usize = 48 * 1024;
/// Between two messages of each sender.
const EVERY: Duration = Duration::from_millis(20);
/// Messages of each sender while all read, and while one does not.
const MESSAGES: usize = 120;
/// The others' p99 may grow by this factor, or to this, whichever is more: shared machines have hiccups.
const MAX_FACTOR: u32 = 10;
const ALWAYS_FINE: Duration = Duration::from_millis(500);

/// When each message was sent, by its id.
type Sent = Arc<Mutex<HashMap<ClientMessageId, Instant>>>;

/// Somebody who chats and reads; after so many events of others and acks of its own it is done.
struct Chatter {
    peer: Peer,
    conversation: ConversationId,
    heard: Vec<u64>,
}

impl Chatter {
    /// Sends at a steady rate and reads what all say. Gives how long each event took from its sending.
    async fn chat(&mut self, sent: &Sent, everybody: usize) -> Vec<Duration> {
        let mut times = Vec::new();
        let (mut to_send, mut acks) = (MESSAGES, 0);
        let mut pace = interval(EVERY);
        while acks < MESSAGES || times.len() < everybody {
            tokio::select! {
                biased;
                frame = self.peer.hear_or_end() => match frame.expect("BOUNDED: only the slow one is closed") {
                    ServerFrame::MessageAck(_) => acks += 1,
                    ServerFrame::CommandError(refused) => panic!("BOUNDED: only the slow one is hurt: {refused:?}"),
                    ServerFrame::MessageNew(event) => {
                        self.heard.push(event.conversation_seq.get());
                        let sent = sent.lock().unwrap();
                        times.push(sent[&event.client_message_id.expect("a message of ours")].elapsed());
                    }
                    _ => {}
                },
                _ = pace.tick(), if to_send > 0 => {
                    to_send -= 1;
                    let id = self.peer.command();
                    let message = MessageSend { id, ..message(self.conversation, vec![b'x'; PAYLOAD_BYTES]) };
                    sent.lock().unwrap().insert(message.client_message_id, Instant::now());
                    self.peer.say(message).await;
                }
            }
        }
        times
    }
}

/// All chat at once; their latencies.
async fn chat(chatters: &mut [Chatter; 2]) -> Vec<Duration> {
    let sent = Sent::default();
    let [one, other] = chatters;
    let (a, b) = tokio::join!(one.chat(&sent, 2 * MESSAGES), other.chat(&sent, 2 * MESSAGES));
    [a, b].concat()
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

async fn chatter(person: &Person, format: Format, conversation: ConversationId) -> Chatter {
    let mut peer = person.connect(format).await;
    peer.replay(conversation).await;
    Chatter { peer, conversation, heard: Vec::new() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounded_a_slow_reader_is_closed_with_a_resume_point_and_completes_while_the_others_do_not_notice() {
    let _machine = alone().await;
    let host = Host::start();
    let (ann, ben, sid) = (host.person("ann").await, host.person("ben").await, host.person("sid").await);
    let conversation = ann.group(&[&ben, &sid]).await;
    let narrow = SocketOptions { receive_buffer: Some(4_096), read_bytes: 4_096, ..SocketOptions::default() };
    let mut chatters =
        [chatter(&ann, Format::Json, conversation).await, chatter(&ben, Format::MessagePack, conversation).await];
    let before = p99(chat(&mut chatters).await);

    // From here on this one does not read.
    let slow = sid.resume_as(&narrow, &[]).await;
    let resident = host.resident_kib();
    let during = p99(chat(&mut chatters).await);
    while host.metric("hubbub_closed_total", "slow_reader") == 0 {
        // Figures are taken in once a second.
        sleep(Duration::from_millis(100)).await;
    }
    let grown = host.resident_kib().saturating_sub(resident);
    println!(
        "slow reader: p99 send to deliver {} us before, {} us during the stall; the server grew by {grown} KiB",
        before.as_micros(),
        during.as_micros()
    );
    assert!(during < (before * MAX_FACTOR).max(ALWAYS_FINE), "BOUNDED: p99 was {before:?} and became {during:?}");

    let head = 1 + 4 * MESSAGES as u64;
    for chatter in &chatters {
        assert_eq!(chatter.heard, (2..=head).collect::<Vec<_>>(), "BOUNDED: the others lost nothing");
    }
    // It reads again: what was on its way, where to resume, and the close.
    let (frames, ending) = slow.hear_to_the_end().await;
    assert_eq!(ending.code, Some(4005), "{ending:?}");
    assert!(ending.reason.contains("retry_now"), "{ending:?}");
    let Some(ServerFrame::GoingAway(going)) = frames.last() else { panic!("{:?}", frames.last()) };
    assert_eq!(going.reason, GoingAwayReason::SlowReader);
    let live = frames.iter().find_map(|frame| if let ServerFrame::Live(live) = frame { Some(live.seq) } else { None });
    let mut has: Vec<_> = frames.iter().cloned().filter_map(|frame| event_of(frame, conversation)).collect();
    let from = live.expect("it was live").get();
    let last = from + has.len() as u64;
    assert_eq!(sequences(&has), (from + 1..=last).collect::<Vec<_>>(), "IN-ORDER: nothing is dropped from the middle");
    let [resume] = &going.resume[..] else { panic!("{going:?}") };
    assert_eq!((resume.conversation_id, resume.after_seq.get()), (conversation, last), "RESUMABLE: right after that");
    assert!(last < head, "it was slow: {last} of {head}");

    let mut back = sid.resume(Format::Json, &going.resume).await;
    let replay = back.replay(conversation).await;
    assert_eq!((replay.gap, replay.live), (None, head), "RESUMABLE: nothing was lost");
    has.extend(replay.events);
    assert_eq!(has[..], sid.history(conversation, 200).await[usize::try_from(from).unwrap()..], "it has it all");
    println!("slow reader: closed at {last} of {head}, complete after one resume");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounded_a_burst_of_one_sender_cuts_nobody_who_reads() {
    /// As many as may be in flight, of together more than an outbox holds.
    const BURST: u64 = 64;
    const BURST_PAYLOAD_BYTES: usize = 24_000;
    let _machine = alone().await;
    let host = Host::start();
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let conversation = ann.group(&[&ben]).await;
    let mut reader = ben.connect(Format::Json).await;
    let before = reader.replay(conversation).await.events.len() as u64;
    let mut sender = ann.connect(Format::Json).await;
    sender.replay(conversation).await;
    let heard = tokio::spawn(async move {
        let events = reader.events_up_to(conversation, before + 1 + BURST).await;
        events.len()
    });
    for _ in 0..BURST {
        let id = sender.command();
        sender.say(MessageSend { id, ..message(conversation, vec![b'x'; BURST_PAYLOAD_BYTES]) }).await;
    }
    let mut acks = 0;
    while acks < BURST {
        match sender.hear_or_end().await.expect("BOUNDED: its sender reads too") {
            ServerFrame::MessageAck(_) => acks += 1,
            ServerFrame::CommandError(refused) => panic!("{refused:?}"),
            _ => {}
        }
    }
    assert!(heard.await.expect("BOUNDED: whoever reads is not cut") as u64 >= BURST);
}
