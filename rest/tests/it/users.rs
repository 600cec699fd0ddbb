//! Profiles by HTTP.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn others_see_the_public_part_and_oneself_all() {
    let app = TestApp::new();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let own = app.get("/users/me").by(&ada).send().await.expect(StatusCode::OK);
    assert_eq!(own["data"]["email"], "ada@example.org");
    let seen = app.get(&format!("/users/{}", ada.id)).by(&bob).send().await.expect(StatusCode::OK);
    let names: Vec<_> = seen["data"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["avatar_url", "created_at", "description", "display_name", "handle", "user_id"]);
    let nobody = format!("/users/{}", uuid::Uuid::from_u128(1));
    app.get(&nobody).by(&bob).send().await.refusal("not_found");
}

#[tokio::test]
async fn a_profile_changes_where_it_is_told_to() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let change = |body: serde_json::Value| app.call(Method::PATCH, "/users/me").by(&ada).json(&body).send();
    let changed = change(json!({"display_name": "Countess", "description": "counts"})).await.expect(StatusCode::OK);
    assert_eq!(changed["data"]["display_name"], "Countess");
    assert_eq!(changed["data"]["description"], "counts");
    assert_eq!(changed["data"]["handle"], "ada", "what is left out stays");
    let changed = change(json!({"avatar_url": "https://example.org/a.png"})).await.expect(StatusCode::OK);
    assert_eq!(changed["data"]["avatar_url"], "https://example.org/a.png");
    let changed = change(json!({"avatar_url": ""})).await.expect(StatusCode::OK);
    assert_eq!(changed["data"]["avatar_url"], json!(null));
}

#[tokio::test]
async fn nobody_sets_what_is_not_theirs_to_set() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    for field in ["user_id", "email", "created_at", "password_hash", "failed_logins", "locked_until", "role"] {
        let body = json!({field: "x"});
        let answer = app.call(Method::PATCH, "/users/me").by(&ada).json(&body).send().await;
        let error = answer.refusal("validation_failed");
        assert!(error["message"].as_str().unwrap().contains(field), "{error}");
    }
}

#[tokio::test]
async fn a_search_finds_by_the_beginning_of_a_handle() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    for name in ["adele", "bob", "adam"] {
        app.person(name).await;
    }
    let found = app.get("/users/search?q=ad").by(&ada).send().await.expect(StatusCode::OK);
    let handles: Vec<_> = found["data"].as_array().unwrap().iter().map(|user| user["handle"].clone()).collect();
    assert_eq!(handles, ["ada", "adam", "adele"]);
    let found = app.get("/users/search?q=ad&limit=2").by(&ada).send().await.expect(StatusCode::OK);
    assert_eq!(found["data"].as_array().unwrap().len(), 2);
    app.get("/users/search").by(&ada).send().await.refusal("validation_failed");
    app.get("/users/search?q=ad").send().await.refusal("missing_token");
}
