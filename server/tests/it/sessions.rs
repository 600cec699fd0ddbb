//! Claims about the end of a session and of a token on open sockets, and about who may open one at all (MEMBERS-ONLY).

use std::time::{Duration, Instant, SystemTime};

use hubbub_domain::identity::Caller;
use hubbub_loadtest::client::ClientError;
use hubbub_loadtest::client::http::{Answer, Http};
use hubbub_loadtest::client::socket::SocketOptions;
use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::client::{AuthRenew, Ping};
use hubbub_protocol::frame::server::ServerFrame;
use hubbub_protocol::member::SenderType;
use hubbub_protocol::{SessionId, Timestamp};
use hubbub_server::keys;
use serde_json::{Value, json};

use crate::raw::{Raw, upgrade};
use crate::wire::{Host, Peer};

/// What the end of a session may take to reach its sockets.
const REACHES_WITHIN: Duration = Duration::from_secs(1);

/// One login of somebody.
struct Login {
    access: String,
    refresh: String,
    session_id: SessionId,
    answer: Value,
}

impl Login {
    fn of(answer: Answer<Value>) -> Self {
        let answer = answer.data;
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        let session_id = text("session_id").parse().unwrap();
        Self { access: text("access_token"), refresh: text("refresh_token"), session_id, answer }
    }
}

fn credentials(email: &str) -> Value {
    json!({"email": email, "account_password": "correct horse battery", "token_transport": "body"})
}

/// A new person, and so many logins of theirs.
async fn logins(host: &Host, count: usize) -> Vec<Login> {
    let mut http = Http::new(host.target.clone());
    let mut registration = credentials("ann@example.org");
    registration["display_name"] = "Ann".into();
    let mut logins = vec![Login::of(http.post("/auth/register", None, &registration).await.unwrap())];
    while logins.len() < count {
        logins.push(Login::of(http.post("/auth/login", None, &credentials("ann@example.org")).await.unwrap()));
    }
    logins
}

async fn socket(host: &Host, token: &str, format: Format) -> Result<Peer, ClientError> {
    Peer::login(&host.target, &SocketOptions { format, ..SocketOptions::default() }, token, &[]).await
}

/// These sockets are told that their session is over and closed, within the second.
async fn assert_session_ended(sockets: Vec<Peer>, session_id: SessionId, since: Instant) {
    for socket in sockets {
        let (frames, ending) = socket.hear_to_the_end().await;
        assert!(since.elapsed() < REACHES_WITHIN, "MEMBERS-ONLY: it took {:?}", since.elapsed());
        assert_eq!(ending.code, Some(4004), "{ending:?}");
        assert!(ending.reason.contains("reauthenticate"), "{ending:?}");
        let Some(ServerFrame::SessionInvalidated(told)) = frames.last() else { panic!("{frames:?}") };
        assert_eq!(told.session_id, session_id);
    }
}

#[tokio::test]
async fn members_only_logout_ends_the_sockets_of_its_session_within_a_second_and_no_others() {
    let host = Host::start();
    let [phone, desk] = &logins(&host, 2).await[..] else { panic!("two logins") };
    let mut other = socket(&host, &desk.access, Format::Json).await.unwrap();
    let mut ended = Vec::new();
    for format in [Format::ALL, Format::ALL].concat() {
        ended.push(socket(&host, &phone.access, format).await.unwrap());
    }
    let since = Instant::now();
    let mut http = Http::new(host.target.clone());
    http.call(http::Method::POST, "/auth/logout", Some(&phone.access), &json!({})).await.unwrap();
    assert_session_ended(ended, phone.session_id, since).await;
    let id = other.command();
    assert!(matches!(other.ask(Ping { id }).await, ServerFrame::Pong(_)), "another session of hers goes on");
    let again = socket(&host, &phone.access, Format::Json).await.err();
    assert!(matches!(&again, Some(ClientError::LoginRefused(reason)) if reason == "invalid_token"), "{again:?}");
    let rest: Result<Answer<Value>, _> = http.get("/auth/me", Some(&phone.access)).await;
    assert!(matches!(rest, Err(ClientError::Refused { status: 401, .. })), "{rest:?}");
}

#[tokio::test]
async fn members_only_a_refresh_token_used_again_much_later_ends_the_session_and_its_sockets() {
    let host = Host::start();
    let first = logins(&host, 1).await.remove(0);
    let mut http = Http::new(host.target.clone());
    let mut newest = first.refresh.clone();
    for _ in 0..2 {
        let body = json!({"refresh_token": newest});
        newest = Login::of(http.post("/auth/refresh", None, &body).await.unwrap()).refresh;
    }
    let sockets = vec![socket(&host, &first.access, Format::MessagePack).await.unwrap()];
    let since = Instant::now();
    for (token, why) in [(&first.refresh, "thought stolen"), (&newest, "its session has ended")] {
        let refused: Result<Answer<Value>, _> =
            http.post("/auth/refresh", None, &json!({"refresh_token": token})).await;
        assert!(matches!(refused, Err(ClientError::Refused { status: 401, .. })), "{why}: {refused:?}");
    }
    assert_session_ended(sockets, first.session_id, since).await;
}

/// A token of this login's, as the server would have made it some minutes ago: it ends this many seconds from now.
fn ending_in(host: &Host, login: &Login, seconds: i64) -> String {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = Timestamp::from_ms(i64::try_from(since_1970.as_millis()).unwrap());
    let id = |name: &str| login.answer[name].as_str().unwrap();
    let caller = Caller {
        user_id: id("user_id").parse().unwrap(),
        session_id: login.session_id,
        device_id: id("device_id").parse().unwrap(),
        kind: SenderType::Human,
        expires_at: now.plus_ms(seconds * 1_000),
    };
    keys::load_or_make(&host.data).unwrap().issue(&caller, now.plus_ms(-60_000)).unwrap()
}

#[tokio::test]
async fn a_socket_outlives_its_token_only_if_it_renews_it_with_one_of_the_same_session() {
    let host = Host::start();
    let [phone, desk] = &logins(&host, 2).await[..] else { panic!("two logins") };
    let token = ending_in(&host, phone, 2);
    let mut lapses = socket(&host, &token, Format::Json).await.unwrap();
    let mut renews = socket(&host, &token, Format::MessagePack).await.unwrap();
    for peer in [&mut lapses, &mut renews] {
        let warned = peer.hear_until(|frame| matches!(frame, ServerFrame::AuthExpiring(_)).then_some(())).await;
        assert_eq!(warned, (), "it is told 60 seconds ahead, or at once if fewer are left");
    }
    for (access_token, works) in
        [(desk.access.clone(), false), ("junk".to_owned(), false), (phone.access.clone(), true)]
    {
        let id = renews.command();
        match renews.ask(AuthRenew { id, access_token }).await {
            ServerFrame::CommandOk(_) => assert!(works, "of another session, or of nobody"),
            ServerFrame::CommandError(refused) => {
                assert_eq!((refused.error.code.as_str(), works), ("invalid_token", false), "{refused:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    let (_, ending) = lapses.hear_to_the_end().await;
    assert_eq!(ending.code, Some(4003), "{ending:?}");
    let id = renews.command();
    assert!(matches!(renews.ask(Ping { id }).await, ServerFrame::Pong(_)), "the renewed one goes on");
    // Clocks may differ by some seconds; by a minute they may not.
    let late = socket(&host, &ending_in(&host, phone, -30), Format::Json).await.err();
    assert!(matches!(&late, Some(ClientError::LoginRefused(reason)) if reason == "expired_token"), "{late:?}");
}

#[tokio::test]
async fn a_page_of_another_origin_opens_no_socket_and_one_on_the_list_does() {
    let host = Host::with(&["allowed_origins=https://chat.example.org"]);
    let login = logins(&host, 1).await.remove(0);
    let cookie = format!("cookie: hubbub_refresh={}\r\n", login.refresh);
    let foreign = [
        "https://evil.example",
        "null",
        "https://sub.chat.example.org",
        "https://chat.example.org.evil.example",
        "HTTPS://CHAT.EXAMPLE.ORG",
        "http://chat.example.org",
        "https://chat.example.org:444",
    ];
    for origin in foreign {
        for path in ["/ws", "/ws/human", "/ws/agent"] {
            let mut raw = Raw::connect(host.target.address).await;
            let answer = raw.ask(&upgrade(path, &format!("origin: {origin}\r\n{cookie}"))).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{origin}: {answer}");
        }
    }
    let mut raw = Raw::connect(host.target.address).await;
    let answer = raw.ask(&upgrade("/ws", "origin: https://chat.example.org\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
}

#[tokio::test]
async fn members_only_no_cookie_and_no_url_logs_a_socket_in() {
    let host = Host::with(&["hub.login_deadline_ms=500"]);
    let login = logins(&host, 1).await.remove(0);
    let mut raw = Raw::connect(host.target.address).await;
    let headers = format!(
        "cookie: hubbub_refresh={}\r\nauthorization: Bearer {}\r\nsec-websocket-protocol: hubbub.v1.json\r\n",
        login.refresh, login.access
    );
    let answer = raw.ask(&upgrade("/ws", &headers)).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert_eq!(raw.out().await, (Vec::new(), 4001), "MEMBERS-ONLY: only the auth frame logs in");
    for name in ["token", "access_token", "jwt", "Token"] {
        let mut raw = Raw::connect(host.target.address).await;
        let answer = raw.ask(&upgrade(&format!("/ws?{name}={}", login.access), "")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{name}: {answer}");
    }
    // What was sent in the wrong place is a secret all the same.
    let (status, log) = host.server.stop();
    assert!(status.success());
    for secret in [&login.access, &login.refresh] {
        assert!(!log.contains(secret.as_str()), "a token stands in the log");
    }
}
