//! At least one frame of every type, with fixed content: in full, and in brief where fields are optional.
//!
//! The golden bytes, the hostile variations and the check of `docs/protocol.md` all start from these.

use std::fmt::Debug;

use hubbub_protocol::codec;
use hubbub_protocol::frame::Cursor;
use hubbub_protocol::frame::client::{self, ClientFrame, PresenceStatus};
use hubbub_protocol::frame::server::{self, Actor, Event, GapReason, GoingAwayReason, ServerFrame};
use hubbub_protocol::limits::Limits;
use hubbub_protocol::member::{ConversationKind, Member, Role, SenderType};
use hubbub_protocol::record::{self, Author, ReactionChange};
use hubbub_protocol::{
    ClientMessageId, ConversationId, DeviceId, ErrorBody, ErrorCode, MessageId, Record, RecordBody, Sequence,
    SessionId, Timestamp, UserId,
};

/// A frame or a record's body under the name of its golden file.
pub(crate) struct Sample<F> {
    pub(crate) name: &'static str,
    pub(crate) frame: F,
}

fn sample<F: From<T>, T>(name: &'static str, frame: T) -> Sample<F> {
    Sample { name, frame: frame.into() }
}

fn id<T: std::str::FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn conversation() -> ConversationId {
    id("01890a5d-ac96-774b-bcce-b302099a8057")
}

fn ann() -> UserId {
    id("01890a5d-0001-7000-8000-00000000000a")
}

fn bob() -> UserId {
    id("01890a5d-0002-7000-8000-00000000000b")
}

fn session() -> SessionId {
    id("01890a5d-0003-7000-8000-00000000000c")
}

fn device() -> DeviceId {
    id("01890a5d-0004-7000-8000-00000000000d")
}

fn client_message_id() -> ClientMessageId {
    id("01563e3a-b5d3-d676-4c61-efb99302bd5b")
}

fn message(sequence: u64) -> MessageId {
    MessageId::new(conversation(), Sequence::new(sequence))
}

fn time() -> Timestamp {
    id("2026-01-31T12:00:00.000Z")
}

/// A command's id, as a frame carries it.
fn command<T: From<String>>(name: &str) -> T {
    name.to_owned().into()
}

fn cursors() -> Vec<Cursor> {
    vec![Cursor { conversation_id: conversation(), after_seq: Sequence::new(41) }]
}

/// All bytes that base64, text and signed numbers stumble over.
const SEALED: &[u8] = &[0x00, 0xff, 0x7f, 0x80, 0xfb, 0xef, 0xbe, 0x0a];

/// Every client frame.
pub(crate) fn client_frames() -> Vec<Sample<ClientFrame>> {
    let send = client::MessageSend {
        id: command("c1"),
        conversation_id: conversation(),
        client_message_id: client_message_id(),
        content_type: "text".to_owned(),
        encrypted_payload: SEALED.to_vec().into(),
        reply_to: Some(message(7)),
        epoch: Some(3),
    };
    let send_brief = client::MessageSend { id: None, reply_to: None, epoch: None, ..send.clone() };
    let history = client::History {
        id: command("c11"),
        conversation_id: conversation(),
        before_seq: Some(Sequence::new(100)),
        after_seq: None,
        limit: Some(50),
    };
    let history_up = client::History { before_seq: None, after_seq: Some(Sequence::new(41)), ..history.clone() };
    let history_brief = client::History { id: None, before_seq: None, limit: None, ..history.clone() };
    let emoji = "\u{1f44d}".to_owned();
    let subscribe =
        client::Subscribe { id: command("c8"), conversation_id: conversation(), after_seq: Some(Sequence::ZERO) };
    vec![
        sample("auth", client::Auth { token: "an.access.token".to_owned(), resume: cursors() }),
        sample("auth-brief", client::Auth { token: "an.access.token".to_owned(), resume: Vec::new() }),
        sample("auth.renew", client::AuthRenew { id: command("c0"), access_token: "a.new.token".to_owned() }),
        sample("message.send", send),
        sample("message.send-brief", send_brief),
        sample("message.recall", client::MessageRecall { id: command("c2"), message_id: message(42) }),
        sample(
            "reaction.add",
            client::ReactionAdd { id: command("c3"), message_id: message(42), emoji: emoji.clone() },
        ),
        sample("reaction.remove", client::ReactionRemove { id: command("c4"), message_id: message(42), emoji }),
        sample("typing", client::Typing { id: command("c5"), conversation_id: conversation(), active: true }),
        sample("typing-brief", client::Typing { id: None, conversation_id: conversation(), active: false }),
        sample("read", client::Read { id: command("c6"), conversation_id: conversation(), seq: Sequence::new(42) }),
        sample("presence", client::Presence { id: command("c7"), status: PresenceStatus::Away }),
        sample("subscribe", subscribe.clone()),
        sample("subscribe-brief", client::Subscribe { id: None, after_seq: None, ..subscribe }),
        sample("unsubscribe", client::Unsubscribe { id: command("c9"), conversation_id: conversation() }),
        sample("resume", client::Resume { id: command("c10"), conversations: cursors() }),
        sample("history", history),
        sample("history-upwards", history_up),
        sample("history-brief", history_brief),
        sample("ping", client::Ping { id: command("c12") }),
        sample("ping-brief", client::Ping { id: None }),
    ]
}

/// A record body of every kind.
pub(crate) fn bodies() -> Vec<Sample<RecordBody>> {
    let member = |user_id, role| Member { user_id, role };
    let message = record::Message {
        content_type: "text".to_owned(),
        payload: SEALED.to_vec().into(),
        reply_to: Some(Sequence::new(7)),
        epoch: Some(3),
    };
    let opened = record::Opened {
        kind: ConversationKind::Group,
        name: "Crew".to_owned(),
        members: vec![member(ann(), Role::Owner), member(bob(), Role::Member)],
    };
    let updated = record::GroupUpdated { name: Some("Crew 2".to_owned()), description: Some("All hands".to_owned()) };
    let reaction =
        record::Reaction { target: Sequence::new(42), emoji: "\u{1f44d}".to_owned(), change: ReactionChange::Added };
    let body = |name, frame| Sample { name, frame };
    vec![
        body("opened", RecordBody::Opened(opened)),
        body("message-brief", RecordBody::from(record::Message { reply_to: None, epoch: None, ..message.clone() })),
        body("message", RecordBody::from(message)),
        body("recalled", RecordBody::Recalled(record::Recalled { target: Sequence::new(42) })),
        body("reaction", RecordBody::Reaction(reaction)),
        body("member_added", RecordBody::MemberAdded(record::MemberAdded { member: member(bob(), Role::Member) })),
        body("member_removed", RecordBody::MemberRemoved(record::MemberRemoved { user_id: bob() })),
        body("role_changed", RecordBody::RoleChanged(record::RoleChanged { member: member(bob(), Role::Admin) })),
        body("group_updated", RecordBody::GroupUpdated(updated)),
        body("group_updated-brief", RecordBody::GroupUpdated(record::GroupUpdated::default())),
    ]
}

/// The bytes of a body on a disk.
pub(crate) fn stored(body: &RecordBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_body(body, &mut bytes).unwrap();
    bytes
}

/// A record with this body.
pub(crate) fn record(body: RecordBody) -> Record {
    Record {
        conversation_id: conversation(),
        sequence: Sequence::new(42),
        author: Author { sender_id: ann(), sender_type: SenderType::Human, device_id: Some(device()) },
        created_at: time(),
        client_message_id: Some(client_message_id()),
        body,
    }
}

fn event_name(body: &str) -> &'static str {
    match body {
        "opened" => "conversation.opened",
        "message" => "message.new",
        "message-brief" => "message.new-brief",
        "recalled" => "message.recalled",
        "reaction" => "reaction.update",
        "member_added" => "member.added",
        "member_removed" => "member.removed",
        "role_changed" => "member.role_changed",
        "group_updated" => "group.updated",
        "group_updated-brief" => "group.updated-brief",
        other => panic!("no event is named for the body {other}"),
    }
}

/// The event of every record body.
pub(crate) fn events() -> Vec<Sample<Event>> {
    let of = |Sample { name, frame }: Sample<RecordBody>| {
        let mut record = record(frame);
        if name.ends_with("-brief") {
            record.author.device_id = None;
            record.client_message_id = None;
        }
        Sample { name: event_name(name), frame: Event::of(&record) }
    };
    bodies().into_iter().map(of).collect()
}

/// Every server frame.
pub(crate) fn server_frames() -> Vec<Sample<ServerFrame>> {
    let mut all = replies();
    all.extend(events().into_iter().map(|Sample { name, frame }| Sample { name, frame: frame.into() }));
    all.extend(notices());
    all
}

fn auth_ok() -> server::AuthOk {
    server::AuthOk {
        session_id: session(),
        actor: Actor { id: ann(), kind: SenderType::Human },
        server_time: time(),
        expires_at: time().plus_ms(300_000),
        heartbeat_ms: 25_000,
        limits: Limits::default(),
        features: vec!["example".to_owned()],
        conversations: 2,
    }
}

fn replies() -> Vec<Sample<ServerFrame>> {
    let refused = ErrorBody::new(ErrorCode::RateLimited, "20 reactions a second are taken")
        .with("limit", "reactions_per_second")
        .with("retry_after", 1_u64);
    let auth_error = server::AuthError {
        reason: ErrorCode::ExpiredToken.as_str().to_owned(),
        message: "the token's time is over".to_owned(),
        i18n_key: ErrorCode::ExpiredToken.i18n_key().to_owned(),
    };
    let page = server::HistoryPage {
        id: command("c11"),
        conversation_id: conversation(),
        events: events().into_iter().map(|sample| sample.frame).collect(),
        head_seq: Sequence::new(42),
    };
    let bare = ErrorBody::new(ErrorCode::NotFound, "no such conversation");
    let ack = server::MessageAck {
        id: command("c1"),
        client_message_id: client_message_id(),
        message_id: message(42),
        conversation_seq: Sequence::new(42),
    };
    vec![
        sample("auth.ok", auth_ok()),
        sample("auth.error", auth_error),
        sample("auth.expiring", server::AuthExpiring { expires_at: time().plus_ms(60_000) }),
        sample("ok", server::CommandOk { id: command("c2"), conversation_seq: Some(Sequence::new(43)) }),
        sample("ok-brief", server::CommandOk { id: None, conversation_seq: None }),
        sample("error", server::CommandError { id: command("c3"), error: refused }),
        sample("error-brief", server::CommandError { id: None, error: bare }),
        sample("message.ack", ack.clone()),
        sample("message.ack-brief", server::MessageAck { id: None, ..ack }),
        sample("history", page.clone()),
        sample("history-brief", server::HistoryPage { id: None, events: Vec::new(), ..page }),
        sample("pong", server::Pong { id: command("c12"), server_time: time() }),
    ]
}

fn notices() -> Vec<Sample<ServerFrame>> {
    let gap = server::Gap {
        conversation_id: conversation(),
        from: Sequence::new(1),
        to: Sequence::new(41),
        reason: GapReason::NotMember,
    };
    let going_away =
        server::GoingAway { reason: GoingAwayReason::SlowReader, reconnect_after_ms: 500, resume: cursors() };
    let draining =
        server::GoingAway { reason: GoingAwayReason::Draining, reconnect_after_ms: 1_734, resume: Vec::new() };
    vec![
        sample(
            "message.read",
            server::MessageRead { conversation_id: conversation(), user_id: bob(), seq: Sequence::new(42) },
        ),
        sample("typing", server::TypingNotice { conversation_id: conversation(), user_id: bob(), active: true }),
        sample("presence", server::PresenceNotice { user_id: bob(), status: PresenceStatus::Online }),
        sample("gap", gap),
        sample("live", server::Live { conversation_id: conversation(), seq: Sequence::new(42) }),
        sample("going_away", going_away),
        sample("going_away-brief", draining),
        sample("session.invalidated", server::SessionInvalidated { session_id: session() }),
    ]
}
