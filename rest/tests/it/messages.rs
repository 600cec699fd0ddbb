//! Messages by HTTP, and that history is what sockets are told.

use axum::http::{Method, StatusCode};
use hubbub_protocol::Sequence;
use hubbub_protocol::frame::server::Event;
use hubbub_storage::log::Range;
use serde_json::{Value, json};

use crate::app::{Person, TestApp, message};

/// The objects that sockets get for this conversation, straight from its log.
async fn events(app: &TestApp, conversation: &str) -> Vec<String> {
    let id = conversation.parse().unwrap();
    let records = app.store.log.read(id, Range::After(Sequence::ZERO), 1000).await.unwrap();
    records.iter().map(|record| serde_json::to_string(&Event::of(record)).unwrap()).collect()
}

/// A conversation in which everything has happened.
async fn eventful(app: &TestApp, ada: &Person, bob: &Person) -> String {
    let id = app.group(ada, &[bob]).await;
    let first = app.message(ada, &id, 1).await;
    let mut answer = message(2);
    answer["reply_to"] = json!(first);
    answer["epoch"] = json!(7);
    let path = format!("/conversations/{id}/messages");
    app.post(&path, &answer).by(bob).send().await.expect(StatusCode::CREATED);
    let react = json!({"emoji": "👍", "action": "add"});
    app.post(&format!("/messages/{first}/reactions"), &react).by(bob).send().await.expect(StatusCode::OK);
    app.call(Method::POST, &format!("/messages/{first}/recall")).by(ada).send().await.expect(StatusCode::OK);
    let change = json!({"description": "all of it"});
    app.call(Method::PATCH, &format!("/groups/{id}")).by(ada).json(&change).send().await.expect(StatusCode::OK);
    let member = format!("/groups/{id}/members/{}", bob.id);
    app.call(Method::PATCH, &member).by(ada).json(&json!({"role": "admin"})).send().await.expect(StatusCode::OK);
    app.call(Method::DELETE, &member).by(ada).send().await.expect(StatusCode::OK);
    let add = json!({"user_ids": [bob.id]});
    app.post(&format!("/groups/{id}/members"), &add).by(ada).send().await.expect(StatusCode::OK);
    id
}

/// Reads pages until there is none, by cursor; the text of each event.
async fn pages(app: &TestApp, reader: &Person, first: &str, id: &str) -> Vec<Vec<String>> {
    let (mut found, mut query) = (Vec::new(), first.to_owned());
    loop {
        let answer = app.get(&format!("/conversations/{id}/messages?{query}")).by(reader).send().await;
        let page: Page = serde_json::from_slice(&answer.bytes).unwrap();
        found.push(page.data.iter().map(|event| event.get().to_owned()).collect());
        let Some(cursor) = page.next_cursor else { return found };
        query = format!("limit=3&cursor={cursor}");
    }
}

#[derive(serde::Deserialize)]
struct Page {
    data: Vec<Box<serde_json::value::RawValue>>,
    next_cursor: Option<String>,
}

#[tokio::test]
async fn history_both_ways_is_byte_for_byte_what_sockets_are_told() {
    let app = TestApp::new();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let id = eventful(&app, &ada, &bob).await;
    let told = events(&app, &id).await;
    assert!(told.len() >= 8, "one of each kind");

    let forward = pages(&app, &ada, "after_seq=0&limit=3", &id).await;
    assert!(forward.iter().all(|page| !page.is_empty()), "the last page says that it is the last");
    assert_eq!(forward.concat(), told, "GAPLESS upwards");
    let mut backward = pages(&app, &ada, "limit=3", &id).await;
    backward.reverse();
    assert_eq!(backward.concat(), told, "GAPLESS downwards");

    let page = app.get(&format!("/conversations/{id}/messages?before_seq=3&limit=1")).by(&ada).send().await;
    let page = page.expect(StatusCode::OK);
    assert_eq!(page["data"][0]["conversation_seq"], 2);
    assert_eq!(page["head_seq"], told.len());
    let end = app.get(&format!("/conversations/{id}/messages?after_seq={}", told.len())).by(&ada).send().await;
    let end = end.expect(StatusCode::OK);
    assert_eq!((&end["data"], &end["next_cursor"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_page_of_large_messages_is_cut_and_its_cursor_goes_on() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let id = app.group(&ada, &[]).await;
    let path = format!("/conversations/{id}/messages");
    for number in 1..=20 {
        let mut large = message(number);
        large["encrypted_payload"] = json!("AAAA".repeat(21_845));
        app.post(&path, &large).by(&ada).send().await.expect(StatusCode::CREATED);
    }
    let told = events(&app, &id).await;
    let forward = pages(&app, &ada, "after_seq=0&limit=50", &id).await;
    assert!(forward[0].len() < told.len(), "BOUNDED");
    assert_eq!(forward.concat(), told);
    let mut backward = pages(&app, &ada, "limit=50", &id).await;
    assert!(backward[0].len() < told.len(), "BOUNDED");
    backward.reverse();
    assert_eq!(backward.concat(), told);
}

#[tokio::test]
async fn a_repeated_send_is_stored_once_and_says_so() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let id = app.group(&ada, &[]).await;
    let path = format!("/conversations/{id}/messages");
    let first = app.post(&path, &message(1)).by(&ada).send().await.expect(StatusCode::CREATED);
    app.message(&ada, &id, 2).await;
    app.clock.advance_ms(3_600_000 * 48);
    let ada = Person::of(
        &app.post("/auth/refresh", &json!({"refresh_token": ada.refresh_token})).send().await.expect(StatusCode::OK),
    );
    let again = app.post(&path, &message(1)).by(&ada).send().await.expect(StatusCode::OK);
    assert_eq!(again, first, "ONCE: the first sequence, however late");
    let mut other = message(1);
    other["encrypted_payload"] = json!("b3RoZXI=");
    app.post(&path, &other).by(&ada).send().await.refusal("idempotency_mismatch");
    assert_eq!(events(&app, &id).await.len(), 3);
}

#[tokio::test]
async fn what_is_no_message_is_refused_with_its_limit() {
    let app = TestApp::new();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (id, other) = (app.group(&ada, &[]).await, app.direct(&ada, &bob).await);
    // Both have a second record, so that the id's conversation alone tells them apart.
    let (foreign, _) = (app.message(&ada, &other, 9).await, app.message(&ada, &id, 8).await);
    let path = format!("/conversations/{id}/messages");
    let send = async |field: &str, value: Value| {
        let mut body = message(1);
        body[field] = value;
        app.post(&path, &body).by(&ada).send().await
    };
    let error = send("encrypted_payload", json!("AAAA".repeat(21_846))).await.refusal("too_large");
    assert_eq!(error["params"]["limit"], "max_payload_bytes");
    let error = send("content_type", json!("x".repeat(65))).await.refusal("too_large");
    assert_eq!(error["params"]["limit"], "max_content_type_bytes");
    send("encrypted_payload", json!("")).await.refusal("validation_failed");
    send("encrypted_payload", json!("not base64!")).await.refusal("validation_failed");
    send("client_message_id", json!("short")).await.refusal("validation_failed");
    send("client_message_id", Value::Null).await.refusal("validation_failed");
    send("epoch", json!(-1)).await.refusal("validation_failed");
    send("sender_id", json!(bob.id)).await.refusal("validation_failed");
    let error = send("reply_to", json!(foreign)).await.refusal("validation_failed");
    assert_eq!(error["params"]["field"], "reply_to");
    assert_eq!(events(&app, &id).await.len(), 2, "HONEST: nothing refused is found later");
}

#[tokio::test]
async fn a_recall_erases_and_has_its_time() {
    let app = TestApp::new();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let id = app.direct(&ada, &bob).await;
    let (early, late) = (app.message(&ada, &id, 1).await, app.message(&ada, &id, 2).await);
    let recall =
        |message: &str, by: &Person| app.call(Method::POST, &format!("/messages/{message}/recall")).by(by).send();
    recall(&early, &bob).await.refusal("forbidden");
    let done = recall(&early, &ada).await.expect(StatusCode::OK);
    assert_eq!(done["data"], json!({"conversation_seq": 4, "changed": true}));
    let again = recall(&early, &ada).await.expect(StatusCode::OK);
    assert_eq!(again["data"]["changed"], false);
    let page = app.get(&format!("/conversations/{id}/messages?after_seq=1&limit=1")).by(&bob).send().await;
    assert_eq!(page.expect(StatusCode::OK)["data"][0]["encrypted_payload"], "");
    app.clock.advance_ms(121_000);
    let error = recall(&late, &ada).await.refusal("expired");
    assert_eq!(error["params"]["limit"], "recall_window_ms");
}

#[tokio::test]
async fn one_direction_at_a_time() {
    let app = TestApp::new();
    let ada = app.person("ada").await;
    let id = app.group(&ada, &[]).await;
    for query in ["before_seq=2&after_seq=1", "after_seq=1&cursor=a1", "cursor=", "cursor=x1", "cursor=a-1", "before=3"]
    {
        let answer = app.get(&format!("/conversations/{id}/messages?{query}")).by(&ada).send().await;
        answer.refusal("validation_failed");
    }
}
