//! One WebSocket of ours: typed frames out and in, in either format.
//!
//! Owned by one task. Writes are gathered until they are flushed. Leaves reconnecting, cursors and unknown sends to
//! [`super::Client`].

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::frame::Cursor;
use hubbub_protocol::frame::client::{Auth, ClientFrame};
use hubbub_protocol::frame::server::{AuthOk, ServerFrame};
use serde::Serialize;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as RawCloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::ClientError;
use super::http::Target;
use super::tcp::connect;

/// The longest message that is read: a history page of 200 of the largest payloads in base64.
const MAX_MESSAGE_BYTES: usize = 24 * 1024 * 1024;
/// TCP and upgrade together, and the login, are given up after this long, if nothing else is asked for.
const OPENING_DEADLINE: Duration = Duration::from_secs(15);

/// How a socket is opened.
#[derive(Debug, Clone)]
pub struct SocketOptions {
    /// JSON or MessagePack.
    pub format: Format,
    /// The door: `/ws`, `/ws/human` or `/ws/agent`.
    pub door: &'static str,
    /// The address to come from, where one port range is not enough.
    pub source: Option<IpAddr>,
    /// The kernel's receive buffer, in bytes; small ones make a slow reader felt sooner.
    pub receive_buffer: Option<u32>,
    /// What is read from the kernel at once, in bytes.
    pub read_bytes: usize,
    /// TCP and upgrade together, and the login, are given up after this long.
    pub deadline: Duration,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            format: Format::Json,
            door: "/ws",
            source: None,
            receive_buffer: None,
            read_bytes: 16 * 1024,
            deadline: OPENING_DEADLINE,
        }
    }
}

/// How a socket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The close frame's code; `None` if there was no close frame.
    pub code: Option<u16>,
    /// The close frame's reason, or what broke.
    pub reason: String,
}

/// What comes out of a socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// A frame.
    Frame(Box<ServerFrame>),
    /// The end; nothing follows.
    Ended(Ending),
}

/// A frame's bytes, or the end.
pub(crate) enum RawIncoming {
    Frame(Bytes),
    Ended(Ending),
}

/// An open WebSocket.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    format: Format,
    /// Something came, be it a ping, since this was last asked.
    heard: bool,
}

impl Socket {
    /// Opens a socket and says who it is.
    ///
    /// # Errors
    ///
    /// [`ClientError::LoginRefused`] for a token that is not taken, else lost or unreadable.
    pub async fn login(
        target: &Target,
        options: &SocketOptions,
        token: &str,
        resume: &[Cursor],
    ) -> Result<(Self, AuthOk), ClientError> {
        let mut socket = Self::open(target, options).await?;
        socket.send(&Auth { token: token.to_owned(), resume: resume.to_vec() }.into()).await?;
        let answer = timeout(options.deadline, socket.recv())
            .await
            .map_err(|_| ClientError::Lost("no answer to auth".to_owned()))??;
        match answer {
            Incoming::Frame(frame) => match *frame {
                ServerFrame::AuthOk(ok) => Ok((socket, ok)),
                ServerFrame::AuthError(error) => Err(ClientError::LoginRefused(error.reason)),
                other => Err(ClientError::Unreadable(format!("{} before auth.ok", other.word()))),
            },
            Incoming::Ended(ending) => Err(ClientError::Ended(ending)),
        }
    }

    /// Opens a socket and says nothing yet.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: nobody listens, or the upgrade is refused.
    pub async fn open(target: &Target, options: &SocketOptions) -> Result<Self, ClientError> {
        timeout(options.deadline, Self::upgrade(target, options))
            .await
            .map_err(|_| ClientError::Lost("no upgrade in time".to_owned()))?
    }

    async fn upgrade(target: &Target, options: &SocketOptions) -> Result<Self, ClientError> {
        let tcp = connect(target.address, options.source, options.receive_buffer).await?;
        tcp.set_nodelay(true)?;
        let mut request = format!("ws://{}{}", target.authority, options.door)
            .into_client_request()
            .map_err(|error| ClientError::Lost(error.to_string()))?;
        let protocol = HeaderValue::from_static(options.format.subprotocol());
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        let config = WebSocketConfig::default()
            .read_buffer_size(options.read_bytes)
            .write_buffer_size(options.read_bytes)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let (stream, _response) =
            client_async_with_config(request, tcp, Some(config)).await.map_err(|error| refused_upgrade(&error))?;
        Ok(Self { stream, format: options.format, heard: true })
    }

    /// The format it speaks.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether anything came since this was last asked.
    pub(crate) const fn take_heard(&mut self) -> bool {
        std::mem::replace(&mut self.heard, false)
    }

    /// Sends a frame and waits until the kernel has it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`].
    pub async fn send(&mut self, frame: &ClientFrame) -> Result<(), ClientError> {
        let message = self.message(frame)?;
        self.stream.send(message).await.map_err(|error| ClientError::Lost(error.to_string()))
    }

    /// The next frame, or the end. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreadable`] for a frame that this client cannot read.
    pub async fn recv(&mut self) -> Result<Incoming, ClientError> {
        loop {
            match std::future::poll_fn(|cx| self.poll_recv(cx)).await {
                RawIncoming::Ended(ending) => return Ok(Incoming::Ended(ending)),
                RawIncoming::Frame(bytes) => match codec::decode_server(&bytes, self.format) {
                    Ok(frame) => return Ok(Incoming::Frame(Box::new(frame))),
                    // From a newer server: skipped, as the protocol asks.
                    Err(codec::DecodeError::UnknownType { .. }) => {}
                    Err(error) => return Err(ClientError::Unreadable(error.to_string())),
                },
            }
        }
    }

    /// Is gone without a word: the other side is told by a reset, and no port stays behind that has to wait.
    pub(crate) fn reset(self) {
        // Whether the reset can be asked for makes no difference to a socket that is dropped.
        SockRef::from(self.stream.get_ref()).set_linger(Some(Duration::ZERO)).ok();
    }

    /// Says goodbye and waits for the answer, up to two seconds.
    pub async fn close(mut self) {
        let goodbye = async {
            if self.stream.close(None).await.is_ok() {
                while let Some(Ok(_)) = self.stream.next().await {}
            }
        };
        // A server that does not answer is left all the same.
        drop(timeout(Duration::from_secs(2), goodbye).await);
    }

    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<RawIncoming> {
        loop {
            let ended = |code, reason| Poll::Ready(RawIncoming::Ended(Ending { code, reason }));
            let next = std::task::ready!(Pin::new(&mut self.stream).poll_next(cx));
            self.heard = true;
            match next {
                Some(Ok(Message::Text(text))) => return Poll::Ready(RawIncoming::Frame(text.into())),
                Some(Ok(Message::Binary(bytes))) => return Poll::Ready(RawIncoming::Frame(bytes)),
                Some(Ok(Message::Close(frame))) => {
                    return match frame {
                        Some(frame) => ended(Some(RawCloseCode::into(frame.code)), frame.reason.to_string()),
                        None => ended(Some(1005), String::new()),
                    };
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return ended(None, error.to_string()),
                None => return ended(None, "the stream ended".to_owned()),
            }
        }
    }

    /// Takes a frame for the next flush. `Pending` while the socket is full.
    pub(crate) fn poll_queue<T: Serialize>(
        &mut self,
        frame: &T,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ClientError>> {
        let lost = |error: WsError| ClientError::Lost(error.to_string());
        std::task::ready!(Pin::new(&mut self.stream).poll_ready(cx)).map_err(lost)?;
        let message = self.message(frame)?;
        Poll::Ready(Pin::new(&mut self.stream).start_send(message).map_err(lost))
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Pin::new(&mut self.stream).poll_flush(cx).map_err(|error| ClientError::Lost(error.to_string()))
    }

    fn message<T: Serialize>(&self, frame: &T) -> Result<Message, ClientError> {
        let bytes = codec::encode(frame, self.format).map_err(|error| ClientError::Unreadable(error.to_string()))?;
        Ok(match self.format {
            Format::Json => {
                let text = bytes.try_into().map_err(|_| ClientError::Unreadable("not UTF-8".to_owned()))?;
                Message::Text(text)
            }
            Format::MessagePack => Message::Binary(bytes),
        })
    }
}

fn refused_upgrade(error: &WsError) -> ClientError {
    match error {
        WsError::Http(response) => ClientError::UpgradeRefused(response.status().as_u16()),
        other => ClientError::Lost(other.to_string()),
    }
}
