//! Which other sites' pages may call: those on the list, spelt exactly, never a wildcard or a reflection.

use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::answer::REQUEST_ID;
use super::idempotency::{IDEMPOTENCY_KEY, REPLAYED};

pub(super) fn layer(origins: &[String]) -> CorsLayer {
    // An origin that is no header value is none that a browser sends.
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.filter(|origin| origin != "*")))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, IDEMPOTENCY_KEY])
        .expose_headers([REQUEST_ID, RETRY_AFTER, REPLAYED])
        .max_age(Duration::from_mins(10))
}
