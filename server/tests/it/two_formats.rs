//! Claims about the two formats: one conversation, one order, the same events, whichever a client speaks.
//!
//! GAPLESS and IN-ORDER between JSON, MessagePack and the history by REST.

use hubbub_loadtest::client::http::Answer;
use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::client::{History, MessageRecall, MessageSend, ReactionAdd, ReactionRemove, Read};
use hubbub_protocol::frame::server::{Event, MessageRead, ServerFrame};
use hubbub_protocol::{ConversationId, MessageId, Payload, Sequence};
use serde_json::json;

use crate::wire::{Host, Peer, Person, cursor, event_of, message, sequences};

/// Rounds; in each both send, and one of them does something else.
const ROUNDS: u64 = 150;
/// The page of the histories: small, so that there are many.
const PAGE: usize = 64;

/// One client, with all that it heard.
struct Client {
    peer: Peer,
    conversation: ConversationId,
    events: Vec<Event>,
    marks: Vec<MessageRead>,
    settled: u64,
    own: Vec<Sequence>,
}

impl Client {
    fn new(peer: Peer, conversation: ConversationId) -> Self {
        Self { peer, conversation, events: Vec::new(), marks: Vec::new(), settled: 0, own: Vec::new() }
    }

    /// Sends a message without waiting for its answer.
    async fn send(&mut self, round: u64) {
        let bytes: Vec<u8> = (0..=255_u8).cycle().skip(usize::try_from(round).unwrap()).take(300).collect();
        let reply_to = self.own.last().map(|sequence| MessageId::new(self.conversation, *sequence));
        let id = self.peer.command();
        self.peer.say(MessageSend { id, reply_to, ..message(self.conversation, bytes) }).await;
    }

    /// Something else, about the message it sent last.
    async fn act(&mut self, round: u64) {
        let Some(last) = self.own.last() else { return };
        let (message_id, emoji) = (MessageId::new(self.conversation, *last), "👍".to_owned());
        let id = self.peer.command();
        match round % 5 {
            0 | 1 => self.peer.say(ReactionAdd { id, message_id, emoji }).await,
            2 => self.peer.say(ReactionRemove { id, message_id, emoji }).await,
            3 => self.peer.say(MessageRecall { id, message_id }).await,
            _ => self.peer.say(Read { id, conversation_id: self.conversation, seq: *last }).await,
        }
    }

    /// Takes in what comes until so many of its commands are answered.
    async fn settle(&mut self, commands: u64) {
        while self.settled < commands {
            self.take_one().await;
        }
    }

    async fn take_one(&mut self) {
        match self.peer.hear().await {
            ServerFrame::MessageAck(ack) => {
                self.own.push(ack.conversation_seq);
                self.settled += 1;
            }
            ServerFrame::CommandOk(_) => self.settled += 1,
            ServerFrame::CommandError(refused) => {
                // A message that was recalled takes no reaction any more.
                assert_eq!(refused.error.code.as_str(), "conflict", "{refused:?}");
                self.settled += 1;
            }
            ServerFrame::MessageRead(mark) => self.marks.push(mark),
            frame => self.events.extend(event_of(frame, self.conversation)),
        }
    }

    async fn hear_up_to(&mut self, head: u64) {
        while self.events.last().is_none_or(|event| event.place().sequence.get() < head) {
            self.take_one().await;
        }
    }
}

/// What is left of events once the payloads that were recalled are erased.
fn folded(events: &[Event]) -> Vec<Event> {
    let recalled = |id: MessageId| {
        events.iter().any(|event| matches!(event, Event::MessageRecalled(recall) if recall.target_id == id))
    };
    let fold = |event: &Event| match event {
        Event::MessageNew(message) if recalled(message.message_id) => {
            let mut message = message.clone();
            message.encrypted_payload = Payload::default();
            Event::MessageNew(message)
        }
        other => other.clone(),
    };
    events.iter().map(fold).collect()
}

/// The whole history by REST, backwards from its end.
async fn backwards(person: &Person, conversation: ConversationId) -> Vec<Event> {
    let (mut http, token) = (person.account.http(), person.account.token());
    let mut pages: Vec<Vec<Event>> = Vec::new();
    let mut bound = String::new();
    loop {
        let path = format!("/conversations/{conversation}/messages?limit={PAGE}{bound}");
        let page: Answer<Vec<Event>> = http.get(&path, Some(&token)).await.unwrap();
        let Some(first) = page.data.first() else { break };
        bound = format!("&before_seq={}", first.place().sequence);
        pages.push(page.data);
    }
    pages.into_iter().rev().flatten().collect()
}

/// The same over a socket.
async fn backwards_over(peer: &mut Peer, conversation_id: ConversationId) -> Vec<Event> {
    let mut pages: Vec<Vec<Event>> = Vec::new();
    let mut before_seq = None;
    loop {
        let id = peer.command();
        let query = History { id, conversation_id, before_seq, after_seq: None, limit: u32::try_from(PAGE).ok() };
        let ServerFrame::HistoryPage(page) = peer.ask(query).await else { panic!("no page") };
        let Some(first) = page.events.first() else { break };
        before_seq = Some(first.place().sequence);
        pages.push(page.events);
    }
    pages.into_iter().rev().flatten().collect()
}

/// Has two clients of different formats do all there is to do, at once. The owner's is the first.
async fn converse(owner: &Person, other: &Person, guest: &Person, conversation: ConversationId) -> [Client; 2] {
    let mut json = Client::new(owner.connect(Format::Json).await, conversation);
    let mut pack = Client::new(other.connect(Format::MessagePack).await, conversation);
    json.peer.replay(conversation).await;
    pack.peer.replay(conversation).await;
    let (mut http, token) = (owner.account.http(), owner.account.token());
    let members = format!("/groups/{conversation}/members");
    for round in 0..ROUNDS {
        // Both are under way at once, so that the server has to find an order.
        json.send(round).await;
        pack.send(round).await;
        let actor = if round % 2 == 0 { &mut json } else { &mut pack };
        actor.act(round).await;
        if round == ROUNDS / 3 {
            let body = json!({ "user_ids": [guest.id()] });
            http.call(http::Method::POST, &members, Some(&token), &body).await.unwrap();
        }
        if round == ROUNDS * 2 / 3 {
            let path = format!("{members}/{}", guest.id());
            http.call(http::Method::DELETE, &path, Some(&token), &()).await.unwrap();
        }
        // Not every round waits, so that some are pipelined.
        if round % 4 == 3 {
            let said = [json.peer.said(), pack.peer.said()];
            json.settle(said[0]).await;
            pack.settle(said[1]).await;
        }
    }
    let said = [json.peer.said(), pack.peer.said()];
    json.settle(said[0]).await;
    pack.settle(said[1]).await;
    [json, pack]
}

#[tokio::test]
async fn in_order_json_and_messagepack_see_the_same_events_and_rest_gives_them_again() {
    let host = Host::start();
    let (ann, ben, cat) = (host.person("ann").await, host.person("ben").await, host.person("cat").await);
    let conversation = ann.group(&[&ben]).await;
    let [mut json, mut pack] = converse(&ann, &ben, &cat, conversation).await;

    let forwards = ann.history(conversation, PAGE).await;
    let head = forwards.last().unwrap().place().sequence.get();
    json.hear_up_to(head).await;
    pack.hear_up_to(head).await;
    println!("two formats: {head} records, {} and {} read marks heard", json.marks.len(), pack.marks.len());

    let dense: Vec<u64> = (2..=head).collect();
    assert_eq!(sequences(&json.events), dense, "GAPLESS, IN-ORDER on JSON: all since its live edge");
    assert_eq!(json.events, pack.events, "IN-ORDER: the same events on both");
    for (word, least) in [("message.new", 300), ("reaction.update", 30), ("message.recalled", 20)] {
        let count = json.events.iter().filter(|event| word_of(event) == word).count();
        assert!(count >= least, "{count} {word}: the test did not do what it says");
    }
    for word in ["member.added", "member.removed"] {
        assert_eq!(json.events.iter().filter(|event| word_of(event) == word).count(), 1, "{word}");
    }
    for (client, reader) in [(&json, ben.id()), (&pack, ann.id())] {
        let marks: Vec<Sequence> =
            client.marks.iter().filter(|mark| mark.user_id == reader).map(|mark| mark.seq).collect();
        assert!(marks.len() > 10, "the other's marks are told: {marks:?}");
        assert!(marks.is_sorted_by(|one, next| one < next), "a mark never goes back: {marks:?}");
    }

    let kept = folded(&json.events);
    assert_eq!(forwards[1..], kept, "the history by REST is what the sockets saw, but for what was recalled");
    assert_eq!(backwards(&ben, conversation).await, forwards, "backwards is forwards");
    for (client, person, format) in [(json, &ann, Format::Json), (pack, &ben, Format::MessagePack)] {
        let mut peer = client.peer;
        assert_eq!(backwards_over(&mut peer, conversation).await, forwards, "history frames, {format:?}");
        let mut later = person.resume(format, &[cursor(conversation, 0)]).await;
        let replay = later.replay(conversation).await;
        assert_eq!(replay.events, forwards, "RESUMABLE: a replay from 0, {format:?}");
        assert_eq!(replay.live, head);
    }
}

fn word_of(event: &Event) -> &'static str {
    match event {
        Event::MessageNew(_) => "message.new",
        Event::MessageRecalled(_) => "message.recalled",
        Event::ReactionUpdate(_) => "reaction.update",
        Event::ConversationOpened(_) => "conversation.opened",
        Event::MemberAdded(_) => "member.added",
        Event::MemberRemoved(_) => "member.removed",
        Event::MemberRoleChanged(_) => "member.role_changed",
        Event::GroupUpdated(_) => "group.updated",
    }
}
