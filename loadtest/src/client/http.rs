//! REST over one kept connection: JSON out, JSON in.
//!
//! Owned by whoever asks; no task of its own: the connection is driven while a request waits. Leaves retrying to the
//! caller, as only the caller knows whether a request may be repeated; after a loss the next request goes to the next
//! server.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hubbub_protocol::ErrorBody;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ClientError;
use super::tcp::connect;

/// The longest answer that is read: a page of 200 of the largest payloads in base64, and their other fields.
const MAX_ANSWER_BYTES: usize = 24 * 1024 * 1024;
/// A request without an answer for this long is given up: where there is no other server to ask, and where there is.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
const ANSWER_DEADLINE_OF_MANY: Duration = Duration::from_secs(15);

/// Where a server is: `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `host:port`, as it stands in `Host`.
    pub authority: String,
    /// The address behind it.
    pub address: SocketAddr,
}

impl Target {
    /// Reads a URL and looks its host up.
    ///
    /// # Errors
    ///
    /// [`ClientError::BadUrl`] for what is no `http://` URL or a host that is not found.
    pub async fn resolve(url: &str) -> Result<Self, ClientError> {
        let bad = |problem: &str| ClientError::BadUrl { url: url.to_owned(), problem: problem.to_owned() };
        let uri: Uri = url.parse().map_err(|_| bad("not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "ws")) {
            return Err(bad("only http:// is spoken"));
        }
        let host = uri.host().ok_or_else(|| bad("it names no host"))?;
        let port = uri.port_u16().unwrap_or(80);
        let mut found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port))
            .await
            .map_err(|error| bad(&format!("its host is not found: {error}")))?;
        let address = found.next().ok_or_else(|| bad("its host has no address"))?;
        Ok(Self { authority: format!("{host}:{port}"), address })
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { authority: address.to_string(), address }
    }
}

type Wire = Connection<TokioIo<TcpStream>, Full<Bytes>>;

struct Kept {
    requests: SendRequest<Full<Bytes>>,
    wire: Pin<Box<Wire>>,
}

/// A REST caller with one connection, opened at the first request and again after it was lost.
pub struct Http {
    targets: Arc<[Target]>,
    /// Which of them is asked.
    turn: usize,
    source: Option<IpAddr>,
    kept: Option<Kept>,
}

/// What stands around every successful answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Answer<T> {
    /// What was asked for.
    pub data: T,
    /// Where the next page begins, in lists.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// The newest sequence, in a history.
    #[serde(default)]
    pub head_seq: Option<hubbub_protocol::Sequence>,
}

/// What goes with a request.
#[derive(Clone, Copy, Default)]
struct Ask<'a> {
    token: Option<&'a str>,
    /// An `Idempotency-Key`.
    once: Option<&'a str>,
}

#[derive(Deserialize)]
struct Refusal {
    error: ErrorBody,
}

impl Http {
    /// A caller of this server. Nothing is opened yet.
    pub fn new(target: Target) -> Self {
        Self::over(&Arc::from([target]), 0, None)
    }

    /// A caller of any of these servers, beginning with that one, who comes from this address, where servers count by
    /// address.
    pub fn over(targets: &Arc<[Target]>, first: usize, source: Option<IpAddr>) -> Self {
        Self { targets: Arc::clone(targets), turn: first, source, kept: None }
    }

    /// How many servers there are to ask.
    pub fn servers(&self) -> usize {
        self.targets.len()
    }

    /// The next request goes to the next server.
    pub fn turn_away(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        self.kept = None;
    }

    fn target(&self) -> Result<&Target, ClientError> {
        let target = self.targets.get(self.turn % self.targets.len().max(1));
        target.ok_or_else(|| ClientError::Lost("no server is named".to_owned()))
    }

    /// Asks for something that is no JSON.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused, lost or unreadable.
    pub async fn text(&mut self, path: &str) -> Result<String, ClientError> {
        let bytes = self.exchange(Method::GET, path, Ask::default(), Bytes::new()).await?;
        String::from_utf8(bytes.into()).map_err(|error| unreadable(path, &error))
    }

    /// Asks for a resource.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused, lost or unreadable.
    pub async fn get<T: DeserializeOwned>(
        &mut self,
        path: &str,
        token: Option<&str>,
    ) -> Result<Answer<T>, ClientError> {
        let bytes = self.exchange(Method::GET, path, Ask { token, once: None }, Bytes::new()).await?;
        serde_json::from_slice(&bytes).map_err(|error| unreadable(path, &error))
    }

    /// Posts a JSON body and reads the JSON answer.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused, lost or unreadable.
    pub async fn post<B, T>(&mut self, path: &str, token: Option<&str>, body: &B) -> Result<Answer<T>, ClientError>
    where
        B: Serialize + Sync,
        T: DeserializeOwned,
    {
        let bytes = self.call(Method::POST, path, token, body).await?;
        serde_json::from_slice(&bytes).map_err(|error| unreadable(path, &error))
    }

    /// Sends a JSON body by any method; gives the answer's bytes, which may be none.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused or lost.
    pub async fn call<B>(
        &mut self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &B,
    ) -> Result<Bytes, ClientError>
    where
        B: Serialize + Sync,
    {
        let body = serde_json::to_vec(body).map_err(|error| unreadable(path, &error))?;
        self.exchange(method, path, Ask { token, once: None }, body.into()).await
    }

    /// Posts something that is done once, however often it is posted with this key.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused, lost or unreadable.
    pub async fn post_once<B, T>(
        &mut self,
        path: &str,
        token: Option<&str>,
        key: &str,
        body: &B,
    ) -> Result<Answer<T>, ClientError>
    where
        B: Serialize + Sync,
        T: DeserializeOwned,
    {
        let body = serde_json::to_vec(body).map_err(|error| unreadable(path, &error))?;
        let bytes = self.exchange(Method::POST, path, Ask { token, once: Some(key) }, body.into()).await?;
        serde_json::from_slice(&bytes).map_err(|error| unreadable(path, &error))
    }

    async fn exchange(&mut self, method: Method, path: &str, ask: Ask<'_>, body: Bytes) -> Result<Bytes, ClientError> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.target()?.authority);
        if let Some(token) = ask.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(key) = ask.once {
            request = request.header("idempotency-key", key);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|error| unreadable(path, &error))?;
        let deadline = if self.servers() > 1 { ANSWER_DEADLINE_OF_MANY } else { ANSWER_DEADLINE };
        let answered = match timeout(deadline, self.answer(request)).await {
            Ok(answered) => answered,
            Err(_) => Err(ClientError::Lost(format!("no answer from {path} in {} s", deadline.as_secs()))),
        };
        if answered.is_err() {
            self.turn_away();
        }
        let (status, bytes) = answered?;
        if status.is_success() {
            return Ok(bytes);
        }
        match serde_json::from_slice::<Refusal>(&bytes) {
            Ok(refusal) => Err(ClientError::Refused { status: status.as_u16(), error: refusal.error }),
            Err(_) => Err(ClientError::Unreadable(format!("{path} answered {status} without a reason"))),
        }
    }

    async fn answer(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ClientError> {
        // Taken out while it is in use: a request that is dropped half-way leaves no half-read connection behind.
        let mut kept = self.usable().await?;
        let answer = ask(&mut kept, request).await?;
        self.kept = Some(kept);
        Ok(answer)
    }

    async fn usable(&mut self) -> Result<Kept, ClientError> {
        if let Some(kept) = self.kept.take().filter(|kept| !kept.requests.is_closed()) {
            return Ok(kept);
        }
        let stream = connect(self.target()?.address, self.source, None).await?;
        stream.set_nodelay(true)?;
        let (requests, wire) = handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
        Ok(Kept { requests, wire: Box::pin(wire) })
    }
}

async fn ask(kept: &mut Kept, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ClientError> {
    let Kept { requests, wire } = kept;
    let mut wire_ended = false;
    let exchange = async {
        requests.ready().await.map_err(|error| lost(&error))?;
        let response = requests.send_request(request).await.map_err(|error| lost(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| ClientError::Lost(error.to_string()))?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(exchange);
    loop {
        tokio::select! {
            biased;
            outcome = &mut exchange => return outcome,
            // The end of the connection reaches the exchange as well: an answer already read is still an answer.
            _ended = wire.as_mut(), if !wire_ended => wire_ended = true,
        }
    }
}

fn lost(error: &hyper::Error) -> ClientError {
    ClientError::Lost(error.to_string())
}

fn unreadable(path: &str, error: &dyn std::error::Error) -> ClientError {
    ClientError::Unreadable(format!("{path}: {error}"))
}
