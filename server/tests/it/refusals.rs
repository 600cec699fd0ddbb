//! Claims about sends that are refused, repeated, or no longer allowed (HONEST, ONCE, MEMBERS-ONLY).

use hubbub_loadtest::client::ClientError;
use hubbub_loadtest::client::http::Answer;
use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::client::{ClientFrame, History, MessageRecall, MessageSend, ReactionAdd, Read, Subscribe};
use hubbub_protocol::frame::server::{Event, GapReason, ServerFrame};
use hubbub_protocol::limits::MAX_PAYLOAD_BYTES;
use hubbub_protocol::{ClientMessageId, ConversationId, ErrorBody, MessageId, Payload, Sequence};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::wire::{Host, Peer, Person, cursor, message, sequences};

/// Sends by REST.
async fn send_by_rest(person: &Person, message: &MessageSend) -> Result<u64, (u16, ErrorBody)> {
    let path = format!("/conversations/{}/messages", message.conversation_id);
    let body = json!({
        "client_message_id": message.client_message_id,
        "content_type": message.content_type,
        "encrypted_payload": message.encrypted_payload,
    });
    let answer: Result<Answer<Value>, _> =
        person.account.http().post(&path, Some(&person.account.token()), &body).await;
    match answer {
        Ok(answer) => Ok(answer.data["conversation_seq"].as_u64().unwrap()),
        Err(ClientError::Refused { status, error }) => Err((status, error)),
        Err(other) => panic!("{other}"),
    }
}

/// A refusal without what differs from one request to the next.
fn words(mut refusal: ErrorBody) -> ErrorBody {
    refusal.request_id = None;
    refusal
}

async fn refused(peer: &mut Peer, frame: impl Into<ClientFrame>) -> ErrorBody {
    match peer.ask(frame).await {
        ServerFrame::CommandError(refused) => words(refused.error),
        other => panic!("{other:?} is no refusal"),
    }
}

/// How each command about a conversation is refused, over a socket and by REST.
async fn refusals(peer: &mut Peer, stranger: &Person, conversation_id: ConversationId) -> Vec<ErrorBody> {
    let message_id = MessageId::new(conversation_id, Sequence::new(2));
    let id = Some("x".to_owned());
    let (before_seq, after_seq, seq) = (None, Some(Sequence::ZERO), Sequence::new(1));
    let frames: [ClientFrame; 6] = [
        MessageSend { id: id.clone(), ..message(conversation_id, "let me in") }.into(),
        MessageRecall { id: id.clone(), message_id }.into(),
        ReactionAdd { id: id.clone(), message_id, emoji: "👍".to_owned() }.into(),
        Read { id: id.clone(), conversation_id, seq }.into(),
        Subscribe { id: id.clone(), conversation_id, after_seq }.into(),
        History { id, conversation_id, before_seq, after_seq, limit: None }.into(),
    ];
    let mut refusals = Vec::new();
    for frame in frames {
        refusals.push(refused(peer, frame).await);
    }
    let (status, refusal) = send_by_rest(stranger, &message(conversation_id, "let me in")).await.unwrap_err();
    assert_eq!(status, 404);
    refusals.push(words(refusal));
    let path = format!("/conversations/{conversation_id}/messages");
    let page: Result<Answer<Value>, _> = stranger.account.http().get(&path, Some(&stranger.account.token())).await;
    let Err(ClientError::Refused { status: 404, error }) = page else { panic!("{page:?}") };
    refusals.push(words(error));
    refusals
}

#[tokio::test]
async fn members_only_a_foreign_conversation_answers_as_one_that_was_never_there_and_nothing_is_stored() {
    let host = Host::start();
    let (ann, eve) = (host.person("ann").await, host.person("eve").await);
    let conversation = ann.group(&[]).await;
    let mut member = ann.connect(Format::Json).await;
    member.send(message(conversation, "among us")).await.unwrap();
    for format in Format::ALL {
        let mut stranger = eve.connect(format).await;
        let foreign = refusals(&mut stranger, &eve, conversation).await;
        let made_up = refusals(&mut stranger, &eve, ConversationId::generate()).await;
        assert_eq!(foreign, made_up, "MEMBERS-ONLY: the two are told alike");
        assert!(foreign.iter().all(|refusal| refusal.code.as_str() == "not_found"), "{foreign:?}");
        assert!(foreign.iter().all(|refusal| !refusal.retryable), "HONEST: it never will be");
    }
    let history = ann.history(conversation, 10).await;
    assert_eq!(history.len(), 2, "HONEST: nothing that was refused is found: {history:?}");
}

#[tokio::test]
async fn honest_a_payload_over_the_cap_is_refused_with_the_limits_name_and_one_of_the_cap_is_kept() {
    let host = Host::start();
    let ann = host.person("ann").await;
    let conversation = ann.group(&[]).await;
    for format in Format::ALL {
        let mut peer = ann.connect(format).await;
        for (size, code) in [(MAX_PAYLOAD_BYTES + 1, "too_large"), (0, "validation_failed")] {
            let refusal = peer.send(message(conversation, vec![7; size])).await.unwrap_err();
            assert_eq!(refusal.code.as_str(), code, "{refusal}");
            assert!(!refusal.retryable, "{refusal}");
            if size > 0 {
                assert_eq!(refusal.params["limit"], "max_payload_bytes".into(), "BOUNDED, by name");
            }
            let (status, refusal) = send_by_rest(&ann, &message(conversation, vec![7; size])).await.unwrap_err();
            assert_eq!((status, refusal.code.as_str()), (refusal.code.status(), code), "{refusal}");
        }
        peer.send(message(conversation, vec![7; MAX_PAYLOAD_BYTES])).await.expect("the cap itself is taken");
    }
    send_by_rest(&ann, &message(conversation, vec![7; MAX_PAYLOAD_BYTES])).await.expect("by REST too");
    assert_eq!(sequences(&ann.history(conversation, 200).await), [1, 2, 3, 4], "HONEST: only what was taken is there");
}

#[tokio::test]
async fn once_fifty_repeats_over_many_sockets_and_rest_at_once_are_one_message() {
    let host = Host::start();
    let ann = host.person("ann").await;
    let conversation = ann.group(&[]).await;
    let message = message(conversation, "say it once");
    let mut tries = JoinSet::new();
    for number in 0..50 {
        let (ann, message) = (ann.clone(), message.clone());
        tries.spawn(async move {
            if number % 3 == 0 {
                return send_by_rest(&ann, &message).await.unwrap();
            }
            let mut peer = ann.connect(Format::ALL[number % 2]).await;
            peer.send(message).await.unwrap().get()
        });
    }
    let places = tries.join_all().await;
    assert_eq!(places, [2; 50], "ONCE: every repeat is told the first one's place");
    assert_eq!(sequences(&ann.history(conversation, 200).await), [1, 2], "ONCE: it is there once");
}

#[tokio::test]
async fn once_an_id_that_was_used_is_refused_for_other_content_and_is_free_to_others() {
    let host = Host::start();
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let (here, there) = (ann.group(&[&ben]).await, ann.group(&[&ben]).await);
    let mut peer = ann.connect(Format::Json).await;
    let first = message(here, "first");
    let place = peer.send(first.clone()).await.unwrap();
    assert_eq!(peer.send(first.clone()).await, Ok(place), "ONCE");
    let changes = [
        MessageSend { encrypted_payload: Payload::from(b"second".to_vec()), ..first.clone() },
        MessageSend { content_type: "image".to_owned(), ..first.clone() },
    ];
    for changed in changes {
        let refusal = peer.send(changed.clone()).await.unwrap_err();
        assert_eq!(refusal.code.as_str(), "idempotency_mismatch", "{refusal}");
        let (status, refusal) = send_by_rest(&ann, &changed).await.unwrap_err();
        assert_eq!((status, refusal.code.as_str()), (422, "idempotency_mismatch"), "{refusal}");
    }
    let mut other = ben.connect(Format::MessagePack).await;
    assert_ne!(other.send(first.clone()).await, Ok(place), "the id is the sender's own");
    peer.send(MessageSend { conversation_id: there, ..first.clone() }).await.expect("and the conversation's");
    let texts: Vec<Event> = ann.history(here, 10).await;
    assert_eq!(texts.len(), 3, "HONEST: what was refused is not there: {texts:?}");
}

/// Adds somebody, or removes them.
async fn change_members(owner: &Person, conversation: ConversationId, who: &Person, add: bool) {
    let (mut http, token) = (owner.account.http(), owner.account.token());
    let path = format!("/groups/{conversation}/members");
    let done = if add {
        http.call(http::Method::POST, &path, Some(&token), &json!({"user_ids": [who.id()]})).await
    } else {
        http.call(http::Method::DELETE, &format!("{path}/{}", who.id()), Some(&token), &()).await
    };
    done.expect("the owner may");
}

#[tokio::test]
async fn members_only_nothing_reaches_who_was_removed_and_nothing_of_theirs_is_taken() {
    let host = Host::start();
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let conversation = ann.group(&[&ben]).await;
    // Sockets in both formats, and more than there are shards.
    let mut bens = Vec::new();
    for format in [Format::ALL, Format::ALL].concat() {
        bens.push(ben.connect(format).await);
    }
    for peer in &mut bens {
        peer.replay(conversation).await;
    }
    let mut anns = ann.connect(Format::Json).await;
    // Both talk all the time, so that the removal comes in the middle of it.
    let mut taken = Vec::new();
    let mut removed = false;
    for number in 0..60 {
        if number == 30 {
            change_members(&ann, conversation, &ben, false).await;
            removed = true;
        }
        anns.send(message(conversation, "of us")).await.unwrap();
        let attempt = message(conversation, "of mine");
        match bens[number % 4].send(attempt.clone()).await {
            Ok(_) => taken.push(attempt.client_message_id),
            Err(refusal) => assert_eq!((refusal.code.as_str(), removed), ("not_found", true), "{refusal}"),
        }
        assert!(!removed || !taken.contains(&attempt.client_message_id), "MEMBERS-ONLY: taken after the removal");
    }
    let history = ann.history(conversation, 200).await;
    let end = history.iter().position(|event| matches!(event, Event::MemberRemoved(_))).unwrap();
    let found: Vec<ClientMessageId> = messages_of(&history, &ben);
    assert_eq!(found, taken, "HONEST: of his there is what was acked and nothing that was refused");
    for peer in &mut bens {
        let events = peer.events_by_now(conversation).await;
        assert_eq!(events, history[1..=end], "MEMBERS-ONLY, IN-ORDER: all up to his removal and nothing after it");
    }
    let mut back = ben.resume(Format::Json, &[cursor(conversation, 1)]).await;
    let gap = back.hear_until(|frame| if let ServerFrame::Gap(gap) = frame { Some(gap) } else { None }).await;
    assert_eq!((gap.conversation_id, gap.reason), (conversation, GapReason::NoAccess), "MEMBERS-ONLY in a resume");
    anns.send(message(conversation, "still of us")).await.unwrap();
    assert_eq!(back.events_by_now(conversation).await, [], "MEMBERS-ONLY: nothing follows");

    change_members(&ann, conversation, &ben, true).await;
    let head = ann.history(conversation, 200).await.last().unwrap().place().sequence.get();
    let back_again = back.events_up_to(conversation, head).await;
    assert!(
        matches!(back_again[..], [Event::MemberAdded(_)]),
        "he hears from the record that adds him on: {back_again:?}"
    );
    let mut again = ben.resume(Format::MessagePack, &[cursor(conversation, 10)]).await;
    let replay = again.replay(conversation).await;
    let gap = replay.gap.expect("IN-ORDER: what he may not read is announced");
    let range = (gap.from.get(), gap.to.get(), gap.reason);
    assert_eq!(range, (11, head - 1, GapReason::NotMember), "MEMBERS-ONLY: not what was said while he was away");
    assert_eq!((sequences(&replay.events), replay.live), (vec![head], head));
}

/// The ids of somebody's messages, in order.
fn messages_of(history: &[Event], person: &Person) -> Vec<ClientMessageId> {
    let own = |event: &Event| match event {
        Event::MessageNew(message) if message.sender_id == person.id() => message.client_message_id,
        _ => None,
    };
    history.iter().filter_map(own).collect()
}

#[tokio::test]
async fn honest_a_repeat_of_what_was_stored_is_told_so_even_after_its_sender_was_removed() {
    let host = Host::start();
    let (ann, ben) = (host.person("ann").await, host.person("ben").await);
    let conversation = ann.group(&[&ben]).await;
    let (stored, late) = (message(conversation, "in time"), message(conversation, "too late"));
    let place = ben.connect(Format::Json).await.send(stored.clone()).await.unwrap();
    change_members(&ann, conversation, &ben, false).await;
    for format in Format::ALL {
        let mut peer = ben.connect(format).await;
        assert_eq!(peer.send(stored.clone()).await, Ok(place), "HONEST: it is stored, whatever its sender may do now");
        let refusal = peer.send(late.clone()).await.unwrap_err();
        assert_eq!(refusal.code.as_str(), "not_found", "MEMBERS-ONLY: {refusal}");
    }
    assert_eq!(send_by_rest(&ben, &stored).await, Ok(place.get()), "HONEST by REST too");
    let history = ann.history(conversation, 10).await;
    assert_eq!(sequences(&history), [1, 2, 3], "ONCE: opened, said in time, removed: {history:?}");
}
