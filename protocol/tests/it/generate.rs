//! Frames, records and ids of any content, for the properties.

use hubbub_protocol::frame::Cursor;
use hubbub_protocol::frame::client::{self, ClientFrame, PresenceStatus};
use hubbub_protocol::frame::server::{self, Actor, Event, GapReason, GoingAwayReason, ServerFrame};
use hubbub_protocol::limits::Limits;
use hubbub_protocol::member::{ConversationKind, Member, Role, SenderType};
use hubbub_protocol::record::{self, Author, ReactionChange};
use hubbub_protocol::{
    ClientMessageId, ConversationId, DeviceId, ErrorBody, ErrorCode, MessageId, Payload, Record, RecordBody, Sequence,
    SessionId, Timestamp, UserId,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

/// A frame of one type, under its word.
pub(crate) type OfType<F> = (&'static str, BoxedStrategy<F>);

/// The named fields of one frame, each from its strategy.
macro_rules! frame {
    ($module:ident :: $name:ident { $($field:ident: $strategy:expr),* $(,)? }) => {
        ($($strategy,)*).prop_map(|($($field,)*)| $module::$name { $($field),* }.into()).boxed()
    };
}

macro_rules! ids {
    ($($function:ident: $id:ident,)*) => {
        $(fn $function() -> impl Strategy<Value = $id> + Clone {
            any::<[u8; 16]>().prop_map($id::from_bytes)
        })*
    };
}

ids! {
    user_id: UserId,
    conversation_id: ConversationId,
    session_id: SessionId,
    device_id: DeviceId,
    client_message_id: ClientMessageId,
}

pub(crate) fn any_client_message_id() -> impl Strategy<Value = ClientMessageId> {
    client_message_id()
}

pub(crate) fn sequence() -> impl Strategy<Value = Sequence> + Clone {
    prop_oneof![0..300_u64, any::<u64>()].prop_map(Sequence::new)
}

pub(crate) fn message_id() -> impl Strategy<Value = MessageId> + Clone {
    (conversation_id(), sequence()).prop_map(|(conversation, sequence)| MessageId::new(conversation, sequence))
}

pub(crate) fn time() -> impl Strategy<Value = Timestamp> + Clone {
    (0..253_402_300_800_000_i64).prop_map(Timestamp::from_ms)
}

/// Any text: quotes, control characters, NUL and letters of four bytes among it.
fn text() -> impl Strategy<Value = String> + Clone {
    vec(any::<char>(), 0..24).prop_map(String::from_iter)
}

fn command_id() -> impl Strategy<Value = Option<String>> + Clone {
    option::of(vec(any::<char>(), 1..16).prop_map(String::from_iter))
}

pub(crate) fn payload() -> impl Strategy<Value = Payload> + Clone {
    vec(any::<u8>(), 0..300).prop_map(Payload::from)
}

fn cursors() -> impl Strategy<Value = Vec<Cursor>> {
    let cursor =
        (conversation_id(), sequence()).prop_map(|(conversation_id, after_seq)| Cursor { conversation_id, after_seq });
    vec(cursor, 0..4)
}

fn member() -> impl Strategy<Value = Member> + Clone {
    (user_id(), select(&[Role::Member, Role::Admin, Role::Owner])).prop_map(|(user_id, role)| Member { user_id, role })
}

fn sender_type() -> impl Strategy<Value = SenderType> + Clone {
    select(&[SenderType::Human, SenderType::Agent, SenderType::System])
}

fn kind() -> impl Strategy<Value = ConversationKind> + Clone {
    select(&[ConversationKind::Direct, ConversationKind::Group])
}

fn change() -> impl Strategy<Value = ReactionChange> + Clone {
    select(&[ReactionChange::Added, ReactionChange::Removed])
}

fn status() -> impl Strategy<Value = PresenceStatus> {
    select(&[PresenceStatus::Online, PresenceStatus::Away, PresenceStatus::Offline])
}

fn error_body() -> impl Strategy<Value = ErrorBody> {
    let param = prop_oneof![any::<u64>().prop_map(Into::into), text().prop_map(Into::into)];
    let params = btree_map("[a-z_]{1,12}", param, 0..3);
    (select(ErrorCode::ALL), text(), params, option::of(text())).prop_map(|(code, message, params, request_id)| {
        ErrorBody { params, request_id, ..ErrorBody::new(code, message) }
    })
}

/// A strategy for every type of client frame.
pub(crate) fn client_frames() -> Vec<OfType<ClientFrame>> {
    vec![
        ("auth", frame!(client::Auth { token: text(), resume: cursors() })),
        ("auth.renew", frame!(client::AuthRenew { id: command_id(), access_token: text() })),
        (
            "message.send",
            frame!(client::MessageSend {
                id: command_id(),
                conversation_id: conversation_id(),
                client_message_id: client_message_id(),
                content_type: text(),
                encrypted_payload: payload(),
                reply_to: option::of(message_id()),
                epoch: option::of(any::<u32>()),
            }),
        ),
        ("message.recall", frame!(client::MessageRecall { id: command_id(), message_id: message_id() })),
        ("reaction.add", frame!(client::ReactionAdd { id: command_id(), message_id: message_id(), emoji: text() })),
        (
            "reaction.remove",
            frame!(client::ReactionRemove { id: command_id(), message_id: message_id(), emoji: text() }),
        ),
        (
            "typing",
            frame!(client::Typing { id: command_id(), conversation_id: conversation_id(), active: any::<bool>() }),
        ),
        ("read", frame!(client::Read { id: command_id(), conversation_id: conversation_id(), seq: sequence() })),
        ("presence", frame!(client::Presence { id: command_id(), status: status() })),
        (
            "subscribe",
            frame!(client::Subscribe {
                id: command_id(),
                conversation_id: conversation_id(),
                after_seq: option::of(sequence()),
            }),
        ),
        ("unsubscribe", frame!(client::Unsubscribe { id: command_id(), conversation_id: conversation_id() })),
        ("resume", frame!(client::Resume { id: command_id(), conversations: cursors() })),
        (
            "history",
            frame!(client::History {
                id: command_id(),
                conversation_id: conversation_id(),
                before_seq: option::of(sequence()),
                after_seq: option::of(sequence()),
                limit: option::of(any::<u32>()),
            }),
        ),
        ("ping", frame!(client::Ping { id: command_id() })),
    ]
}

/// A strategy for the body of every kind of record, under the word of its event.
pub(crate) fn bodies() -> Vec<OfType<RecordBody>> {
    let message = (text(), payload(), option::of(sequence()), option::of(any::<u32>()));
    let message = message.prop_map(|(content_type, payload, reply_to, epoch)| {
        RecordBody::from(record::Message { content_type, payload, reply_to, epoch })
    });
    let reaction = (sequence(), text(), change())
        .prop_map(|(target, emoji, change)| RecordBody::Reaction(record::Reaction { target, emoji, change }));
    let opened = (kind(), text(), vec(member(), 0..4))
        .prop_map(|(kind, name, members)| RecordBody::Opened(record::Opened { kind, name, members }));
    let updated = (option::of(text()), option::of(text()))
        .prop_map(|(name, description)| RecordBody::GroupUpdated(record::GroupUpdated { name, description }));
    vec![
        ("message.new", message.boxed()),
        ("message.recalled", sequence().prop_map(|target| RecordBody::Recalled(record::Recalled { target })).boxed()),
        ("reaction.update", reaction.boxed()),
        ("conversation.opened", opened.boxed()),
        ("member.added", member().prop_map(|member| RecordBody::MemberAdded(record::MemberAdded { member })).boxed()),
        (
            "member.removed",
            user_id().prop_map(|user_id| RecordBody::MemberRemoved(record::MemberRemoved { user_id })).boxed(),
        ),
        (
            "member.role_changed",
            member().prop_map(|member| RecordBody::RoleChanged(record::RoleChanged { member })).boxed(),
        ),
        ("group.updated", updated.boxed()),
    ]
}

/// A record with a body from this strategy.
fn record_with(body: BoxedStrategy<RecordBody>) -> impl Strategy<Value = Record> {
    let author = (user_id(), sender_type(), option::of(device_id()));
    let author = author.prop_map(|(sender_id, sender_type, device_id)| Author { sender_id, sender_type, device_id });
    (conversation_id(), sequence(), author, time(), option::of(client_message_id()), body).prop_map(
        |(conversation_id, sequence, author, created_at, client_message_id, body)| Record {
            conversation_id,
            sequence,
            author,
            created_at,
            client_message_id,
            body,
        },
    )
}

/// The event of any record.
pub(crate) fn event() -> impl Strategy<Value = Event> {
    any_of(bodies().into_iter().map(|(word, body)| (word, record_with(body).boxed())).collect())
        .prop_map(|record| Event::of(&record))
}

/// A strategy for every type of server frame.
pub(crate) fn server_frames() -> Vec<OfType<ServerFrame>> {
    let events = bodies()
        .into_iter()
        .map(|(word, body)| (word, record_with(body).prop_map(|record| ServerFrame::from(Event::of(&record))).boxed()));
    replies().into_iter().chain(events).chain(notices()).collect()
}

fn auth_ok() -> BoxedStrategy<ServerFrame> {
    let actor = (user_id(), sender_type()).prop_map(|(id, kind)| Actor { id, kind });
    let limits = any::<u64>().prop_map(|max_page| Limits { max_page, ..Limits::default() });
    frame!(server::AuthOk {
        session_id: session_id(),
        actor: actor,
        server_time: time(),
        expires_at: time(),
        heartbeat_ms: any::<u64>(),
        limits: limits,
        features: vec(text(), 0..3),
        conversations: any::<u64>(),
    })
}

fn replies() -> Vec<OfType<ServerFrame>> {
    vec![
        ("auth.ok", auth_ok()),
        ("auth.error", frame!(server::AuthError { reason: text(), message: text(), i18n_key: text() })),
        ("auth.expiring", frame!(server::AuthExpiring { expires_at: time() })),
        ("ok", frame!(server::CommandOk { id: command_id(), conversation_seq: option::of(sequence()) })),
        ("error", frame!(server::CommandError { id: command_id(), error: error_body() })),
        (
            "message.ack",
            frame!(server::MessageAck {
                id: command_id(),
                client_message_id: client_message_id(),
                message_id: message_id(),
                conversation_seq: sequence(),
            }),
        ),
        (
            "history",
            frame!(server::HistoryPage {
                id: command_id(),
                conversation_id: conversation_id(),
                events: vec(event(), 0..4),
                head_seq: sequence(),
            }),
        ),
        ("pong", frame!(server::Pong { id: command_id(), server_time: time() })),
    ]
}

fn notices() -> Vec<OfType<ServerFrame>> {
    let gap_reason = select(&[
        GapReason::NotMember,
        GapReason::NoAccess,
        GapReason::NotRetained,
        GapReason::AheadOfLog,
        GapReason::Damaged,
    ]);
    let away_reason = select(&[GoingAwayReason::Draining, GoingAwayReason::SlowReader]);
    vec![
        (
            "message.read",
            frame!(server::MessageRead { conversation_id: conversation_id(), user_id: user_id(), seq: sequence() }),
        ),
        (
            "typing",
            frame!(server::TypingNotice {
                conversation_id: conversation_id(),
                user_id: user_id(),
                active: any::<bool>(),
            }),
        ),
        ("presence", frame!(server::PresenceNotice { user_id: user_id(), status: status() })),
        (
            "gap",
            frame!(server::Gap {
                conversation_id: conversation_id(),
                from: sequence(),
                to: sequence(),
                reason: gap_reason,
            }),
        ),
        ("live", frame!(server::Live { conversation_id: conversation_id(), seq: sequence() })),
        (
            "going_away",
            frame!(server::GoingAway { reason: away_reason, reconnect_after_ms: any::<u64>(), resume: cursors() }),
        ),
        ("session.invalidated", frame!(server::SessionInvalidated { session_id: session_id() })),
    ]
}

/// One of them.
pub(crate) fn any_of<F: std::fmt::Debug + 'static>(types: Vec<OfType<F>>) -> Union<BoxedStrategy<F>> {
    Union::new(types.into_iter().map(|(_, strategy)| strategy))
}
