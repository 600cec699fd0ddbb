//! The outermost layer: what all answers have in common, whether they come from a handler, the router or a panic.
//!
//! Names no query, no header and no body in the log: what is written there is a method, a route's template and numbers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use hubbub_protocol::error::Param;
use hubbub_protocol::{ErrorBody, ErrorCode};
use uuid::Uuid;

use crate::error::{ErrorEnvelope, Refusal};
use crate::state::{CookieSecure, Settings};

/// Under which every request is found in the log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const ONE_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

pub(crate) async fn answer(State(settings): State<Arc<Settings>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let request_id = Uuid::now_v7().to_string();
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    let refusal = response.extensions_mut().remove::<Refusal>().map(|Refusal(body)| body);
    let code = refusal.as_ref().map(|body| body.code);
    if let Some(body) = refusal {
        write_refusal(&mut response, body, &request_id);
    }
    set_headers(response.headers_mut(), &request_id, settings.cookie_secure);
    let route = route_label(route.as_ref());
    report(method, route, response.status(), code, begun.elapsed(), &request_id);
    response
}

/// The same resource is mounted twice; both count as one.
pub(crate) fn route_label(route: Option<&MatchedPath>) -> &str {
    route.map_or("unmatched", |matched| matched.as_str().strip_prefix("/api").unwrap_or(matched.as_str()))
}

/// A method is whatever a client writes: unknown ones share a label, so that their number is bounded.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn write_refusal(response: &mut Response, mut body: ErrorBody, request_id: &str) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(Param::Number(seconds)) = body.params.get("retry_after") {
        headers.insert(RETRY_AFTER, HeaderValue::from(*seconds));
    } else if body.code.retryable() && matches!(body.code.status(), 409 | 503) {
        headers.insert(RETRY_AFTER, HeaderValue::from(1));
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    body.request_id = Some(request_id.to_owned());
    // An error body is text and numbers: it always has a JSON form.
    let bytes = serde_json::to_vec(&ErrorEnvelope { error: &body }).unwrap_or_default();
    response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(bytes);
}

/// An API's answers are not to be kept, framed or taken for anything else; Swagger UI brings a policy of its own.
fn set_headers(headers: &mut HeaderMap, request_id: &str, secure: CookieSecure) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(API_POLICY);
    if secure == CookieSecure::Always {
        headers.insert(STRICT_TRANSPORT_SECURITY, ONE_YEAR);
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
}

fn report(
    method: &'static str,
    route: &str,
    status: StatusCode,
    code: Option<ErrorCode>,
    elapsed: Duration,
    request_id: &str,
) {
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.as_str().to_owned())];
    metrics::counter!("hubbub_http_requests_total", &labels).increment(1);
    metrics::histogram!("hubbub_http_request_seconds", &labels[..2]).record(elapsed.as_secs_f64());
    let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    let error = code.map(ErrorCode::as_str);
    if code == Some(ErrorCode::Internal) {
        tracing::error!(request.id = request_id, method, route, status = status.as_u16(), error, elapsed_us, "request");
    } else {
        tracing::info!(request.id = request_id, method, route, status = status.as_u16(), error, elapsed_us, "request");
    }
}
