//! The OpenAPI document: what is served is what is checked in, and it is true.

use std::collections::BTreeSet;
use std::path::PathBuf;

use axum::http::{Method, StatusCode};
use hubbub_protocol::ErrorCode;
use serde_json::Value;

use crate::app::TestApp;

fn checked_in() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json")
}

pub(crate) async fn document(app: &TestApp) -> Value {
    app.get("/openapi.json").send().await.expect(StatusCode::OK)
}

#[tokio::test]
async fn the_checked_in_document_is_the_served_one() {
    let app = TestApp::new();
    let served = app.get("/openapi.json").send().await.text() + "\n";
    let path = checked_in();
    if std::env::var_os("HUBBUB_UPDATE").is_some() {
        std::fs::write(&path, &served).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == served,
        "docs/openapi.json is stale: write it anew with `HUBBUB_UPDATE=1 cargo test -p hubbub-rest openapi`"
    );
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let document = document(&TestApp::new()).await;
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(references.len() > 20, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference.clone());
            }
            fields.values().for_each(|field| collect(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// Every operation of the document, as method and path.
pub(crate) fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let mut found = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            if let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) {
                found.push((method, path.clone(), operation.clone()));
            }
        }
    }
    found
}

#[tokio::test]
async fn what_asks_for_a_login_says_so_and_the_rest_does_not() {
    let app = TestApp::new();
    let document = document(&app).await;
    assert_eq!(document["security"], serde_json::json!([{"access_token": []}]));
    for (method, path, operation) in operations(&document) {
        let path = path.replace("{id}", &uuid::Uuid::from_u128(1).to_string());
        let path = path.replace("{user_id}", &uuid::Uuid::from_u128(2).to_string());
        let public = operation["security"] == serde_json::json!([{}]) || operation["security"] == serde_json::json!([]);
        for path in [path.clone(), format!("/api{path}")] {
            let answer = app.call(method.clone(), &path).send().await;
            let asked = answer.status == StatusCode::UNAUTHORIZED && answer.json()["error"]["code"] == "missing_token";
            assert_eq!(asked, !public, "{method} {path}: {}", answer.text());
            assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_operation_is_described_and_may_fail_in_the_one_shape() {
    let document = document(&TestApp::new()).await;
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{method} {path}");
        assert_eq!(operation["responses"]["default"]["$ref"], "#/components/responses/Error", "{method} {path}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            let described = response.get("$ref").or(response.get("description"));
            assert!(described.is_some_and(|text| text != ""), "{method} {path} {status}");
        }
        assert!(names.insert(operation["operationId"].to_string()), "{} twice", operation["operationId"]);
    }
    assert!(names.len() >= 28, "{names:?}");
    let codes = document["components"]["schemas"]["ErrorCode"]["enum"].as_array().unwrap();
    assert_eq!(codes.len(), ErrorCode::ALL.len());
}
