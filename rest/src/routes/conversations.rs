//! `/conversations`: the caller's conversations, and how far they have read.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hubbub_domain::conversation::{Command, Open, direct_conversation_id};
use hubbub_domain::identity::Caller;
use hubbub_protocol::ConversationId;
use hubbub_protocol::member::ConversationKind;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::people::check_exist;
use super::{act, created};
use crate::error::ApiResult;
use crate::extract::page::{from_cursor, page_size, to_cursor};
use crate::extract::{Body, InPath, Params};
use crate::model::conversations::{Conversation, ListPage, MarkRead, OpenDirect, ReadMark};
use crate::model::{Data, Page, data, page};
use crate::openapi::words;
use crate::state::RestState;

pub(crate) fn routes() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(list_conversations, open_direct))
        .routes(routes!(show_conversation))
        .routes(routes!(mark_read))
}

/// The caller's conversations
#[utoipa::path(get, path = "/conversations", tag = "conversations", params(ListPage),
    responses((status = 200, body = Page<Conversation>)))]
async fn list_conversations(
    State(state): State<RestState>,
    caller: Caller,
    Params(query): Params<ListPage>,
) -> ApiResult<Json<Page<Conversation>>> {
    let after = from_cursor(query.cursor.as_deref())?.map(ConversationId::from_bytes);
    let (found, next) = state.conversations().list(caller.user_id, after, page_size(query.limit)?).await?;
    Ok(page(found.into_iter().map(Into::into).collect(), next.map(|id| to_cursor(id.as_bytes()))))
}

/// Open the direct conversation with somebody, or find it
#[utoipa::path(post, path = "/conversations", tag = "conversations", request_body = OpenDirect,
    responses((status = 201, body = Data<Conversation>), (status = 200, body = Data<Conversation>)))]
async fn open_direct(
    State(state): State<RestState>,
    caller: Caller,
    Body(body): Body<OpenDirect>,
) -> ApiResult<(StatusCode, Json<Data<Conversation>>)> {
    check_exist(&state, "user_id", &[body.user_id]).await?;
    let id = direct_conversation_id(caller.user_id, body.user_id);
    let open = Open { kind: ConversationKind::Direct, name: String::new(), others: vec![body.user_id] };
    let stored = state.port().submit(id, act(&caller, Command::Open(open))).await?;
    let summary = state.conversations().summary(caller.user_id, id).await?;
    Ok((created(&stored), data(summary.into())))
}

/// A conversation
#[utoipa::path(get, path = "/conversations/{id}", tag = "conversations",
    params(("id" = words::Uuid, Path, description = "The conversation")),
    responses((status = 200, body = Data<Conversation>)))]
async fn show_conversation(
    State(state): State<RestState>,
    caller: Caller,
    InPath(id): InPath<ConversationId>,
) -> ApiResult<Json<Data<Conversation>>> {
    Ok(data(state.conversations().summary(caller.user_id, id).await?.into()))
}

/// Say how far one has read
#[utoipa::path(post, path = "/conversations/{id}/read", tag = "conversations", request_body = MarkRead,
    params(("id" = words::Uuid, Path, description = "The conversation")),
    responses((status = 200, body = Data<ReadMark>)))]
async fn mark_read(
    State(state): State<RestState>,
    caller: Caller,
    InPath(id): InPath<ConversationId>,
    Body(body): Body<MarkRead>,
) -> ApiResult<Json<Data<ReadMark>>> {
    let read_seq = state.port().mark_read(id, caller.user_id, body.seq).await?;
    Ok(data(ReadMark { read_seq }))
}
