//! Schemas of the words that come from `protocol`, which knows nothing of OpenAPI: named types that exist for the
//! description alone, used as `#[schema(value_type = …)]`.

use std::borrow::Cow;

use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// Declares a word: its name, its schema and the words it refers to.
macro_rules! word {
    ($name:ident, $schema:expr $(, uses $($used:ident),*)?) => {
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }

            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                let _ = &schemas;
                $($(
                    schemas.push(($used::name().into_owned(), $used::schema()));
                    $used::schemas(schemas);
                )*)?
            }
        }
    };
}

fn text(description: &str, example: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).examples([example])
}

fn formatted(format: &str, description: &str, example: &str) -> ObjectBuilder {
    text(description, example).format(Some(SchemaFormat::Custom(format.to_owned())))
}

fn one_of(description: &str, values: &[&str]) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .enum_values(Some(values.iter().copied()))
}

fn reference<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

const A_UUID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

word!(Uuid, formatted("uuid", "A UUID.", A_UUID));
word!(
    MessageId,
    text("Where a message stands: its conversation and sequence in 32 characters.", "AZAKXayWd0u8zrMCCZqAVwAAAAAAAAAB")
        .min_length(Some(32))
        .max_length(Some(32))
);
word!(
    ClientMessageId,
    text("The sender's own id of a message: a UUID or a ULID; written back as a UUID.", "01890A5DACXEMBSKFQCR0CJS0A")
);
word!(
    Sequence,
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::Custom("int64".to_owned())))
        .minimum(Some(0))
        .description(Some("The place of a record in its conversation: 1, 2, 3 … without holes; 0 is before the first."))
        .examples([42])
);
word!(Timestamp, formatted("date-time", "A moment in UTC, with milliseconds.", "2026-01-31T12:00:00.000Z"));
word!(Payload, formatted("byte", "Bytes that the server carries and never reads, in base64.", "c2VhbGVk"));
word!(Role, one_of("A member's rank, lowest first.", &["member", "admin", "owner"]));
word!(ConversationKind, one_of("What kind of conversation it is.", &["direct", "group"]));
word!(SenderType, one_of("Who did it.", &["human", "agent", "system"]));
word!(
    Member,
    object("A member of a conversation.", &[("user_id", reference::<Uuid>()), ("role", reference::<Role>())], &[]),
    uses Uuid, Role
);
word!(
    ErrorCode,
    one_of(
        "What went wrong, in a word that programs branch on. Words are added and never renamed.",
        &hubbub_protocol::ErrorCode::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>()
    )
);
word!(JwkSet, jwk_set());
word!(Limits, limits());
word!(
    Event,
    event(),
    uses Uuid, MessageId, ClientMessageId, Sequence, Timestamp, Payload, ConversationKind, SenderType, Member
);

/// An object with these fields, of which some may be absent.
fn object(description: &str, needed: &[(&str, RefOr<Schema>)], optional: &[(&str, RefOr<Schema>)]) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Object).description(Some(description));
    let object =
        needed.iter().fold(object, |object, (name, schema)| object.property(*name, schema.clone()).required(*name));
    optional.iter().fold(object, |object, (name, schema)| object.property(*name, schema.clone()))
}

/// What of a key is told (RFC 8037): nothing secret.
fn jwk_set() -> ObjectBuilder {
    let text = || RefOr::from(ObjectBuilder::new().schema_type(Type::String));
    let key = object("A public key.", &["kty", "crv", "x", "kid", "alg", "use"].map(|name| (name, text())), &[]);
    let keys = ArrayBuilder::new().items(key);
    object("Keys that verify access tokens, the one that signs first.", &[("keys", keys.into())], &[])
}

/// Every limit is a number; their names come from the type itself, so that none is forgotten here.
fn limits() -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Object);
    let object =
        object.description(Some("Every limit that this server keeps; refusals name theirs in `params.limit`."));
    let known = serde_json::to_value(hubbub_protocol::limits::Limits::default()).unwrap_or_default();
    let names = known.as_object().into_iter().flat_map(|limits| limits.keys());
    let number = || ObjectBuilder::new().schema_type(Type::Integer);
    names.fold(object, |object, name| object.property(name, number()).required(name))
}

/// One schema for each type of event: the fields that all share, then its own.
fn event() -> OneOfBuilder {
    let text = || RefOr::from(ObjectBuilder::new().schema_type(Type::String));
    let text_or_null = || {
        let types = utoipa::openapi::schema::SchemaType::from_iter([Type::String, Type::Null]);
        RefOr::from(ObjectBuilder::new().schema_type(types))
    };
    let members = || RefOr::from(ArrayBuilder::new().items(reference::<Member>()));
    let change = || RefOr::from(one_of("Put or taken away.", &["added", "removed"]));
    let target = || ("target_id", reference::<MessageId>());
    let member = || ("member", reference::<Member>());
    let description = "What happened in a conversation, exactly as its sockets are told it.";
    [
        one_event(
            "message.new",
            &[("content_type", text()), ("encrypted_payload", reference::<Payload>())],
            &[
                ("client_message_id", reference::<ClientMessageId>()),
                ("reply_to", reference::<MessageId>()),
                ("epoch", ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).into()),
            ],
        ),
        one_event("message.recalled", &[target()], &[]),
        one_event("reaction.update", &[target(), ("emoji", text()), ("change", change())], &[]),
        one_event(
            "conversation.opened",
            &[("kind", reference::<ConversationKind>()), ("name", text()), ("members", members())],
            &[],
        ),
        one_event("member.added", &[member()], &[]),
        one_event("member.removed", &[("user_id", reference::<Uuid>())], &[]),
        one_event("member.role_changed", &[member()], &[]),
        one_event("group.updated", &[("name", text_or_null()), ("description", text_or_null())], &[]),
    ]
    .into_iter()
    .fold(OneOfBuilder::new().description(Some(description)), OneOfBuilder::item)
}

fn one_event(word: &str, own: &[(&str, RefOr<Schema>)], optional: &[(&str, RefOr<Schema>)]) -> ObjectBuilder {
    let mut needed = vec![
        ("type", one_of("The type.", &[word]).into()),
        ("conversation_id", reference::<Uuid>()),
        ("message_id", reference::<MessageId>()),
        ("conversation_seq", reference::<Sequence>()),
        ("sender_id", reference::<Uuid>()),
        ("sender_type", reference::<SenderType>()),
        ("created_at", reference::<Timestamp>()),
    ];
    needed.extend(own.iter().cloned());
    let mut absent = vec![("device_id", reference::<Uuid>())];
    absent.extend(optional.iter().cloned());
    object(word, &needed, &absent).title(Some(word))
}
