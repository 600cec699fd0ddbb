//! The OpenAPI document: written by the routes themselves, completed here with what all of them share.

pub(crate) mod words;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use bytes::Bytes;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, PathItem, Ref, RefOr, Required, Response, ResponseBuilder};

use crate::state::RestState;

/// The scheme that all operations ask for but those that say otherwise.
const ACCESS_TOKEN: &str = "access_token";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Hubbub",
        description = "Accounts, conversations and history of a Hubbub messaging hub. Live events come over its \
                       WebSocket; what is done here is told there, and the other way round.",
    ),
    security(("access_token" = [])),
    components(schemas(crate::model::Error)),
    tags(
        (name = "auth", description = "Logins"),
        (name = "users", description = "People"),
        (name = "conversations", description = "Conversations of the caller"),
        (name = "messages", description = "Messages and their history"),
        (name = "groups", description = "Groups and their members"),
        (name = "operations", description = "Health, numbers and limits"),
    ),
)]
struct Frame;

/// The document without its paths.
pub(crate) fn frame() -> OpenApi {
    let mut document = <Frame as utoipa::OpenApi>::openapi();
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components.security_schemes.insert(ACCESS_TOKEN.to_owned(), RefOr::T(SecurityScheme::Http(bearer)));
    components.responses.insert("Error".to_owned(), RefOr::T(error_response()));
    document
}

/// Serves the document, which is written once.
pub(crate) fn serve(document: &OpenApi) -> Router<RestState> {
    let mut document = document.clone();
    for (path, item) in &mut document.paths.paths {
        complete(path, item);
    }
    // A document of names and texts always has a JSON form.
    let bytes = Bytes::from(document.to_pretty_json().unwrap_or_default());
    let json = HeaderValue::from_static("application/json");
    Router::new().route("/openapi.json", get(move || async move { ([(CONTENT_TYPE, json)], bytes) }))
}

fn complete(path: &str, item: &mut PathItem) {
    let creates = ["/conversations", "/groups", "/messages"].iter().any(|start| path.starts_with(start));
    if let Some(operation) = item.post.as_mut().filter(|_| creates) {
        operation.parameters.get_or_insert_default().push(RefOr::T(idempotency_key().build()));
    }
    operations(item).for_each(|operation| {
        for (status, response) in &mut operation.responses.responses {
            describe(status, response);
        }
        operation.responses.responses.insert("default".to_owned(), Ref::from_response_name("Error").into());
    });
}

/// OpenAPI asks for a sentence on every answer; ours follows from the status.
fn describe(status: &str, response: &mut RefOr<Response>) {
    if let RefOr::T(response) = response {
        let words = match status {
            "201" => "Made by this request.",
            "204" => "Done; there is nothing to tell.",
            _ => "Done, or found as it was.",
        };
        words.clone_into(&mut response.description);
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

fn error_response() -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    ResponseBuilder::new()
        .description("A refusal: its status follows from its code.")
        .content("application/json", content)
        .build()
}

fn idempotency_key() -> ParameterBuilder {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("1 to 255 visible characters: a repeated request gets the first one's answer for 24 hours."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255))))
}
