//! Claims about coming back: from any sequence, while others speak, in a crowd, and after a restart (RESUMABLE, IN-ORDER).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::client::{History, Resume, Subscribe, Unsubscribe};
use hubbub_protocol::frame::server::{Event, Gap, GapReason, ServerFrame};
use hubbub_protocol::{ConversationId, Sequence};
use tokio::task::{JoinHandle, JoinSet};

use crate::wire::{Host, Peer, Person, alone, cursor, event_of, message, sequences};

/// Sends so many messages, a flight at a time; the last one's sequence.
async fn fill(peer: &mut Peer, conversation: ConversationId, count: u64) -> u64 {
    let mut last = 0;
    let (mut said, mut acked) = (0, 0);
    while acked < count {
        while said < count && said - acked < 60 {
            peer.say(message(conversation, format!("message {said}"))).await;
            said += 1;
        }
        if let ServerFrame::MessageAck(ack) = peer.hear().await {
            (acked, last) = (acked + 1, ack.conversation_seq.get());
        }
    }
    last
}

/// Somebody who sends as fast as the server answers, until told to stop.
struct Talker {
    stop: Arc<AtomicBool>,
    task: JoinHandle<u64>,
}

impl Talker {
    async fn start(person: &Person, conversation: ConversationId) -> Self {
        let mut peer = person.connect(Format::MessagePack).await;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut head = 0;
            while !told.load(Ordering::Relaxed) {
                head = fill(&mut peer, conversation, 8).await;
            }
            head
        });
        Self { stop, task }
    }

    /// The head it left.
    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("it talked to its end")
    }
}

fn gap(conversation_id: ConversationId, from: u64, to: u64, reason: GapReason) -> Gap {
    Gap { conversation_id, from: Sequence::new(from), to: Sequence::new(to), reason }
}

fn from_to(from: u64, to: u64) -> Vec<u64> {
    (from..=to).collect()
}

#[tokio::test]
async fn resumable_every_cursor_brings_all_above_it_and_then_live() {
    let host = Host::start();
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let conversation = ann.group(&[]).await;
    let mut peer = ann.connect(Format::Json).await;
    fill(&mut peer, conversation, 49).await;
    // Ben joins with record 51.
    let token = ann.account.token();
    let body = serde_json::json!({"user_ids": [ben.id()]});
    let path = format!("/groups/{conversation}/members");
    ann.account.http().call(http::Method::POST, &path, Some(&token), &body).await.unwrap();
    let head = fill(&mut peer, conversation, 3_000).await;
    let whole = ann.history(conversation, 200).await;
    assert_eq!(sequences(&whole), from_to(1, head), "GAPLESS");

    for format in Format::ALL {
        for after in [0, 1, 25, 500, head - 200, head - 1, head] {
            let mut peer = ann.resume(format, &[cursor(conversation, after)]).await;
            let replay = peer.replay(conversation).await;
            assert_eq!((replay.gap, replay.live), (None, head), "after {after}");
            assert_eq!(replay.events, whole[usize::try_from(after).unwrap()..], "RESUMABLE, IN-ORDER after {after}");
        }
        let mut ahead = ann.resume(format, &[cursor(conversation, head + 7)]).await;
        let replay = ahead.replay(conversation).await;
        assert_eq!(replay.gap, Some(gap(conversation, head + 1, head + 7, GapReason::AheadOfLog)));
        assert_eq!((replay.events.len(), replay.live), (0, head));
        for after in [0, 20, 49] {
            let mut peer = ben.resume(format, &[cursor(conversation, after)]).await;
            let replay = peer.replay(conversation).await;
            assert_eq!(replay.gap, Some(gap(conversation, after + 1, 50, GapReason::NotMember)), "MEMBERS-ONLY");
            assert_eq!(replay.events, whole[50..], "RESUMABLE from where he joined, after {after}");
        }
        let mut joined = ben.resume(format, &[cursor(conversation, 50)]).await;
        assert_eq!(joined.replay(conversation).await.gap, None, "all since he joined can be had");
        let made_up = ConversationId::generate();
        let mut nowhere = ann.resume(format, &[cursor(made_up, 3)]).await;
        let told = nowhere.hear_until(|frame| if let ServerFrame::Gap(gap) = frame { Some(gap) } else { None }).await;
        assert_eq!((told.conversation_id, told.reason), (made_up, GapReason::NoAccess));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_order_a_resume_while_others_speak_at_full_speed_has_no_seam() {
    let host = Host::start();
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let conversation = ann.group(&[&ben]).await;
    let mut peer = ann.connect(Format::Json).await;
    fill(&mut peer, conversation, 1_000).await;
    let talker = Talker::start(&ann, conversation).await;
    let mut readers = JoinSet::new();
    for number in 0..24 {
        let (ben, after) = (ben.clone(), [0, 300, 900, 999][number % 4]);
        readers.spawn(async move {
            let mut peer = ben.resume(Format::ALL[number % 2], &[cursor(conversation, after)]).await;
            let replay = peer.replay(conversation).await;
            assert_eq!(replay.gap, None);
            assert_eq!(sequences(&replay.events), from_to(after + 1, replay.live), "RESUMABLE up to the live edge");
            let seen_live = peer.events_up_to(conversation, replay.live + 200).await;
            assert_eq!(sequences(&seen_live), from_to(replay.live + 1, replay.live + 200), "IN-ORDER over the seam");
            [replay.events, seen_live].concat()
        });
    }
    let streams: Vec<Vec<Event>> = readers.join_all().await;
    let head = talker.stop().await;
    let whole = ben.history(conversation, 200).await;
    println!("resume: 24 readers joined in while {} messages were sent", head - 1_001);
    for stream in streams {
        let first = usize::try_from(stream[0].place().sequence.get()).unwrap();
        assert_eq!(stream, whole[first - 1..first - 1 + stream.len()], "GAPLESS: all see the same");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resumable_two_hundred_sockets_that_come_back_at_once_miss_nothing() {
    const SOCKETS: usize = 200;
    const STORMS: usize = 3;
    let _machine = alone().await;
    let host = Host::with(&["hub.max_connections_per_user=1000"]);
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let conversation = ann.group(&[&ben]).await;
    let mut held = vec![1; SOCKETS];
    let mut peer = ann.connect(Format::Json).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..STORMS {
        // All are away, and come back while the talk goes on.
        fill(&mut peer, conversation, 300).await;
        let talker = Talker::start(&ann, conversation).await;
        let began = Instant::now();
        let mut storm = JoinSet::new();
        for (number, after) in held.iter().copied().enumerate() {
            let ben = ben.clone();
            storm.spawn(async move {
                let mut peer = ben.resume(Format::ALL[number % 2], &[cursor(conversation, after)]).await;
                let replay = peer.replay(conversation).await;
                assert_eq!(replay.gap, None);
                let heard = peer.events_up_to(conversation, replay.live + 1).await;
                let all = [replay.events, heard].concat();
                let last = after + all.len() as u64;
                assert_eq!(sequences(&all), from_to(after + 1, last), "RESUMABLE, IN-ORDER from {after}");
                (number, last)
            });
        }
        for (number, last) in storm.join_all().await {
            held[number] = last;
        }
        slowest = slowest.max(began.elapsed());
        talker.stop().await;
    }
    println!("resume: {STORMS} storms of {SOCKETS} sockets; all live again within {} ms", slowest.as_millis());
}

#[tokio::test]
async fn resumable_a_cursor_of_before_a_restart_or_a_kill_is_as_good_as_any() {
    let mut host = Host::start();
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let conversation = ann.group(&[&ben]).await;
    let mut last = 1;
    for round in 0..4 {
        let mut peer = ann.connect(Format::Json).await;
        let mut reader = ben.resume(Format::MessagePack, &[cursor(conversation, last)]).await;
        assert_eq!(reader.replay(conversation).await.events.len(), if round == 0 { 0 } else { 20 });
        let head = fill(&mut peer, conversation, 40).await;
        // The reader goes away with half of it.
        last = head - 20;
        reader.close().await;
        if round % 2 == 0 {
            host.server.kill();
        } else {
            host.server.signal(rustix::process::Signal::TERM);
            while std::net::TcpStream::connect(host.target.address).is_ok() {}
            host.server.kill();
        }
        host.start_again();
    }
    let whole = ben.history(conversation, 200).await;
    assert_eq!(sequences(&whole), from_to(1, 161), "GAPLESS over all restarts");
}

#[tokio::test]
async fn subscribe_unsubscribe_resume_and_history_do_as_documented() {
    let host = Host::start();
    let ann = host.person("ann").await;
    let (here, there) = (ann.group(&[]).await, ann.group(&[]).await);
    let mut talker = ann.connect(Format::Json).await;
    fill(&mut talker, here, 300).await;
    fill(&mut talker, there, 20).await;

    for format in Format::ALL {
        let mut peer = ann.connect(format).await;
        assert_eq!(peer.ok.conversations, 2);
        let mut lives = vec![];
        for _ in 0..2 {
            lives.push(
                peer.hear_until(|frame| if let ServerFrame::Live(live) = frame { Some(live) } else { None }).await,
            );
        }
        lives.sort_by_key(|live| live.seq);
        assert_eq!([lives[0].conversation_id, lives[1].conversation_id], [there, here], "each ends in one live");

        // Unsubscribed: nothing comes. Subscribed again from a cursor: all of it comes.
        let id = peer.command();
        assert!(matches!(peer.ask(Unsubscribe { id, conversation_id: here }).await, ServerFrame::CommandOk(_)));
        let head = fill(&mut talker, here, 5).await;
        assert_eq!(peer.events_by_now(here).await, [], "it is unsubscribed");
        for (after, expected) in [(Some(head - 5), 5), (Some(0), usize::try_from(head).unwrap()), (None, 0)] {
            let (id, after_seq) = (peer.command(), after.map(Sequence::new));
            let done = peer.ask(Subscribe { id, conversation_id: here, after_seq }).await;
            assert!(matches!(done, ServerFrame::CommandOk(_)), "{done:?}");
            let replay = peer.replay(here).await;
            assert_eq!((replay.events.len(), replay.live, replay.gap), (expected, head, None), "after {after:?}");
        }

        // Both at once, by one command.
        let id = peer.command();
        let conversations = vec![cursor(here, head - 3), cursor(there, 19), cursor(ConversationId::generate(), 4)];
        assert!(matches!(peer.ask(Resume { id, conversations }).await, ServerFrame::CommandOk(_)));
        let (mut events, mut lives, mut gaps) = (0, 0, 0);
        while (lives, gaps) != (2, 1) {
            match peer.hear().await {
                ServerFrame::Live(_) => lives += 1,
                ServerFrame::Gap(gap) => gaps += usize::from(gap.reason == GapReason::NoAccess),
                frame => events += usize::from(frame.into_event().is_some()),
            }
        }
        assert_eq!(events, 3 + 2);

        assert_pages(&mut peer, here, &ann.history(here, 200).await).await;
    }
}

/// Pages of history, by every kind of bound.
async fn assert_pages(peer: &mut Peer, conversation_id: ConversationId, whole: &[Event]) {
    let head = whole.len() as u64;
    let cases = [
        (None, None, None, from_to(head - 49, head)),
        (None, None, Some(200), from_to(head - 199, head)),
        (Some(100), None, Some(10), from_to(90, 99)),
        (Some(5), None, Some(10), from_to(1, 4)),
        (None, Some(0), Some(3), from_to(1, 3)),
        (None, Some(100), None, from_to(101, 150)),
        (None, None, Some(201), from_to(head - 199, head)),
        (Some(1), None, None, vec![]),
        (None, Some(head), None, vec![]),
    ];
    for (before, after, limit, expected) in cases {
        let id = peer.command();
        let (before_seq, after_seq) = (before.map(Sequence::new), after.map(Sequence::new));
        let query = History { id, conversation_id, before_seq, after_seq, limit };
        let what = format!("{query:?}");
        let ServerFrame::HistoryPage(page) = peer.ask(query).await else { panic!("{what}: no page") };
        assert_eq!(sequences(&page.events), expected, "{what}");
        assert_eq!(page.head_seq.get(), head, "{what}");
        let same = page.events.iter().zip(
            whole
                .iter()
                .skip_while(|event| expected.first().is_some_and(|first| event.place().sequence.get() < *first)),
        );
        assert!(same.clone().all(|(page, whole)| page == whole), "{what}: the same events");
    }
    let id = peer.command();
    let (before_seq, after_seq) = (Some(Sequence::new(104)), Some(Sequence::new(100)));
    let ServerFrame::CommandError(refused) =
        peer.ask(History { id, conversation_id, before_seq, after_seq, limit: None }).await
    else {
        panic!("both bounds were taken")
    };
    assert_eq!(refused.error.code.as_str(), "validation_failed", "{refused:?}");
}

#[tokio::test]
async fn resumable_more_than_an_outbox_holds_of_many_conversations_at_once_comes_whole() {
    const CONVERSATIONS: usize = 40;
    const EACH: u64 = 100;
    let host = Host::start();
    let ann = host.person("ann").await;
    let mut talker = ann.connect(Format::MessagePack).await;
    let mut cursors = Vec::new();
    for _ in 0..CONVERSATIONS {
        let conversation = ann.group(&[]).await;
        for _ in 0..EACH {
            talker.say(message(conversation, vec![b'x'; 300])).await;
        }
        talker.events_up_to(conversation, EACH + 1).await;
        cursors.push(cursor(conversation, 0));
    }
    for format in Format::ALL {
        // About 3 MiB, to a reader that takes all it can.
        let mut peer = ann.resume(format, &cursors).await;
        let mut next = std::collections::HashMap::new();
        let mut lives = 0;
        while lives < CONVERSATIONS {
            match peer.hear_or_end().await.expect("BOUNDED: a resume alone does not make a reader slow") {
                ServerFrame::Live(live) => {
                    assert_eq!(live.seq.get(), EACH + 1);
                    lives += 1;
                }
                frame => {
                    if let Some(event) = frame.into_event() {
                        let place = event.place();
                        let next = next.entry(place.conversation_id).or_insert(1);
                        assert_eq!(place.sequence.get(), *next, "IN-ORDER");
                        *next += 1;
                    }
                }
            }
        }
        assert!(next.len() == CONVERSATIONS && next.values().all(|next| *next == EACH + 2), "RESUMABLE: {next:?}");
    }
}

#[tokio::test]
async fn in_order_a_new_wish_takes_the_place_of_one_that_is_being_served() {
    let host = Host::start();
    let ann = host.person("ann").await;
    let conversation_id = ann.group(&[]).await;
    let mut talker = ann.connect(Format::Json).await;
    let head = fill(&mut talker, conversation_id, 3_000).await;
    let mut peer = ann.connect(Format::Json).await;
    peer.replay(conversation_id).await;
    for (id, after) in [("first", 0), ("second", 1_500)] {
        let after_seq = Some(Sequence::new(after));
        peer.say(Subscribe { id: Some(id.to_owned()), conversation_id, after_seq }).await;
    }
    let (mut answered, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match peer.hear().await {
            ServerFrame::CommandOk(ok) => answered.extend(ok.id),
            // The first may have come to its end before the second was read.
            ServerFrame::Live(live) if answered.len() == 2 => {
                assert_eq!(live.seq.get(), head);
                break;
            }
            ServerFrame::Live(_) => {}
            frame => {
                let events = if answered.len() == 2 { &mut after } else { &mut before };
                events.extend(event_of(frame, conversation_id));
            }
        }
    }
    assert_eq!(answered, ["first", "second"], "each command has its reply");
    assert_eq!(sequences(&before), from_to(1, before.len() as u64), "IN-ORDER: the first, as far as it came");
    assert_eq!(sequences(&after), from_to(1_501, head), "RESUMABLE: the second, whole");
}
