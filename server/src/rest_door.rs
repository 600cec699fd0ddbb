//! The accept loop of a process without a hub: every connection goes to the HTTP door.
//!
//! Keeps BOUNDED: the same limits of connections as a hub's, in all and per address; heads, bodies and answers have the
//! door's deadlines. Keeps DRAINED: once it drains, nobody new is let in.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hubbub_hub::{Admission, HttpDoor, HubConfig, Tls};
use hubbub_protocol::{ErrorBody, ErrorCode};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After an accept failed (no descriptors left, usually), this long until the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who is refused gets this long to take it.
const PARTING: Duration = Duration::from_secs(1);

/// The door of a process that serves REST alone. Clones are the same.
#[derive(Clone)]
pub(crate) struct RestDoor {
    admission: Arc<Admission>,
    /// From a connection's start to the end of its TLS handshake.
    handshake: Duration,
    draining: CancellationToken,
    tasks: TaskTracker,
}

impl RestDoor {
    /// A door with these limits, open until it drains.
    pub(crate) fn new(config: &HubConfig, draining: CancellationToken) -> Self {
        Self { admission: Admission::new(config), handshake: config.head_deadline, draining, tasks: TaskTracker::new() }
    }

    /// Takes connections in until it drains.
    pub(crate) async fn serve(self, listener: TcpListener, tls: Option<Tls>, http: Arc<dyn HttpDoor>) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.draining.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, peer)) => {
                    let (door, tls, http) = (self.clone(), tls.clone(), Arc::clone(&http));
                    drop(self.tasks.spawn(async move {
                        if let Err(error) = door.enter(tcp, peer, tls, http).await {
                            tracing::debug!(%error, "a connection ended at the door");
                        }
                    }));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Lets nobody in any more, and waits until all have gone.
    pub(crate) async fn drain(&self) {
        self.draining.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn enter(
        self,
        mut tcp: TcpStream,
        peer: SocketAddr,
        tls: Option<Tls>,
        http: Arc<dyn HttpDoor>,
    ) -> io::Result<()> {
        match self.admission.admit(peer.ip()) {
            Ok(permit) => {
                tcp.set_nodelay(true)?;
                let stream = match tls {
                    None => tcp.into(),
                    Some(tls) => tls.enter(tcp, peer, Instant::now() + self.handshake).await?,
                };
                http.serve(stream, peer).await;
                drop(permit);
                Ok(())
            }
            Err(limit) => {
                metrics::counter!("hubbub_refused_connections_total", "limit" => limit).increment(1);
                // Over TLS an answer would take a handshake, which is what there are too many of.
                if tls.is_some() {
                    return Ok(());
                }
                timeout(PARTING, refuse(&mut tcp, limit)).await.unwrap_or(Ok(()))
            }
        }
    }
}

/// Answers as the hub's door does, and closes.
async fn refuse(stream: &mut TcpStream, limit: &'static str) -> io::Result<()> {
    let message = format!("this server has as many connections as it takes ({limit}): try again later");
    let error = ErrorBody::new(ErrorCode::RateLimited, message).with("limit", limit);
    let body = serde_json::json!({ "error": error }).to_string();
    let answer = format!(
        "HTTP/1.1 503 {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        error.code.as_str(),
        body.len(),
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
