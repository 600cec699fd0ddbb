//! Claims about readers that lag: they ask for much, read little, leave in the middle, or are sent away meanwhile.
//!
//! BOUNDED: they hold no more than their share and nobody else waits for them. MEMBERS-ONLY and RESUMABLE hold for them
//! too. How a reader that is merely slow is closed is in `slow_reader`.

use std::time::{Duration, Instant};

use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::client::{History, Ping, Subscribe};
use hubbub_protocol::frame::server::{Event, GapReason, ServerFrame};
use hubbub_protocol::{ConversationId, Sequence};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::raw::{CLOSE, Raw, masked};
use crate::wire::{Host, Peer, Person, alone, cursor, event_of, message, sequences};

/// Payloads so large that few of them fill a socket's outbox and the kernel's buffers.
const PAYLOAD_BYTES: usize = 48 * 1024;
/// Nobody else waits longer than this, on a busy machine and unoptimized.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Sends so many large messages, a few at a time; the last one's sequence.
async fn fill(peer: &mut Peer, conversation: ConversationId, count: u64) -> u64 {
    let (mut said, mut acked, mut last) = (0, 0, 0);
    while acked < count {
        while said < count && said - acked < 16 {
            peer.say(message(conversation, vec![b'x'; PAYLOAD_BYTES])).await;
            said += 1;
        }
        if let ServerFrame::MessageAck(ack) = peer.hear().await {
            (acked, last) = (acked + 1, ack.conversation_seq.get());
        }
    }
    last
}

/// A socket that asked for all of a conversation, has read the first event of it, and reads no more.
async fn stuck(person: &Person, format: Format, conversation_id: ConversationId) -> Raw {
    let mut raw = Raw::login_narrow(&person.target, format, &person.account.token()).await;
    raw.say(Subscribe { id: None, conversation_id, after_seq: Some(Sequence::ZERO) }).await;
    loop {
        let frame = raw.frame().await.expect("the socket is open");
        if event_of(frame, conversation_id).is_some() {
            return raw;
        }
    }
}

/// The ways to leave without having read.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// Resets the connection.
    Reset,
    /// Closes it, with all that is unread.
    Closed,
    /// Says that nothing more comes, and stays, unreading.
    HalfClosed,
    /// Says goodbye as a WebSocket does, and stays, unreading.
    Goodbye,
}

const LEAVINGS: [Leaving; 4] = [Leaving::Reset, Leaving::Closed, Leaving::HalfClosed, Leaving::Goodbye];

/// Leaves; what stays is given back.
async fn leave(mut raw: Raw, how: Leaving) -> Option<Raw> {
    match how {
        Leaving::Reset => raw.reset(),
        Leaving::Closed => drop(raw),
        Leaving::HalfClosed => {
            raw.end_here().await;
            return Some(raw);
        }
        Leaving::Goodbye => {
            raw.write(&masked(CLOSE, &1000_u16.to_be_bytes())).await;
            return Some(raw);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounded_sockets_that_leave_in_the_middle_of_a_long_replay_leave_nothing_behind() {
    const SOCKETS: usize = 40;
    const ROUNDS: usize = 4;
    /// In KiB: far less than what the sockets of one round had waiting, and three rounds are compared with the first.
    const MAX_GROWTH: u64 = 16 * 1024;
    let _machine = alone().await;
    let host = Host::start();
    let ann = host.person("ann").await;
    let conversation = ann.group(&[]).await;
    let mut peer = ann.connect(Format::MessagePack).await;
    fill(&mut peer, conversation, 160).await;
    let base = host.descriptors();
    let mut resident = Vec::new();
    for round in 0..ROUNDS {
        let mut sockets = JoinSet::new();
        for number in 0..SOCKETS {
            let ann = ann.clone();
            sockets.spawn(async move { stuck(&ann, Format::ALL[number % 2], conversation).await });
        }
        let sockets = sockets.join_all().await;
        assert!(host.descriptors() >= base + SOCKETS, "all are in the middle of their replay");
        let during = host.resident_kib();
        let mut stay = Vec::new();
        for (number, raw) in sockets.into_iter().enumerate() {
            stay.extend(leave(raw, LEAVINGS[number / 2 % LEAVINGS.len()]).await);
        }
        let began = Instant::now();
        while host.descriptors() > base {
            assert!(began.elapsed() < Duration::from_secs(15), "BOUNDED: {} of {base} open", host.descriptors());
            sleep(Duration::from_millis(20)).await;
        }
        drop(stay);
        resident.push(host.resident_kib());
        println!(
            "laggards: round {round}: {SOCKETS} gone {} ms after they left; {during} KiB with them, {} without",
            began.elapsed().as_millis(),
            resident[round]
        );
    }
    let (first, last) = (resident[0], resident[ROUNDS - 1]);
    assert!(last <= first + MAX_GROWTH, "BOUNDED: {first} KiB became {last} KiB");
    peer.send(message(conversation, "still here")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounded_sockets_that_ask_for_many_pages_and_never_read_keep_nobody_from_reading() {
    const SOCKETS: usize = 40;
    const PAGES: usize = 64;
    /// In KiB: what the sockets may have waiting (a quarter of an outbox and a page each, 22 MiB in all) and the pages
    /// that are being read, of 9.4 MiB here.
    const MAX_GROWTH: u64 = 128 * 1024;
    let _machine = alone().await;
    let host = Host::start();
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let (long, short) = (ann.group(&[&ben]).await, ann.group(&[]).await);
    let mut peer = ann.connect(Format::Json).await;
    let head = fill(&mut peer, long, 200).await;
    for _ in 0..20 {
        peer.send(message(short, "hello")).await.unwrap();
    }
    let before = host.resident_kib();
    let token = ben.account.token();
    let mut never_read = Vec::new();
    for number in 0..SOCKETS {
        let mut raw = Raw::login_narrow(&host.target, Format::ALL[number % 2], &token).await;
        for _ in 0..PAGES {
            let after_seq = Some(Sequence::ZERO);
            raw.say(History { id: None, conversation_id: long, before_seq: None, after_seq, limit: Some(200) }).await;
        }
        never_read.push(raw);
    }
    let mut slowest = [Duration::ZERO; 3];
    let mut most = 0;
    for _ in 0..12 {
        let began = Instant::now();
        let id = peer.command();
        let one = History { id, conversation_id: long, before_seq: None, after_seq: None, limit: Some(1) };
        let ServerFrame::HistoryPage(page) = peer.ask(one).await else { panic!("no page") };
        assert_eq!(sequences(&page.events), [head]);
        slowest[0] = slowest[0].max(began.elapsed());

        let began = Instant::now();
        let mut back = ann.resume(Format::Json, &[cursor(long, head - 3)]).await;
        assert_eq!(sequences(&back.replay(long).await.events), [head - 2, head - 1, head]);
        slowest[1] = slowest[1].max(began.elapsed());

        let began = Instant::now();
        let mut back = ann.resume(Format::MessagePack, &[cursor(short, 0)]).await;
        assert_eq!(back.replay(short).await.events.len(), 21);
        slowest[2] = slowest[2].max(began.elapsed());
        most = most.max(host.resident_kib());
        sleep(Duration::from_millis(50)).await;
    }
    let grown = most.saturating_sub(before);
    println!(
        "laggards: beside {SOCKETS} sockets that wait for {PAGES} pages each: history, resume at the edge, resume from 0 \
         took at most {slowest:?}; the server grew by {grown} KiB"
    );
    assert!(slowest.iter().all(|took| *took < AT_ONCE), "BOUNDED: others waited {slowest:?}");
    assert!(grown < MAX_GROWTH, "BOUNDED: it grew by {grown} KiB");
    drop(never_read);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_only_who_is_sent_away_in_the_middle_of_a_replay_gets_what_was_on_its_way_and_no_more() {
    const MESSAGES: u64 = 250;
    /// A quarter of an outbox, one frame, and what Linux keeps of one connection: 4 MiB.
    const ON_ITS_WAY: usize = 256 * 1024 + 96 * 1024 + 4 * 1024 * 1024;
    let _machine = alone().await;
    let host = Host::start();
    let (ann, ben, cid) = (host.person("ann").await, host.person("ben").await, host.person("cid").await);
    let conversation = ann.group(&[&ben, &cid]).await;
    let mut talker = ann.connect(Format::MessagePack).await;
    let mut head = fill(&mut talker, conversation, MESSAGES).await;
    // Ben is removed by Ann; Cid leaves.
    for (gone, by, format) in [(&ben, &ann, Format::Json), (&cid, &cid, Format::MessagePack)] {
        let mut slow = stuck(gone, format, conversation).await;
        let mut other = gone.connect(Format::Json).await;
        assert_eq!(other.replay(conversation).await.live, head);
        let path = format!("/groups/{conversation}/members/{}", gone.id());
        by.account.http().call(http::Method::DELETE, &path, Some(&by.account.token()), &()).await.unwrap();
        let removed = head + 1;
        head = fill(&mut talker, conversation, 3).await;

        let last = other.events_by_now(conversation).await;
        assert_eq!(sequences(&last), [removed], "MEMBERS-ONLY: the removal is the last that a live socket hears");
        assert!(matches!(&last[0], Event::MemberRemoved(event) if event.user_id == gone.id()), "{last:?}");

        let mut got = vec![1];
        let gap = loop {
            match slow.frame().await.expect("the socket stays open") {
                ServerFrame::Gap(gap) => break gap,
                ServerFrame::Live(live) => panic!("MEMBERS-ONLY: {live:?} for somebody who was sent away"),
                frame => got.extend(event_of(frame, conversation).map(|event| event.place().sequence.get())),
            }
        };
        assert_eq!((gap.conversation_id, gap.reason), (conversation, GapReason::NoAccess));
        assert_eq!(got, (1..=got.len() as u64).collect::<Vec<_>>(), "IN-ORDER up to where it was cut");
        let (count, bytes) = (got.len(), got.len() * PAYLOAD_BYTES);
        println!("laggards: {count} of {removed} records, {bytes} bytes, were on their way to one who was sent away");
        assert!(bytes <= ON_ITS_WAY, "MEMBERS-ONLY, BOUNDED: {bytes} bytes came after the removal");
        slow.say(Ping { id: None }).await;
        loop {
            let frame = slow.frame().await.expect("the socket stays open");
            if matches!(frame, ServerFrame::Pong(_)) {
                break;
            }
            assert_eq!(event_of(frame, conversation), None, "MEMBERS-ONLY: nothing follows no_access");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_a_subscribe_that_meets_the_removal_of_its_person_is_refused() {
    const ROUNDS: usize = 20;
    const SUBSCRIBES: usize = 40;
    let host = Host::start();
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let conversation_id = ann.group(&[]).await;
    let path = format!("/groups/{conversation_id}/members");
    let mut refused_in_all = 0;
    for _ in 0..ROUNDS {
        let body = serde_json::json!({"user_ids": [ben.id()]});
        ann.account.http().call(http::Method::POST, &path, Some(&ann.account.token()), &body).await.unwrap();
        let mut peer = ben.connect(Format::Json).await;
        peer.replay(conversation_id).await;
        let (ann, path) = (ann.clone(), format!("{path}/{}", ben.id()));
        let removal = tokio::spawn(async move {
            ann.account.http().call(http::Method::DELETE, &path, Some(&ann.account.token()), &()).await.unwrap();
        });
        let (mut answered, mut removed, mut refused) = (0, false, 0);
        for _ in 0..SUBSCRIBES {
            let id = peer.command();
            peer.say(Subscribe { id, conversation_id, after_seq: None }).await;
        }
        while answered < SUBSCRIBES {
            match peer.hear().await {
                ServerFrame::Gap(gap) => removed |= gap.reason == GapReason::NoAccess,
                ServerFrame::MemberRemoved(_) => removed = true,
                ServerFrame::CommandOk(ok) => {
                    assert!(!removed, "HONEST: {ok:?} to a subscribe, after its person heard of their removal");
                    answered += 1;
                }
                ServerFrame::CommandError(error) => {
                    assert_eq!(error.error.code.as_str(), "not_found");
                    (answered, refused) = (answered + 1, refused + 1);
                }
                _ => {}
            }
        }
        removal.await.unwrap();
        refused_in_all += refused;
    }
    println!("laggards: {refused_in_all} of {} subscribes met a removal", ROUNDS * SUBSCRIBES);
}
