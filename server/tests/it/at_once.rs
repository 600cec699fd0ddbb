//! Claims about much that one person asks at once: a pipeline of commands, very many conversations, cursors by the thousand.
//!
//! IN-ORDER, RESUMABLE and HONEST hold for them as for anybody, and nobody else waits for them (BOUNDED).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::Cursor;
use hubbub_protocol::frame::client::{
    ClientFrame, MessageRecall, MessageSend, Ping, ReactionAdd, ReactionRemove, Resume,
};
use hubbub_protocol::frame::server::{Event, GapReason, ServerFrame};
use hubbub_protocol::{ConversationId, MessageId};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::raw::Raw;
use crate::wire::{Host, Peer, Person, alone, cursor, message};

/// Nobody else waits longer than this, on a busy machine and unoptimized.
const AT_ONCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_order_what_one_socket_says_without_waiting_is_stored_as_it_was_said() {
    const ROUNDS: usize = 50;
    let host = Host::start();
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let conversation = ann.group(&[&ben]).await;
    let mut peer = ann.connect(Format::Json).await;
    let mut targets = Vec::new();
    for _ in 0..ROUNDS {
        targets.push(MessageId::new(conversation, peer.send(message(conversation, "target")).await.unwrap()));
    }
    // Somebody else speaks meanwhile, so that appends are in flight and batches differ.
    let mut other = ben.connect(Format::MessagePack).await;
    let beside = tokio::spawn(async move {
        for _ in 0..2 * ROUNDS {
            other.send(message(conversation, "beside")).await.unwrap();
        }
    });
    let said_before = peer.said();
    for message_id in targets {
        let emoji = "👍".to_owned();
        let commands: [ClientFrame; 4] = [
            ReactionAdd { id: peer.command(), message_id, emoji: emoji.clone() }.into(),
            ReactionRemove { id: peer.command(), message_id, emoji }.into(),
            MessageSend { id: peer.command(), ..message(conversation, "between") }.into(),
            MessageRecall { id: peer.command(), message_id }.into(),
        ];
        for command in commands {
            peer.say(command).await;
        }
    }
    let mut stored: Vec<(u64, u64)> = Vec::new();
    while stored.len() < 4 * ROUNDS {
        let (id, sequence) = match peer.hear().await {
            ServerFrame::CommandOk(ok) => (ok.id, ok.conversation_seq.expect("it was stored")),
            ServerFrame::MessageAck(ack) => (ack.id, ack.conversation_seq),
            ServerFrame::CommandError(refused) => panic!("IN-ORDER: decided out of turn? {refused:?}"),
            _ => continue,
        };
        let id: u64 = id.expect("each has one").parse().unwrap();
        stored.push((id - said_before, sequence.get()));
    }
    beside.await.unwrap();
    stored.sort_unstable();
    assert_eq!(stored.iter().map(|(id, _)| *id).collect::<Vec<_>>(), (1..=4 * ROUNDS as u64).collect::<Vec<_>>());
    assert!(stored.is_sorted_by(|one, next| one.1 < next.1), "IN-ORDER: sequences rise as they were said: {stored:?}");
    let log = ann.history(conversation, 200).await;
    for (id, sequence) in stored {
        let event = &log[usize::try_from(sequence).unwrap() - 1];
        let kind = (id - 1) % 4;
        let same = match event {
            Event::ReactionUpdate(_) => kind < 2,
            Event::MessageNew(_) => kind == 2,
            Event::MessageRecalled(_) => kind == 3,
            _ => false,
        };
        assert!(same, "command {id} is in the log as {event:?}");
    }
}

/// Opens so many groups of one person's with another, a few at a time.
async fn open_many(admin: &Person, with: &Person, count: usize) -> HashSet<ConversationId> {
    const AT_A_TIME: usize = 16;
    let mut openers = JoinSet::new();
    for number in 0..AT_A_TIME {
        let (admin, with) = (admin.clone(), with.id());
        openers.spawn(async move {
            let (mut http, mut opened) = (admin.account.http(), Vec::new());
            for _ in (number..count).step_by(AT_A_TIME) {
                opened.push(admin.account.create_group(&mut http, "Crew", &[with]).await.expect("a group"));
            }
            opened
        });
    }
    openers.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resumable_somebody_in_many_conversations_is_live_in_each_right_after_a_kill() {
    const CONVERSATIONS: usize = 1_200;
    let _machine = alone().await;
    let mut host = Host::start();
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let began = Instant::now();
    let conversations = open_many(&ann, &ben, CONVERSATIONS).await;
    let opened = began.elapsed();
    host.server.kill();
    host.start_again();
    let began = Instant::now();
    let mut devices = JoinSet::new();
    for (person, format) in [(&ben, Format::Json), (&ben, Format::MessagePack), (&ann, Format::Json)] {
        let (person, conversations) = (person.clone(), conversations.clone());
        devices.spawn(async move {
            let mut peer = person.connect(format).await;
            assert_eq!(peer.ok.conversations, CONVERSATIONS as u64);
            let mut live = HashSet::new();
            while live.len() < CONVERSATIONS {
                match peer.hear_or_end().await.expect("BOUNDED: a login alone does not make a reader slow") {
                    ServerFrame::Live(edge) => {
                        assert_eq!(edge.seq.get(), 1, "DURABLE");
                        assert!(live.insert(edge.conversation_id), "{edge:?} came twice");
                    }
                    ServerFrame::CommandError(refused) => panic!("RESUMABLE: {refused:?} instead of live"),
                    ServerFrame::Gap(gap) => panic!("RESUMABLE: {gap:?} instead of live"),
                    _ => {}
                }
            }
            assert_eq!(live, conversations, "RESUMABLE: live in each");
        });
    }
    devices.join_all().await;
    println!(
        "at once: {CONVERSATIONS} groups opened in {} ms; after the kill 3 devices were live in all within {} ms",
        opened.as_millis(),
        began.elapsed().as_millis()
    );
}

/// So many cursors into conversations that there are not.
fn made_up(count: usize) -> Vec<Cursor> {
    (0..count).map(|_| cursor(ConversationId::generate(), 7)).collect()
}

/// Says that many resumes without waiting, and reads so many gaps at least, and those of the last. Gives what of the last
/// was answered after its `ok`, and how many gaps came in all.
async fn resume_often(peer: &mut Peer, frames: &[Vec<Cursor>], gaps: usize) -> (Vec<ConversationId>, usize) {
    for conversations in frames {
        let id = peer.command();
        peer.say(Resume { id, conversations: conversations.clone() }).await;
    }
    let (mut answered, mut all, mut last) = (0, 0, Vec::new());
    while last.len() < frames[0].len() || all < gaps {
        match peer.hear().await {
            ServerFrame::CommandOk(_) => answered += 1,
            ServerFrame::Gap(gap) => {
                assert_eq!((gap.reason, gap.from.get()), (GapReason::NoAccess, 8), "MEMBERS-ONLY");
                all += 1;
                let of_the_last = frames.last().is_some_and(|cursors| {
                    answered == frames.len()
                        && cursors.iter().any(|cursor| cursor.conversation_id == gap.conversation_id)
                });
                if of_the_last {
                    last.push(gap.conversation_id);
                }
            }
            ServerFrame::Live(live) => panic!("MEMBERS-ONLY: {live:?} of a conversation that is not there"),
            ServerFrame::CommandError(refused) => panic!("HONEST: {refused:?} instead of no_access"),
            _ => {}
        }
    }
    (last, all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounded_resumes_of_made_up_conversations_are_each_answered_and_hold_nobody_up() {
    const CURSORS: usize = 500;
    const TIMES: usize = 20;
    /// In KiB: 30,000 conversations that are not there, and what is said of them.
    const MAX_GROWTH: u64 = 64 * 1024;
    let _machine = alone().await;
    let host = Host::start();
    let (ann, ben, eve) = (host.person("ann").await, host.person("ben").await, host.person("eve").await);
    let conversation = ann.group(&[&ben]).await;
    let (mut peer, before) = (ann.connect(Format::Json).await, host.resident_kib());
    let mut tasks = JoinSet::new();
    for (format, new_ones) in [(Format::Json, true), (Format::MessagePack, false)] {
        let mut peer = eve.connect(format).await;
        tasks.spawn(async move {
            let frames: Vec<Vec<Cursor>> =
                if new_ones { (0..TIMES).map(|_| made_up(CURSORS)).collect() } else { vec![made_up(CURSORS); TIMES] };
            let gaps = if new_ones { CURSORS * TIMES } else { CURSORS };
            let (last, all) = resume_often(&mut peer, &frames, gaps).await;
            let different = last.iter().collect::<HashSet<_>>().len();
            assert_eq!((last.len(), different), (CURSORS, CURSORS), "HONEST: each is answered, once");
            assert!(all == gaps || !new_ones, "HONEST: {all} gaps");
        });
    }
    // And one that does not read what it is told.
    let mut unread = Raw::login_narrow(&host.target, Format::Json, &eve.account.token()).await;
    let frames: Vec<Resume> = (0..TIMES).map(|_| Resume { id: None, conversations: made_up(CURSORS) }).collect();
    let silent = tokio::spawn(async move {
        for frame in frames {
            unread.say(frame).await;
        }
        unread
    });
    let (mut slowest, mut sent) = (Duration::ZERO, 0);
    while !tasks.is_empty() || sent < 20 {
        while let Some(done) = tasks.try_join_next() {
            done.unwrap();
        }
        let began = Instant::now();
        peer.send(message(conversation, "hello")).await.unwrap();
        (slowest, sent) = (slowest.max(began.elapsed()), sent + 1);
        sleep(Duration::from_millis(20)).await;
    }
    let grown = host.resident_kib().saturating_sub(before);
    println!(
        "laggards: {sent} acks meanwhile, after at most {} ms; the server grew by {grown} KiB",
        slowest.as_millis()
    );
    assert!(slowest < AT_ONCE, "BOUNDED: an ack took {slowest:?}");
    assert!(grown < MAX_GROWTH, "BOUNDED: it grew by {grown} KiB");
    let mut unread = silent.await.unwrap();
    unread.say(Ping { id: None }).await;
    loop {
        match unread.frame().await {
            Some(ServerFrame::Gap(gap)) => assert_eq!(gap.reason, GapReason::NoAccess),
            // It read in time, or was closed as slow.
            Some(ServerFrame::Pong(_)) | None => break,
            Some(_) => {}
        }
    }
}
