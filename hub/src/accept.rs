//! The door: takes sockets in, reads each one's request head under a deadline, and sends it the right way.
//!
//! `/ws`, `/ws/human` and `/ws/agent` stay with the hub; all else goes to the [`HttpDoor`], with the bytes that were read.
//! Keeps BOUNDED: connections in all, per address, and of those that have not logged in; a peer that is silent, slow or
//! half done is gone when its deadline is.

mod head;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use hubbub_protocol::{ErrorBody, ErrorCode};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use self::head::{Door, MAX_HEAD_BYTES, Upgrade};
use crate::admission::{Admission, Permit};
use crate::adopted::Adopted;
use crate::config::HubConfig;
use crate::metrics;
use crate::shared::{ShardHandle, Shared};
use crate::transport::{Stream, Tls};

/// After an accept failed (no descriptors left, usually), this long until the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A peer whose machine vanished is noticed by the kernel after this.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Where requests go that are no WebSocket's.
pub trait HttpDoor: Send + Sync + 'static {
    /// Serves a connection until it ends.
    fn serve(&self, stream: Stream, peer: SocketAddr) -> BoxFuture<'static, ()>;
}

/// How connections come in, and where those go that the hub does not keep. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Doors {
    /// Nothing for plain HTTP and WebSocket alone.
    pub(crate) tls: Option<Tls>,
    pub(crate) http: Arc<dyn HttpDoor>,
}

/// What the door has to keep count of.
pub(crate) struct Doorkeeper {
    shared: Arc<Shared>,
    admission: Arc<Admission>,
    /// Places for connections that are not logged in.
    pending: Arc<Semaphore>,
    tasks: TaskTracker,
    next: AtomicUsize,
}

impl Doorkeeper {
    pub(crate) fn new(shared: Arc<Shared>) -> Arc<Self> {
        let (admission, pending) =
            (Admission::new(&shared.config), Arc::new(Semaphore::new(shared.config.max_pending)));
        Arc::new(Self { shared, admission, pending, tasks: TaskTracker::new(), next: AtomicUsize::new(0) })
    }

    /// Waits until all that came in has gone through.
    pub(crate) async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn config(&self) -> &HubConfig {
        &self.shared.config
    }

    fn next_shard(&self) -> &ShardHandle {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        &self.shared.homes[next % self.shared.homes.len()]
    }
}

/// Takes sockets in until the hub drains.
pub(crate) async fn run(keeper: Arc<Doorkeeper>, listener: TcpListener, doors: Doors) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = keeper.shared.leaving.cancelled() => return,
            accepted = take_one(&keeper, &listener) => accepted,
        };
        let (stream, peer, pending) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (door, doors) = (Arc::clone(&keeper), doors.clone());
        drop(keeper.tasks.spawn(async move {
            if let Err(error) = serve(door, stream, peer, pending, doors).await {
                tracing::debug!(%error, "a connection ended at the door");
            }
        }));
    }
}

/// A socket, once there is room among those that are not logged in; until then they wait in the listen queue.
async fn take_one(
    keeper: &Doorkeeper,
    listener: &TcpListener,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let pending = Arc::clone(&keeper.pending).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, pending))
}

async fn serve(
    keeper: Arc<Doorkeeper>,
    tcp: TcpStream,
    peer: SocketAddr,
    pending: OwnedSemaphorePermit,
    doors: Doors,
) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    SockRef::from(&tcp).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    let permit = match keeper.admission.admit(peer.ip()) {
        Ok(permit) => permit,
        Err(limit) => {
            metrics::refused(limit);
            return turn_away(tcp, doors.tls.is_some(), limit).await;
        }
    };
    let deadline = Instant::now() + keeper.config().head_deadline;
    let mut stream = match doors.tls {
        None => tcp.into(),
        Some(tls) => tls.enter(tcp, peer, deadline).await?,
    };
    let head = timeout_at(deadline, read_head(&mut stream)).await;
    match head {
        Ok(Ok(Some(read))) => match head::door(&read, &keeper.config().allowed_origins) {
            Ok(Door::Http) => {
                // HTTP keeps its own deadlines from here on.
                drop(pending);
                doors.http.serve(stream.with_ahead(read), peer).await;
                drop(permit);
                Ok(())
            }
            Ok(Door::WebSocket(upgrade)) => hand_over(&keeper, stream, read, upgrade, permit, pending).await,
            Err(error) => refuse(&mut stream, &error, error.code.status()).await,
        },
        Ok(Ok(None)) => {
            let message = format!("the request's head is over {MAX_HEAD_BYTES} bytes");
            let error = ErrorBody::new(ErrorCode::TooLarge, message).with("limit", "max_head_bytes");
            refuse(&mut stream, &error.with("max", MAX_HEAD_BYTES), 431).await
        }
        Ok(Err(error)) => Err(error),
        Err(_) => {
            metrics::refused("head_deadline");
            let message = "the request's head did not arrive in time";
            refuse(&mut stream, &ErrorBody::new(ErrorCode::RequestTimeout, message), 408).await
        }
    }
}

/// Refuses a connection that is one too many.
async fn turn_away(tcp: TcpStream, over_tls: bool, limit: &'static str) -> io::Result<()> {
    if over_tls {
        // An answer would take a handshake, which is what there are too many of.
        return Ok(());
    }
    let message = format!("this server has as many connections as it takes ({limit}): try again later");
    let error = ErrorBody::new(ErrorCode::RateLimited, message).with("limit", limit);
    refuse(&mut tcp.into(), &error, 503).await
}

/// Everything up to the end of the request's head, and what came with it; `None` if that is too much.
async fn read_head(stream: &mut Stream) -> io::Result<Option<Bytes>> {
    let mut read = BytesMut::with_capacity(1024);
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head::is_whole(&read) || head::is_tls(&read) {
            return Ok(Some(read.freeze()));
        }
        if read.len() >= MAX_HEAD_BYTES {
            return Ok(None);
        }
    }
}

/// Says 101 and gives the socket to the next shard in turn.
async fn hand_over(
    keeper: &Doorkeeper,
    mut stream: Stream,
    read: Bytes,
    upgrade: Upgrade,
    permit: Permit,
    pending: OwnedSemaphorePermit,
) -> io::Result<()> {
    stream.write_all(upgrade.response.as_bytes()).await?;
    stream.flush().await?;
    let adopted = Adopted {
        transport: stream.into_transport().detach()?,
        read: read.slice(upgrade.head_bytes..),
        format: upgrade.format,
        for_agents: upgrade.for_agents,
        permit,
        pending,
    };
    keeper.next_shard().adopt.send(adopted).await.map_err(|_| io::Error::other("the shard has ended"))
}

/// Answers in HTTP, in the form of every error, and closes.
async fn refuse(stream: &mut Stream, error: &ErrorBody, status: u16) -> io::Result<()> {
    let body = serde_json::json!({ "error": error }).to_string();
    let head = format!(
        "HTTP/1.1 {status} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        error.code.as_str(),
        body.len(),
    );
    let goodbye = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        stream.shutdown().await
    };
    // A peer that does not even read its refusal gets no more time for it.
    timeout(Duration::from_secs(1), goodbye).await.unwrap_or(Ok(()))
}
