//! The sidecar as tests hold it: a router over the memory store, a clock that stands, a port that can be watched.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hubbub_domain::accounts::Accounts;
use hubbub_domain::conversation::Act;
use hubbub_domain::conversations::{Conversations, Stored};
use hubbub_domain::sessions::{Logins, Sessions};
use hubbub_domain::tokens::{KeyRing, Verifier};
use hubbub_protocol::{ConversationId, ErrorBody, Sequence, SessionId, Timestamp, UserId};
use hubbub_rest::cluster::Cluster;
use hubbub_rest::port::{DirectPort, HubPort};
use hubbub_rest::{RateLimits, RestState, Services, Settings};
use hubbub_storage::clock::ManualClock;
use hubbub_storage::store::Store;
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// The sidecar.
pub(crate) struct TestApp {
    pub(crate) router: Router,
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) port: Arc<TestPort>,
}

/// Somebody who is logged in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
    pub(crate) session_id: String,
}

impl TestApp {
    /// One without rate limits, as most tests ask more often than people do.
    pub(crate) fn new() -> Self {
        let rate_limits = RateLimits { auth_per_minute: None, general_per_minute: None, exempt_loopback: false };
        Self::with(Settings { rate_limits, ..Settings::default() })
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self::beside(settings, None)
    }

    /// One of several, as far as it knows.
    pub(crate) fn beside(settings: Settings, cluster: Option<Arc<dyn Cluster>>) -> Self {
        crate::reports::keep_log();
        let store = hubbub_storage::memory::open();
        let clock = Arc::new(ManualClock::at(Timestamp::from_ms(1_767_225_600_000)));
        let keys = Arc::new(KeyRing::from_seed(&[7; 32]));
        let conversations = Conversations::new(store.clone(), clock.clone());
        let port = Arc::new(TestPort::new(conversations.clone()));
        let services = Services {
            store: store.clone(),
            clock: clock.clone(),
            accounts: Accounts::new(store.clone(), clock.clone()),
            sessions: Sessions::new(store.clone(), clock.clone(), Verifier::fixed(keys.public_keys().clone())),
            jwks: keys.public_keys().to_jwks().into(),
            logins: Logins::new(store.clone(), clock.clone(), keys),
            conversations,
            port: port.clone(),
            cluster,
            metrics: Arc::new(|| "hubbub_test 1\n".to_owned()),
        };
        let router = hubbub_rest::router(&RestState::new(services, settings));
        Self { router, store, clock, port }
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        let request = Request::builder().method(method).uri(path).header("host", "localhost:8080");
        Call { router: self.router.clone(), request, body: Body::empty(), peer: [127, 0, 0, 1].into() }
    }

    pub(crate) fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Call {
        self.call(Method::POST, path).json(body)
    }

    /// Registers somebody under this name.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let body = json!({
            "email": format!("{name}@example.org"),
            "account_password": PASSWORD,
            "display_name": name,
            "handle": name,
            "token_transport": "body",
        });
        let answer = self.post("/auth/register", &body).send().await.expect(StatusCode::CREATED);
        Person::of(&answer)
    }

    /// A group of this owner with these members; its id.
    pub(crate) async fn group(&self, owner: &Person, members: &[&Person]) -> String {
        let ids: Vec<_> = members.iter().map(|person| &person.id).collect();
        let body = json!({"name": "a group", "member_ids": ids});
        let answer = self.post("/groups", &body).by(owner).send().await.expect(StatusCode::CREATED);
        answer["data"]["conversation_id"].as_str().unwrap().to_owned()
    }

    /// The direct conversation of two; its id.
    pub(crate) async fn direct(&self, one: &Person, other: &Person) -> String {
        let answer = self.post("/conversations", &json!({"user_id": other.id})).by(one).send().await;
        assert!(answer.status.is_success(), "{}", answer.text());
        answer.json()["data"]["conversation_id"].as_str().unwrap().to_owned()
    }

    /// Sends a message; its id.
    pub(crate) async fn message(&self, sender: &Person, conversation: &str, number: u128) -> String {
        let path = format!("/conversations/{conversation}/messages");
        let answer = self.post(&path, &message(number)).by(sender).send().await.expect(StatusCode::CREATED);
        answer["data"]["message_id"].as_str().unwrap().to_owned()
    }
}

/// The body of a message with this client id.
pub(crate) fn message(number: u128) -> Value {
    let id = uuid::Uuid::from_u128(number).to_string();
    json!({"client_message_id": id, "content_type": "text", "encrypted_payload": "c2VhbGVk"})
}

impl Person {
    pub(crate) fn of(answer: &Value) -> Self {
        let text = |name: &str| answer["data"][name].as_str().unwrap_or_default().to_owned();
        Self {
            id: text("user_id"),
            token: text("access_token"),
            refresh_token: text("refresh_token"),
            session_id: text("session_id"),
        }
    }
}

/// A request being made.
#[must_use]
pub(crate) struct Call {
    router: Router,
    request: axum::http::request::Builder,
    body: Body,
    peer: IpAddr,
}

impl Call {
    pub(crate) fn by(self, person: &Person) -> Self {
        self.header("authorization", &format!("Bearer {}", person.token))
    }

    /// The same call with another head.
    pub(crate) fn request(mut self, request: axum::http::request::Builder) -> Self {
        self.request = request;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.raw("application/json", body.to_string())
    }

    pub(crate) fn raw(self, content_type: &str, body: impl Into<Body>) -> Self {
        let mut call = self.header("content-type", content_type);
        call.body = body.into();
        call
    }

    pub(crate) fn at_address(mut self, peer: &str) -> Self {
        self.peer = peer.parse().unwrap();
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let mut request = self.request.body(self.body).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(self.peer, 50_000)));
        let response = self.router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Its body, if the status is as expected.
    #[track_caller]
    pub(crate) fn expect(self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// Its error, if it has our one shape, that code and that code's status.
    #[track_caller]
    pub(crate) fn refusal(&self, code: &str) -> Value {
        let error = self.json()["error"].clone();
        assert_eq!(error["code"], code, "{}", self.text());
        let body: ErrorBody = serde_json::from_value(error.clone()).expect("the one error shape");
        assert_eq!(self.status.as_u16(), body.code.status(), "the status follows from the code");
        assert_eq!(body.i18n_key, body.code.i18n_key());
        assert_eq!(body.request_id.as_deref(), Some(self.header("x-request-id")), "found in the log by its id");
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("cache-control"), "no-store");
        error
    }
}

/// The port without a hub, watched.
pub(crate) struct TestPort {
    direct: DirectPort,
    pub(crate) draining: AtomicBool,
    pub(crate) submitted: AtomicUsize,
    pub(crate) ended: Mutex<Vec<SessionId>>,
    pub(crate) next_error: Mutex<Option<ErrorBody>>,
    pub(crate) panics: AtomicBool,
}

impl TestPort {
    fn new(conversations: Conversations) -> Self {
        Self {
            direct: DirectPort::new(conversations),
            draining: AtomicBool::new(false),
            submitted: AtomicUsize::new(0),
            ended: Mutex::default(),
            next_error: Mutex::default(),
            panics: AtomicBool::new(false),
        }
    }
}

impl HubPort for TestPort {
    /// Does the act, and then perhaps answers something else, as a process does that dies in between.
    fn submit(&self, conversation_id: ConversationId, act: Act) -> BoxFuture<'static, Result<Stored, ErrorBody>> {
        assert!(!self.panics.load(Ordering::SeqCst), "planted");
        self.submitted.fetch_add(1, Ordering::SeqCst);
        let stored = self.direct.submit(conversation_id, act);
        let error = self.next_error.lock().unwrap().take();
        Box::pin(async move {
            let stored = stored.await;
            error.map_or(stored, Err)
        })
    }

    fn mark_read(
        &self,
        conversation_id: ConversationId,
        user_id: UserId,
        seq: Sequence,
    ) -> BoxFuture<'static, Result<Sequence, ErrorBody>> {
        self.direct.mark_read(conversation_id, user_id, seq)
    }

    fn end_session(&self, session_id: SessionId) {
        self.ended.lock().unwrap().push(session_id);
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    fn connections(&self) -> u64 {
        3
    }
}
