//! Everything on the one port that is no WebSocket: HTTP/1.1 by hyper, answered by the axum router.
//!
//! The hub accepts connections and reads the first head; what is not its own comes here with the bytes read so far, and
//! stays for as long as it is kept alive. HTTP/1.1 only: choosing a protocol by looking at the first bytes would wait for
//! them without a deadline.
//! Keeps BOUNDED (head bytes, headers, time to a head) and, at a stop, DRAINED: answers under way are finished.
//! Leaves the limits of bodies and answers to `rest`, and those of connections to the hub.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubbub_hub::HttpDoor;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{self, AsyncReadExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

/// Headers of one request: browsers behind a proxy send about 25. More are answered 431.
const MAX_HEADERS: usize = 64;

/// Bytes that are kept of one connection, of the head above all: hyper's least is 8 KiB, and a long cookie has 4. A longer
/// head is answered 431.
const MAX_BUFFER_BYTES: usize = 16 * 1024;

/// The door, with everybody who came in by it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AxumDoor {
    router: Router,
    http: http1::Builder,
    closing: CancellationToken,
    open: TaskTracker,
}

impl AxumDoor {
    /// A door to these routes. A head, the next one of a kept connection too, has to come within `head_deadline`.
    pub(crate) fn new(router: Router, head_deadline: Duration) -> Self {
        let mut http = http1::Builder::new();
        // Without a timer hyper's deadline would never strike.
        http.timer(TokioTimer::new())
            .header_read_timeout(head_deadline)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_BUFFER_BYTES)
            .keep_alive(true);
        Self { router, http, closing: CancellationToken::new(), open: TaskTracker::new() }
    }

    /// Closes idle connections, lets answers under way finish, and waits for all (DRAINED).
    pub(crate) async fn finish(&self) {
        self.closing.cancel();
        self.open.close();
        self.open.wait().await;
    }

    async fn serve_connection(self, stream: TcpStream, read: Bytes, peer: SocketAddr) {
        let (reader, writer) = stream.into_split();
        let stream = TokioIo::new(io::join(std::io::Cursor::new(read).chain(reader), writer));
        let router = self.router;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().call(request)
        });
        let mut connection = pin!(self.http.serve_connection(stream, service));
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = self.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // A peer's doing as a rule, and answered where it could be.
            tracing::debug!(%error, "an HTTP connection ended early");
        }
    }
}

impl HttpDoor for AxumDoor {
    fn serve(&self, stream: TcpStream, read: Bytes, peer: SocketAddr) -> BoxFuture<'static, ()> {
        self.open.track_future(self.clone().serve_connection(stream, read, peer)).boxed()
    }
}
