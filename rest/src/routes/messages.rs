//! Messages: sent and read under their conversation, recalled and reacted to under their own id.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hubbub_domain::conversation::{Act, Command, React, Recall};
use hubbub_domain::conversations::HistoryQuery;
use hubbub_domain::identity::Caller;
use hubbub_protocol::record::{Message, ReactionChange};
use hubbub_protocol::{ConversationId, MessageId, Sequence};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{act, created};
use crate::error::{ApiError, ApiResult};
use crate::extract::page::page_size;
use crate::extract::{Body, InPath, Params};
use crate::model::conversations::Done;
use crate::model::messages::{Direction, History, HistoryPage, NewMessage, Reaction, ReactionAction, Sent};
use crate::model::{Data, data};
use crate::openapi::words;
use crate::state::RestState;

pub(crate) fn routes() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(list_messages, send_message))
        .routes(routes!(recall_message))
        .routes(routes!(react_to_message))
}

/// A page of a conversation's history
#[utoipa::path(get, path = "/conversations/{id}/messages", tag = "messages",
    params(("id" = words::Uuid, Path, description = "The conversation"), HistoryPage),
    responses((status = 200, body = History)))]
async fn list_messages(
    State(state): State<RestState>,
    caller: Caller,
    InPath(id): InPath<ConversationId>,
    Params(query): Params<HistoryPage>,
) -> ApiResult<Json<History>> {
    let limit = page_size(query.limit)?;
    let direction = query.direction()?;
    let bounds = match direction {
        Direction::Before(before) => HistoryQuery { before, after: None, limit: Some(limit) },
        Direction::After(after) => HistoryQuery { before: None, after: Some(after), limit: Some(limit) },
    };
    let found = state.conversations().history(caller.user_id, id, bounds).await?;
    Ok(Json(History::of(&found, direction, limit)))
}

/// Send a message
///
/// Answered once it is on disk. Repeat a send whose outcome you do not know with the same `client_message_id`: it is
/// stored once, and 200 instead of 201 says that it was there.
#[utoipa::path(post, path = "/conversations/{id}/messages", tag = "messages", request_body = NewMessage,
    params(("id" = words::Uuid, Path, description = "The conversation")),
    responses((status = 201, body = Data<Sent>), (status = 200, body = Data<Sent>)))]
async fn send_message(
    State(state): State<RestState>,
    caller: Caller,
    InPath(id): InPath<ConversationId>,
    Body(body): Body<NewMessage>,
) -> ApiResult<(StatusCode, Json<Data<Sent>>)> {
    let client_message_id = body.client_message_id;
    let message = Message {
        content_type: body.content_type,
        payload: body.encrypted_payload,
        reply_to: reply_to(id, body.reply_to)?,
        epoch: body.epoch,
    };
    let act = Act {
        author: caller.author(),
        client_message_id: Some(client_message_id),
        command: Command::Send(message.into()),
    };
    let stored = state.port().submit(id, act).await?;
    let sent = Sent {
        message_id: MessageId::new(id, stored.first),
        client_message_id,
        conversation_seq: stored.first,
        created_at: stored.created_at,
    };
    Ok((created(&stored), data(sent)))
}

fn reply_to(id: ConversationId, message: Option<MessageId>) -> ApiResult<Option<Sequence>> {
    match message {
        Some(message) if message.conversation_id != id => {
            Err(ApiError::field("reply_to", "`reply_to` names a message of another conversation"))
        }
        message => Ok(message.map(|message| message.sequence)),
    }
}

/// Take a message back
#[utoipa::path(post, path = "/messages/{id}/recall", tag = "messages",
    params(("id" = words::MessageId, Path, description = "The message")),
    responses((status = 200, body = Data<Done>)))]
async fn recall_message(
    State(state): State<RestState>,
    caller: Caller,
    InPath(id): InPath<MessageId>,
) -> ApiResult<Json<Data<Done>>> {
    let command = Command::Recall(Recall { target: id.sequence });
    Ok(data(state.port().submit(id.conversation_id, act(&caller, command)).await?.into()))
}

/// Put a reaction to a message, or take it away
#[utoipa::path(post, path = "/messages/{id}/reactions", tag = "messages", request_body = Reaction,
    params(("id" = words::MessageId, Path, description = "The message")),
    responses((status = 200, body = Data<Done>)))]
async fn react_to_message(
    State(state): State<RestState>,
    caller: Caller,
    InPath(id): InPath<MessageId>,
    Body(body): Body<Reaction>,
) -> ApiResult<Json<Data<Done>>> {
    let change = match body.action {
        ReactionAction::Add => ReactionChange::Added,
        ReactionAction::Remove => ReactionChange::Removed,
    };
    let command = Command::React(React { target: id.sequence, emoji: body.emoji, change });
    Ok(data(state.port().submit(id.conversation_id, act(&caller, command)).await?.into()))
}
