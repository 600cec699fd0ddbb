//! Who may do what, for every route with an id: the routes come from the OpenAPI document, and one without a row here
//! fails. Absent and foreign things are told alike (MEMBERS-ONLY).

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{Answer, Person, TestApp, message};
use crate::openapi::{document, operations};

/// What is expected of one who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Done.
    Yes,
    /// Known and visible, but the rank does not allow it.
    Forbidden,
    /// Not while things are so.
    Conflict,
    /// As if there were no such thing.
    Absent,
}
use Told::{Absent, Conflict, Forbidden, Yes};

/// A route: what each is told, in the order owner, member, ex-member, stranger. The anonymous are always asked to log in.
struct Row {
    method: Method,
    path: &'static str,
    told: [Told; 4],
    body: fn(&World) -> Option<Value>,
}

fn row(method: Method, path: &'static str, told: [Told; 4], body: fn(&World) -> Option<Value>) -> Row {
    Row { method, path, told, body }
}

fn rows() -> Vec<Row> {
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let members = [Yes, Yes, Absent, Absent];
    let owner = [Yes, Forbidden, Absent, Absent];
    vec![
        row(get.clone(), "/users/{id}", [Yes, Yes, Yes, Yes], |_| None),
        row(get.clone(), "/conversations/{id}", members, |_| None),
        row(get.clone(), "/conversations/{id}/messages", members, |_| None),
        row(post.clone(), "/conversations/{id}/messages", members, |_| Some(message(99))),
        row(post.clone(), "/conversations/{id}/read", members, |_| Some(json!({"seq": 1}))),
        row(post.clone(), "/messages/{id}/recall", owner, |_| None),
        row(post.clone(), "/messages/{id}/reactions", members, |_| Some(json!({"emoji": "👍", "action": "add"}))),
        row(get.clone(), "/groups/{id}", members, |_| None),
        row(patch.clone(), "/groups/{id}", owner, |_| Some(json!({"name": "new"}))),
        row(post.clone(), "/groups/{id}/leave", [Conflict, Yes, Absent, Absent], |_| None),
        row(post.clone(), "/groups/{id}/transfer", owner, |world| Some(json!({"user_id": world.bystander.id}))),
        row(get, "/groups/{id}/members", members, |_| None),
        row(post, "/groups/{id}/members", owner, |world| Some(json!({"user_ids": [world.stranger.id]}))),
        row(delete, "/groups/{id}/members/{user_id}", owner, |_| None),
        row(patch, "/groups/{id}/members/{user_id}", owner, |_| Some(json!({"role": "admin"}))),
    ]
}

/// A group with one of each, made anew for every question.
struct World {
    group: String,
    message: String,
    owner: Person,
    member: Person,
    bystander: Person,
    ex_member: Person,
    stranger: Person,
}

impl World {
    /// The people stay; the group is new.
    async fn renew(&mut self, app: &TestApp) {
        self.group = app.group(&self.owner, &[&self.member, &self.bystander, &self.ex_member]).await;
        self.message = app.message(&self.owner, &self.group, 1).await;
        let ex_member = format!("/groups/{}/members/{}", self.group, self.ex_member.id);
        app.call(Method::DELETE, &ex_member).by(&self.owner).send().await.expect(StatusCode::OK);
    }

    async fn new(app: &TestApp) -> Self {
        let mut world = Self {
            group: String::new(),
            message: String::new(),
            owner: app.person("owner").await,
            member: app.person("member").await,
            bystander: app.person("bystander").await,
            ex_member: app.person("ex_member").await,
            stranger: app.person("stranger").await,
        };
        world.renew(app).await;
        world
    }

    async fn ask(&self, app: &TestApp, row: &Row, who: Option<&Person>) -> Answer {
        let id = match row.path {
            path if path.starts_with("/users") => &self.bystander.id,
            path if path.starts_with("/messages") => &self.message,
            _ => &self.group,
        };
        let path = row.path.replace("{id}", id).replace("{user_id}", &self.bystander.id);
        let call = app.call(row.method.clone(), &path);
        let call = who.into_iter().fold(call, crate::app::Call::by);
        let call = (row.body)(self).iter().fold(call, crate::app::Call::json);
        call.send().await
    }
}

#[tokio::test]
async fn every_route_with_an_id_is_in_the_matrix() {
    let document = document(&TestApp::new()).await;
    let named = |method: &Method, path: &str| format!("{method} {path}");
    let described: BTreeSet<_> = operations(&document)
        .iter()
        .filter(|(_, path, _)| path.contains('{'))
        .map(|(method, path, _)| named(method, path))
        .collect();
    let tested: BTreeSet<_> = rows().iter().map(|row| named(&row.method, row.path)).collect();
    assert_eq!(described, tested, "a new route with an id needs a row here");
}

#[tokio::test]
async fn everyone_is_told_what_the_matrix_says() {
    let app = TestApp::new();
    let mut world = World::new(&app).await;
    for row in rows() {
        let people = [&world.owner, &world.member, &world.ex_member, &world.stranger].map(Clone::clone);
        for (person, told) in people.iter().zip(row.told) {
            world.renew(&app).await;
            let answer = world.ask(&app, &row, Some(person)).await;
            match told {
                Yes => assert!(answer.status.is_success(), "{} {}: {}", row.method, row.path, answer.text()),
                Forbidden => drop(answer.refusal("forbidden")),
                Conflict => drop(answer.refusal("conflict")),
                Absent => drop(answer.refusal("not_found")),
            }
        }
        world.ask(&app, &row, None).await.refusal("missing_token");
    }
}

#[tokio::test]
async fn foreign_and_missing_are_told_alike() {
    let app = TestApp::new();
    let mut world = World::new(&app).await;
    let without_id = |answer: &Answer| {
        let mut error = answer.refusal("not_found");
        error["request_id"] = Value::Null;
        error
    };
    for row in rows().iter().filter(|row| row.told[3] == Absent) {
        let foreign = world.ask(&app, row, Some(&world.stranger)).await;
        let former = world.ask(&app, row, Some(&world.ex_member)).await;
        let (group, message) = (world.group.clone(), world.message.clone());
        world.group = uuid::Uuid::from_u128(5).to_string();
        world.message = "A".repeat(32);
        let missing = world.ask(&app, row, Some(&world.stranger)).await;
        assert_eq!(without_id(&foreign), without_id(&missing), "{} {}", row.method, row.path);
        assert_eq!(without_id(&former), without_id(&missing), "{} {}", row.method, row.path);
        (world.group, world.message) = (group, message);
    }
}
