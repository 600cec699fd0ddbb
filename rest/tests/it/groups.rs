//! Groups and their members by HTTP.

use axum::http::{Method, StatusCode};
use hubbub_protocol::limits::MAX_MEMBERS_PER_REQUEST;
use serde_json::{Value, json};

use crate::app::{Person, TestApp};

async fn roles(app: &TestApp, reader: &Person, id: &str) -> Vec<(String, String)> {
    let (mut found, mut query) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("/groups/{id}/members?limit=2{query}")).by(reader).send().await;
        let page = page.expect(StatusCode::OK);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        found.extend(page["data"].as_array().unwrap().iter().map(|m| (text(&m["user_id"]), text(&m["role"]))));
        let Some(cursor) = page["next_cursor"].as_str() else { return found };
        query = format!("&cursor={cursor}");
    }
}

#[tokio::test]
async fn a_groups_life() {
    let app = TestApp::new();
    let (ada, bob, cid) = (app.person("ada").await, app.person("bob").await, app.person("cid").await);
    let id = app.group(&ada, &[&bob]).await;
    let group = app.get(&format!("/groups/{id}")).by(&bob).send().await.expect(StatusCode::OK);
    assert_eq!(group["data"]["name"], "a group");
    assert_eq!(group["data"]["role"], "member");
    assert_eq!(group["data"]["member_count"], 2);
    assert_eq!(group["data"]["peer_id"], Value::Null);

    let change = json!({"name": "another", "description": "of two"});
    app.call(Method::PATCH, &format!("/groups/{id}")).by(&bob).json(&change).send().await.refusal("forbidden");
    let changed = app.call(Method::PATCH, &format!("/groups/{id}")).by(&ada).json(&change).send().await;
    assert_eq!(changed.expect(StatusCode::OK)["data"]["name"], "another");

    let members = format!("/groups/{id}/members");
    let add = json!({"user_ids": [cid.id, bob.id]});
    app.post(&members, &add).by(&bob).send().await.refusal("forbidden");
    let added = app.post(&members, &add).by(&ada).send().await.expect(StatusCode::OK);
    assert_eq!(added["data"], json!({"conversation_seq": 3, "changed": true}));
    let again = app.post(&members, &add).by(&ada).send().await.expect(StatusCode::OK);
    assert_eq!(again["data"]["changed"], false, "those who are members already are passed over");

    let rank = json!({"role": "admin"});
    let path = format!("/groups/{id}/members/{}", bob.id);
    app.call(Method::PATCH, &path).by(&cid).json(&rank).send().await.refusal("forbidden");
    app.call(Method::PATCH, &path).by(&ada).json(&rank).send().await.expect(StatusCode::OK);
    let path = format!("/groups/{id}/members/{}", cid.id);
    app.call(Method::DELETE, &path).by(&bob).send().await.expect(StatusCode::OK);
    app.get(&format!("/groups/{id}")).by(&cid).send().await.refusal("not_found");

    app.call(Method::POST, &format!("/groups/{id}/leave")).by(&ada).send().await.refusal("conflict");
    let heir = json!({"user_id": bob.id});
    let handed = app.post(&format!("/groups/{id}/transfer"), &heir).by(&ada).send().await.expect(StatusCode::OK);
    assert_eq!(handed["data"]["role"], "admin");
    app.call(Method::POST, &format!("/groups/{id}/leave")).by(&ada).send().await.expect(StatusCode::OK);
    assert_eq!(roles(&app, &bob, &id).await, [(bob.id.clone(), "owner".to_owned())]);
    app.get(&format!("/conversations/{id}/messages")).by(&ada).send().await.refusal("not_found");
}

#[tokio::test]
async fn members_are_listed_in_pages_without_a_hole() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let mut expected = vec![ada.id.clone()];
    let mut others = Vec::new();
    for name in ["bob", "cid", "dan", "eve"] {
        others.push(app.person(name).await);
    }
    expected.extend(others.iter().map(|person| person.id.clone()));
    expected.sort();
    let id = app.group(&ada, &others.iter().collect::<Vec<_>>()).await;
    let listed: Vec<_> = roles(&app, &ada, &id).await.into_iter().map(|(user, _)| user).collect();
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn a_list_of_members_names_only_people() {
    let app = TestApp::new();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let ghosts: Vec<_> = (1..=12).map(|number| uuid::Uuid::from_u128(number).to_string()).collect();
    let body = json!({"name": "g", "member_ids": [bob.id, ghosts[0]]});
    let error = app.post("/groups", &body).by(&ada).send().await.refusal("validation_failed");
    assert_eq!(error["params"], json!({"field": "member_ids", "unknown": ghosts[0]}));
    let id = app.group(&ada, &[]).await;
    let members = format!("/groups/{id}/members");
    let answer = app.post(&members, &json!({"user_ids": ghosts})).by(&ada).send().await;
    let error = answer.refusal("validation_failed");
    assert_eq!(error["params"]["unknown"], ghosts[..10].join(","), "BOUNDED");
    app.post(&members, &json!({"user_ids": []})).by(&ada).send().await.refusal("validation_failed");
    let crowd: Vec<_> =
        (0..=MAX_MEMBERS_PER_REQUEST as u128).map(|number| uuid::Uuid::from_u128(number).to_string()).collect();
    let error = app.post(&members, &json!({"user_ids": crowd})).by(&ada).send().await.refusal("too_large");
    assert_eq!(error["params"]["limit"], "max_members_per_request");
    assert_eq!(error["params"]["max"], MAX_MEMBERS_PER_REQUEST);
}

#[tokio::test]
async fn a_direct_conversation_is_no_group() {
    let app = TestApp::new();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let id = app.direct(&ada, &bob).await;
    app.get(&format!("/groups/{id}")).by(&ada).send().await.refusal("not_found");
    app.get(&format!("/groups/{id}/members")).by(&ada).send().await.refusal("not_found");
    app.call(Method::POST, &format!("/groups/{id}/leave")).by(&ada).send().await.refusal("conflict");
}

#[tokio::test]
async fn who_joins_later_reads_from_there_on() {
    let app = TestApp::new();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let id = app.group(&ada, &[]).await;
    app.message(&ada, &id, 1).await;
    let add = json!({"user_ids": [bob.id]});
    app.post(&format!("/groups/{id}/members"), &add).by(&ada).send().await.expect(StatusCode::OK);
    app.message(&ada, &id, 2).await;
    let page = app.get(&format!("/conversations/{id}/messages?after_seq=0")).by(&bob).send().await;
    let page = page.expect(StatusCode::OK);
    let seen: Vec<_> = page["data"].as_array().unwrap().iter().map(|event| event["conversation_seq"].clone()).collect();
    assert_eq!(seen, [3, 4], "MEMBERS-ONLY");
}
