//! A few people by hand, where a test wants to see what one of them is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hubbub_loadtest::client::account::Account;
use hubbub_loadtest::client::http::Target;
use hubbub_loadtest::client::socket::{Incoming, Socket, SocketOptions};
use hubbub_protocol::UserId;
use hubbub_protocol::frame::client::PresenceStatus;
use hubbub_protocol::frame::server::ServerFrame;
use tokio::time::timeout_at;

use super::hub::Hub;

/// Somebody with an account.
pub(crate) struct Person {
    pub(crate) account: Arc<Account>,
}

/// A socket of theirs.
pub(crate) struct Ear {
    socket: Socket,
}

/// Where a process listens.
pub(crate) fn target(hub: &Hub) -> Target {
    Target::from(hub.address.parse::<SocketAddr>().expect("an address"))
}

impl Person {
    /// Somebody new, registered there.
    pub(crate) async fn new(hub: &Hub, name: &str) -> Self {
        let email = format!("{name}-{}-{}@example.org", std::process::id(), hub.address.replace(':', "-"));
        let account = Account::register(&target(hub), None, &email, name).await.expect("registered");
        Self { account: Arc::new(account) }
    }

    pub(crate) fn id(&self) -> UserId {
        self.account.user_id
    }

    /// A socket there.
    pub(crate) async fn connect(&self, hub: &Hub) -> Ear {
        let options = SocketOptions::default();
        let (socket, _) = Socket::login(&target(hub), &options, &self.account.token(), &[]).await.expect("logged in");
        Ear { socket }
    }
}

impl Ear {
    /// Waits until it is told that somebody is there, or not. How long that took; nothing if it took longer.
    pub(crate) async fn told_of(&mut self, who: UserId, is_there: bool, patience: Duration) -> Option<Duration> {
        self.hears(patience, |frame| {
            matches!(frame, ServerFrame::PresenceNotice(notice)
                if notice.user_id == who && (notice.status != PresenceStatus::Offline) == is_there)
        })
        .await
    }

    /// Waits for a frame; the end of the socket is none.
    async fn hears(&mut self, patience: Duration, wanted: impl Fn(&ServerFrame) -> bool) -> Option<Duration> {
        let began = Instant::now();
        loop {
            match timeout_at((began + patience).into(), self.socket.recv()).await.ok()?.expect("it can be read") {
                Incoming::Frame(frame) if wanted(&frame) => return Some(began.elapsed()),
                Incoming::Frame(_) => {}
                Incoming::Ended(_) => return None,
            }
        }
    }

    /// Waits until the socket ends; its close code and how long that took.
    pub(crate) async fn ends(&mut self, patience: Duration) -> Option<(Option<u16>, Duration)> {
        let began = Instant::now();
        loop {
            let incoming = timeout_at((began + patience).into(), self.socket.recv()).await.ok()?;
            if let Incoming::Ended(ending) = incoming.expect("it can be read") {
                return Some((ending.code, began.elapsed()));
            }
        }
    }
}
