//! Conversations by HTTP: opening, listing, read marks.

use axum::http::StatusCode;
use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn a_direct_conversation_is_opened_once_and_found_by_both() {
    let app = TestApp::new();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let opened = app.post("/conversations", &json!({"user_id": bob.id})).by(&ada).send().await;
    let opened = opened.expect(StatusCode::CREATED);
    assert_eq!(opened["data"]["kind"], "direct");
    assert_eq!(opened["data"]["peer_id"], bob.id);
    assert_eq!(opened["data"]["head_seq"], 1);
    assert_eq!(opened["data"]["last_event"]["type"], "conversation.opened");
    let found = app.post("/conversations", &json!({"user_id": ada.id})).by(&bob).send().await.expect(StatusCode::OK);
    assert_eq!(found["data"]["conversation_id"], opened["data"]["conversation_id"]);
    assert_eq!(found["data"]["head_seq"], 1, "finding it stores nothing");
}

#[tokio::test]
async fn nobody_talks_to_nobody_or_to_themselves() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let nobody = uuid::Uuid::from_u128(1).to_string();
    let answer = app.post("/conversations", &json!({"user_id": nobody})).by(&ada).send().await;
    let error = answer.refusal("validation_failed");
    assert_eq!(error["params"]["field"], "user_id");
    assert_eq!(error["params"]["unknown"], nobody);
    app.post("/conversations", &json!({"user_id": ada.id})).by(&ada).send().await.refusal("validation_failed");
}

#[tokio::test]
async fn a_list_pages_through_all_conversations_and_no_others() {
    let app = TestApp::new();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut ids = vec![app.direct(&ada, &bob).await];
    for _ in 0..4 {
        ids.push(app.group(&ada, &[]).await);
    }
    app.group(&bob, &[]).await;
    ids.sort();
    let (mut seen, mut path) = (Vec::new(), "/conversations?limit=2".to_owned());
    loop {
        let page = app.get(&path).by(&ada).send().await.expect(StatusCode::OK);
        let items = page["data"].as_array().unwrap();
        assert!(items.len() <= 2, "BOUNDED");
        seen.extend(items.iter().map(|item| item["conversation_id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/conversations?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn limits_and_cursors_that_are_none_are_refused() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    for query in
        ["limit=0", "limit=201", "limit=1000000000", "limit=-1", "limit=x", "cursor=x", "cursor=AAAA", "curser=x"]
    {
        let answer = app.get(&format!("/conversations?{query}")).by(&ada).send().await;
        answer.refusal("validation_failed");
    }
    let error = app.get("/conversations?limit=201").by(&ada).send().await.refusal("validation_failed");
    assert_eq!(error["params"], json!({"field": "limit", "limit": "max_page", "max": 200}));
}

#[tokio::test]
async fn read_marks_move_forward_and_not_beyond_the_newest() {
    let app = TestApp::new();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let id = app.direct(&ada, &bob).await;
    for number in 1..=3 {
        app.message(&ada, &id, number).await;
    }
    let path = format!("/conversations/{id}/read");
    let mark = |seq: u64| app.post(&path, &json!({"seq": seq})).by(&bob).send();
    assert_eq!(mark(3).await.expect(StatusCode::OK)["data"]["read_seq"], 3);
    assert_eq!(mark(2).await.expect(StatusCode::OK)["data"]["read_seq"], 3, "marks only move forward");
    mark(5).await.refusal("validation_failed");
    let seen = app.get(&format!("/conversations/{id}")).by(&bob).send().await.expect(StatusCode::OK);
    assert_eq!(seen["data"]["read_seq"], 3);
    assert_eq!(seen["data"]["head_seq"], 4);
    let seen = app.get(&format!("/conversations/{id}")).by(&ada).send().await.expect(StatusCode::OK);
    assert_eq!(seen["data"]["read_seq"], 0, "each has their own");
}
