//! `Idempotency-Key`: a repeated POST gets the first one's answer instead of being done twice (ONCE).
//!
//! | Case | Answer |
//! | --- | --- |
//! | no key | an ordinary request |
//! | first | done; its answer is kept for [`KEPT_MS`] under person, method, path and key |
//! | repeated, same body | the kept answer, with `Idempotency-Replayed: true` |
//! | repeated while the first runs | `request_in_progress` |
//! | repeated, another body | `idempotency_mismatch` |
//! | the first failed for a reason that can pass, or its process died | done: the key is free again |
//!
//! A first try of unknown outcome frees the key too; that the second does not double it is seen to by [`ActSeed`], from
//! which handlers derive the ids of what they create. Messages have their `client_message_id` besides, without a limit of
//! time. BOUNDED: each new key looks at two neighbours and drops those that are over, so a person's rows stay below twice
//! what one day's requests make, and those are rate-limited.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hubbub_domain::identity::Caller;
use hubbub_domain::refusal::never_stored;
use hubbub_protocol::limits::MAX_BODY_BYTES;
use hubbub_protocol::{ErrorBody, ErrorCode, UserId};
use hubbub_storage::families::idempotency::{IdempotencyKey, KeptAnswer};
use hubbub_storage::records::{Expect, Version, Written};
use sha2::{Digest, Sha256};

use crate::error::{ApiError, ApiResult, Refusal};
use crate::extract::body::read_body;
use crate::state::RestState;

/// The request's key.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is a kept one.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// An answer is kept for a day.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// A claim that was not settled after so many deadlines is a dead request's: it ended with its process, or its client
/// went away.
const LEASE_DEADLINES: u32 = 2;
/// How often one meets another who takes the same key, before saying that it is taken.
const TRIES: usize = 4;
const KEY_BYTES_MAX: usize = 255;
/// Rows each new key looks at for ones that are over.
const SWEPT_ROWS: usize = 2;

/// The same for a request and its repetitions, and for no other: a seed for the ids of what it creates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ActSeed(pub(crate) [u8; 32]);

pub(crate) async fn idempotency(State(state): State<RestState>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(IDEMPOTENCY_KEY) {
        return next.run(request).await;
    }
    serve_once(&state, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

/// A key's place in the store, and what it was used for.
struct Claim<'a> {
    state: &'a RestState,
    user_id: UserId,
    sort: String,
    body_sha256: [u8; 32],
}

enum Found {
    Mine(Version),
    Kept(KeptAnswer),
}

async fn serve_once(state: &RestState, request: Request, next: Next) -> ApiResult<Response> {
    let (mut parts, body) = request.into_parts();
    let key = key_of(&parts)?;
    let caller = Caller::from_request_parts(&mut parts, state).await?;
    let bytes = read_body(&parts.headers, body, state.settings().body_deadline).await?;
    let path = parts.uri.path();
    let path = path.strip_prefix("/api").unwrap_or(path);
    let claim = Claim {
        state,
        user_id: caller.user_id,
        sort: format!("POST {path} {key}"),
        body_sha256: Sha256::digest(&bytes).into(),
    };
    let version = match claim.take().await? {
        Found::Kept(answer) => return Ok(replay(answer)),
        Found::Mine(version) => version,
    };
    parts.extensions.insert(claim.seed());
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    Ok(claim.settle(version, response).await)
}

fn key_of(parts: &axum::http::request::Parts) -> ApiResult<String> {
    let value = parts.headers.get(IDEMPOTENCY_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let visible = !value.is_empty() && value.len() <= KEY_BYTES_MAX && value.iter().all(u8::is_ascii_graphic);
    let text = visible.then(|| String::from_utf8_lossy(value).into_owned());
    text.ok_or_else(|| {
        let message = format!("`Idempotency-Key` has 1 to {KEY_BYTES_MAX} visible ASCII characters");
        ApiError::field("Idempotency-Key", message)
    })
}

impl Claim<'_> {
    fn row(&self, answer: Option<KeptAnswer>) -> IdempotencyKey {
        IdempotencyKey { body_sha256: self.body_sha256, begun_at: self.state.clock().now(), answer }
    }

    fn seed(&self) -> ActSeed {
        let digest = Sha256::new()
            .chain_update(b"hubbub idempotent act v1")
            .chain_update(self.user_id.as_bytes())
            .chain_update(self.body_sha256)
            .chain_update(self.sort.as_bytes());
        ActSeed(digest.finalize().into())
    }

    async fn take(&self) -> ApiResult<Found> {
        let table = self.state.idempotency();
        let mut expect = Expect::Absent;
        for _ in 0..TRIES {
            let row = self.row(None);
            let written = table.put(&self.user_id, &self.sort, &row, expect).await;
            if let Written::Done(version) = written.map_err(|error| never_stored(&error))? {
                self.sweep().await;
                return Ok(Found::Mine(version));
            }
            let found = table.get(&self.user_id, &self.sort).await.map_err(|error| never_stored(&error))?;
            let Some(found) = found else {
                expect = Expect::Absent;
                continue;
            };
            if let Some(answer) = self.look_at(found.value)? {
                return Ok(Found::Kept(answer));
            }
            expect = Expect::Version(found.version);
        }
        Err(in_progress())
    }

    /// The answer kept by an earlier use of the key; none if that is over.
    fn look_at(&self, row: IdempotencyKey) -> ApiResult<Option<KeptAnswer>> {
        if self.is_over(&row) {
            return Ok(None);
        }
        if row.body_sha256 != self.body_sha256 {
            let message = "this `Idempotency-Key` came with another body before: take a new one for another request";
            return Err(ApiError::new(ErrorCode::IdempotencyMismatch, message));
        }
        row.answer.map(Some).ok_or_else(in_progress)
    }

    fn is_over(&self, row: &IdempotencyKey) -> bool {
        let lease = self.state.settings().deadline * LEASE_DEADLINES;
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(KEPT_MS);
        let life_ms = if row.answer.is_some() { KEPT_MS } else { lease_ms };
        self.state.clock().now() > row.begun_at.plus_ms(life_ms)
    }

    /// Keeps the answer, or frees the key if a repetition may end otherwise. The act is done by now: a store that fails
    /// here changes nothing of that, the claim then ends with its lease.
    async fn settle(&self, version: Version, response: Response) -> Response {
        let table = self.state.idempotency();
        let (response, kept) = split(response).await;
        let settled = match kept {
            Some(answer) => {
                let row = self.row(Some(answer));
                table.put(&self.user_id, &self.sort, &row, Expect::Version(version)).await
            }
            None => table.delete(&self.user_id, &self.sort, Expect::Version(version)).await,
        };
        if let Err(error) = settled {
            tracing::warn!(%error, "an idempotency key was not settled");
        }
        response
    }

    /// Drops neighbours that are over. Best effort: what is left is met by another key.
    async fn sweep(&self) {
        let table = self.state.idempotency();
        let Ok(rows) = table.list(&self.user_id, Some(&self.sort), SWEPT_ROWS).await else { return };
        for row in rows.into_iter().filter(|row| self.is_over(&row.value)) {
            if table.delete(&self.user_id, &row.sort, Expect::Version(row.version)).await.is_err() {
                return;
            }
        }
    }
}

fn in_progress() -> ApiError {
    let message = "the first request with this `Idempotency-Key` is still being served: ask again in a second";
    ApiError(ErrorBody::new(ErrorCode::RequestInProgress, message).with("retry_after", 1_u64))
}

/// The answer to send, and the one to keep: a success, or a refusal that time does not heal.
async fn split(response: Response) -> (Response, Option<KeptAnswer>) {
    let status = response.status().as_u16();
    if let Some(Refusal(body)) = response.extensions().get() {
        let kept = !body.code.retryable() && body.code.status() != 401;
        let bytes = kept.then(|| serde_json::to_vec(body).ok()).flatten();
        return (response, bytes.map(|body| KeptAnswer { status, body }));
    }
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_BODY_BYTES).await else {
        return (ApiError::new(ErrorCode::Internal, "the answer could not be kept").into_response(), None);
    };
    let kept = parts.status.is_success().then(|| KeptAnswer { status, body: bytes.to_vec() });
    (Response::from_parts(parts, Body::from(bytes)), kept)
}

fn replay(answer: KeptAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = if status.is_success() {
        let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        (status, json, answer.body).into_response()
    } else {
        match serde_json::from_slice::<ErrorBody>(&answer.body) {
            Ok(body) => ApiError(body).into_response(),
            Err(_) => ApiError::new(ErrorCode::Internal, "the kept answer could not be read").into_response(),
        }
    };
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
