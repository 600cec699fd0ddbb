//! Everything on the one port that is no WebSocket: HTTP/1.1 by hyper, answered by the axum router.
//!
//! The hub accepts connections and reads the first head; what is not its own comes here with the bytes read so far, and
//! stays for as long as it is kept alive. HTTP/1.1 only: choosing a protocol by looking at the first bytes would wait for
//! them without a deadline.
//! Keeps BOUNDED (head bytes, headers, time to a head, time without a byte taken) and, at a stop, DRAINED: answers under way are finished.
//! Leaves the limits of bodies and answers to `rest`, and those of connections to the hub.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubbub_hub::{HttpDoor, Stream};
use hubbub_rest::Encrypted;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

/// Headers of one request: browsers behind a proxy send about 25. More are answered 431.
const MAX_HEADERS: usize = 64;

/// Bytes that are kept of one connection, of the head above all: hyper's least is 8 KiB, and a long cookie has 4. A longer
/// head is answered 431.
const MAX_BUFFER_BYTES: usize = 16 * 1024;

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// To a whole head; to the next one, of a kept connection.
    pub(crate) head: Duration,
    /// To take the next bytes of its answer, where none more fit in between.
    pub(crate) taking: Duration,
}

/// The door, with everybody who came in by it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AxumDoor {
    router: Router,
    http: http1::Builder,
    taking: Duration,
    closing: CancellationToken,
    open: TaskTracker,
}

impl AxumDoor {
    /// A door to these routes.
    pub(crate) fn new(router: Router, deadlines: Deadlines) -> Self {
        let mut http = http1::Builder::new();
        // Without a timer hyper's deadline would never strike.
        http.timer(TokioTimer::new())
            .header_read_timeout(deadlines.head)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_BUFFER_BYTES)
            .keep_alive(true)
            // Who asks and says that no more comes still wants the answer.
            .half_close(true);
        Self { router, http, taking: deadlines.taking, closing: CancellationToken::new(), open: TaskTracker::new() }
    }

    /// Closes idle connections, lets answers under way finish, and waits for all (DRAINED).
    pub(crate) async fn finish(&self) {
        self.closing.cancel();
        self.open.close();
        self.open.wait().await;
    }

    async fn serve_connection(self, stream: Stream, peer: SocketAddr) {
        let encrypted = stream.is_encrypted().then_some(Encrypted);
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(self.taking));
        let stream = TokioIo::new(Box::pin(stream));
        let router = self.router;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(encrypted) = encrypted {
                request.extensions_mut().insert(encrypted);
            }
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
    fn serve(&self, stream: Stream, peer: SocketAddr) -> BoxFuture<'static, ()> {
        self.open.track_future(self.clone().serve_connection(stream, peer)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use axum::routing::{get, post};
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;

    const DEADLINES: Deadlines = Deadlines { head: Duration::from_millis(300), taking: Duration::from_millis(300) };
    /// Far more than the system keeps for a connection.
    const FLOOD_BYTES: usize = 64 * 1024 * 1024;
    const PATIENCE: Duration = Duration::from_secs(20);
    const GET: &str = "GET /peer HTTP/1.1\r\nhost: a\r\n";

    /// A connection to a door, whose first bytes were read by somebody else.
    async fn enter(door: &AxumDoor, read: &str) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        let server = Stream::from(server).with_ahead(Bytes::copy_from_slice(read.as_bytes()));
        tokio::spawn(door.serve(server, peer));
        client
    }

    fn door() -> AxumDoor {
        let router = Router::new()
            .route("/flood", get(|| async { vec![b'x'; FLOOD_BYTES] }))
            .route("/peer", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }))
            .route("/echo", post(|body: String| async move { body }));
        AxumDoor::new(router, DEADLINES)
    }

    /// Everything until the server closes.
    async fn answer(client: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("the door closes in time");
        // A peer that is refused while it still writes may see a reset after the answer.
        drop(read);
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn bytes_read_before_and_bytes_still_to_come_are_one_request_and_the_peer_is_known() {
        let door = door();
        let mut client =
            enter(&door, "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 6\r\n\r\nabc").await;
        client.write_all(b"def").await.unwrap();
        let echoed = answer(&mut client).await;
        assert!(echoed.starts_with("HTTP/1.1 200") && echoed.ends_with("\r\n\r\nabcdef"), "{echoed}");

        let mut client = enter(&door, &format!("{GET}connection: close\r\n\r\n")).await;
        let told = answer(&mut client).await;
        assert!(told.ends_with(&client.local_addr().unwrap().to_string()), "{told}");
    }

    #[tokio::test]
    async fn bounded_more_headers_or_a_longer_head_than_the_limit_are_answered_431() {
        let door = door();
        let many = "x: y\r\n".repeat(MAX_HEADERS);
        let long = format!("x: {}\r\n", "y".repeat(MAX_BUFFER_BYTES));
        for headers in [many, long] {
            let mut client = enter(&door, GET).await;
            client.write_all(headers.as_bytes()).await.unwrap();
            client.write_all(b"\r\n").await.unwrap();
            let refused = answer(&mut client).await;
            assert!(refused.starts_with("HTTP/1.1 431"), "BOUNDED: {refused}");
        }
    }

    #[tokio::test]
    async fn bounded_silent_half_and_idle_peers_and_those_that_speak_http_2_are_closed_within_the_head_deadline() {
        let door = door();
        for read in ["", GET, &format!("{GET}\r\n"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let since = Instant::now();
            let mut client = enter(&door, read).await;
            answer(&mut client).await;
            assert!(since.elapsed() < DEADLINES.head * 10, "BOUNDED: {read:?} stayed for {:?}", since.elapsed());
        }
    }

    #[tokio::test]
    async fn bounded_a_peer_that_does_not_take_its_answer_is_let_go() {
        let door = door();
        let client = enter(&door, "GET /flood HTTP/1.1\r\nhost: a\r\n\r\n").await;
        // Finishing waits for every answer under way, so it ends only because this one is given up.
        timeout(PATIENCE, door.finish()).await.expect("BOUNDED: a peer that does not read holds nothing for long");
        drop(client);
    }

    #[tokio::test]
    async fn drained_an_answer_under_way_is_finished_and_idle_connections_are_closed() {
        let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let notes = (Arc::clone(&begun), Arc::clone(&may_end));
        let slow = get(move || {
            let (begun, may_end) = notes.clone();
            async move {
                begun.notify_one();
                may_end.notified().await;
                "done"
            }
        });
        let patient = Deadlines { head: PATIENCE, taking: PATIENCE };
        let door = AxumDoor::new(Router::new().route("/slow", slow), patient);
        let mut idle = enter(&door, "").await;
        let mut busy = enter(&door, "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
        begun.notified().await;
        let finishing = tokio::spawn({
            let door = door.clone();
            async move { door.finish().await }
        });
        assert_eq!(answer(&mut idle).await, "");
        assert!(!finishing.is_finished(), "DRAINED: somebody still waits for an answer");
        may_end.notify_one();
        let answered = answer(&mut busy).await;
        assert!(answered.ends_with("done"), "DRAINED: {answered}");
        timeout(PATIENCE, finishing).await.expect("all have ended").unwrap();
    }
}
