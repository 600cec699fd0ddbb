//! Where a connection comes in whose first byte says whether TLS is spoken: one port for both.
//!
//! Keeps BOUNDED: whatever a peer says or does not say, it is let in or gone by the deadline.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hubbub_protocol::{ErrorBody, ErrorCode};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::tls::TlsSocket;
use super::{Stream, Transport};
use crate::metrics;

/// The first byte of a TLS handshake (RFC 8446 section 5.1), and of no HTTP request.
const HANDSHAKE: u8 = 0x16;
/// Whoever is turned away gets this long to take the reason.
const PARTING: Duration = Duration::from_secs(1);

/// How TLS is spoken at a door. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    allow_plain: bool,
}

impl Tls {
    /// TLS with these certificates and versions. Plain HTTP is let in from this machine, and from elsewhere only if so told.
    pub const fn new(config: Arc<ServerConfig>, allow_plain: bool) -> Self {
        Self { config, allow_plain }
    }

    /// Comes to an understanding with a peer that was just accepted.
    ///
    /// # Errors
    ///
    /// Whoever breaks off, breaks the rules, speaks plain HTTP where that is not allowed (which is answered), or has not
    /// come to an understanding by the deadline.
    pub async fn enter(&self, tcp: TcpStream, peer: SocketAddr, deadline: Instant) -> io::Result<Stream> {
        let entered = timeout_at(deadline, self.welcome(tcp, peer)).await;
        let (entered, result) = match entered {
            Ok(Ok(stream)) if !stream.is_encrypted() => return Ok(stream),
            Ok(Ok(stream)) => (Ok(stream), "ok"),
            Ok(Err(Unwelcome::Plain)) => {
                (Err(io::Error::new(io::ErrorKind::InvalidInput, "plain HTTP where TLS is spoken")), "plain")
            }
            // Such as a load balancer that looks whether somebody listens.
            Ok(Err(Unwelcome::Silent)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Err(Unwelcome::Broken(error))) => (Err(error), "failed"),
            Err(_) => (Err(io::ErrorKind::TimedOut.into()), "late"),
        };
        metrics::handshake(result);
        entered
    }

    async fn welcome(&self, mut tcp: TcpStream, peer: SocketAddr) -> Result<Stream, Unwelcome> {
        let mut first = [0];
        if tcp.peek(&mut first).await? == 0 {
            return Err(Unwelcome::Silent);
        }
        if first == [HANDSHAKE] {
            let mut socket = Box::new(TlsSocket::new(tcp, Arc::clone(&self.config))?);
            poll_fn(|context| socket.poll_handshake(context)).await?;
            return Ok(Stream::new(Transport::Tls(socket)));
        }
        if self.allow_plain || peer.ip().to_canonical().is_loopback() {
            return Ok(tcp.into());
        }
        drop(timeout(PARTING, turn_away(&mut tcp)).await);
        Err(Unwelcome::Plain)
    }
}

/// Why a peer does not come in.
enum Unwelcome {
    Plain,
    Silent,
    Broken(io::Error),
}

impl From<io::Error> for Unwelcome {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Says how to come back.
async fn turn_away(tcp: &mut TcpStream) -> io::Result<()> {
    // What is left unread when a connection closes resets it, and the answer may be lost with it.
    let mut request = [0; 4096];
    let _read = tcp.read(&mut request).await?;
    let message = "TLS is spoken here: use https:// and wss://";
    let body = serde_json::json!({ "error": ErrorBody::new(ErrorCode::ValidationFailed, message) }).to_string();
    let answer = format!(
        "HTTP/1.1 400 {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        ErrorCode::ValidationFailed.as_str(),
        body.len(),
    );
    tcp.write_all(answer.as_bytes()).await?;
    tcp.shutdown().await
}

#[cfg(test)]
mod tests {
    use rustls::version::TLS13;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;

    use super::super::kit;
    use super::*;

    const ELSEWHERE: &str = "203.0.113.9:1000";

    /// A connection, and what becomes of it at a door.
    async fn at_the_door(
        tls: &Tls,
        peer: &str,
        patience: Duration,
    ) -> (TcpStream, tokio::task::JoinHandle<io::Result<Stream>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        let (tls, peer) = (tls.clone(), peer.parse().unwrap());
        (client, tokio::spawn(async move { tls.enter(tcp, peer, Instant::now() + patience).await }))
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_first_byte_tells_tls_from_http_and_plain_http_from_elsewhere_is_told_to_come_back_over_tls() {
        let (server, client) = kit::ends(&[&TLS13]);
        for (peer, allow_plain, let_in) in [
            ("127.0.0.1:1", false, true),
            ("[::ffff:127.0.0.1]:1", false, true),
            (ELSEWHERE, true, true),
            (ELSEWHERE, false, false),
        ] {
            let tls = Tls::new(Arc::clone(&server), allow_plain);
            let (mut plain, entered) = at_the_door(&tls, peer, PATIENCE).await;
            plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let entered = entered.await.unwrap();
            assert_eq!(entered.as_ref().is_ok_and(|stream| !stream.is_encrypted()), let_in, "{peer} {allow_plain}");
            if !let_in {
                let mut answer = String::new();
                plain.read_to_string(&mut answer).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("https://"), "{answer}");
            }

            let (tcp, entered) = at_the_door(&tls, peer, PATIENCE).await;
            let mut client = TlsConnector::from(Arc::clone(&client)).connect(kit::name(), tcp).await.unwrap();
            let mut stream = entered.await.unwrap().unwrap();
            assert!(stream.is_encrypted());
            let large = vec![b'x'; 1 << 20];
            let saying = async {
                stream.write_all(&large).await.unwrap();
                stream.shutdown().await.unwrap();
            };
            let mut heard = Vec::new();
            let ((), read) = tokio::join!(saying, client.read_to_end(&mut heard));
            assert_eq!((read.unwrap(), heard == large), (large.len(), true), "whole, and its end is told from a cut");
        }
    }

    #[tokio::test]
    async fn bounded_a_peer_that_is_silent_slow_or_says_nonsense_is_gone_by_the_deadline() {
        let tls = Tls::new(kit::ends(&[&TLS13]).0, false);
        let short = Duration::from_millis(200);
        for (said, kind) in [
            (&b""[..], io::ErrorKind::TimedOut),
            (b"\x16", io::ErrorKind::TimedOut),
            (b"\x16\x03\x01\x02\x00\x01", io::ErrorKind::TimedOut),
            (b"\x16\x03\x01\x00\x05hello", io::ErrorKind::InvalidData),
        ] {
            let (mut client, entered) = at_the_door(&tls, ELSEWHERE, short).await;
            client.write_all(said).await.unwrap();
            let since = Instant::now();
            assert_eq!(entered.await.unwrap().err().map(|error| error.kind()), Some(kind), "{said:?}");
            assert!(since.elapsed() < PATIENCE, "BOUNDED");
            // What it is told is an alert, if anything.
            let mut told = Vec::new();
            drop(client.read_to_end(&mut told).await);
            assert!(told.is_empty() || told.starts_with(&[0x15]), "{told:?}");
        }
    }
}
