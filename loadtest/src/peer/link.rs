//! One socket to a peer: opened, logged in, read in gulps and written in joined frames.
//!
//! Owned by one task. Reads as much as is there with one wake, as a receiver of many messages must not be what is
//! measured; answers pings itself.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{SinkExt, Stream};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::wire::{Frame, Heard, Publish, Unreadable, Wire};
use crate::client::http::Target;
use crate::client::tcp::connect;

/// TCP, upgrade, login and joining are given up after this long.
const OPENING: Duration = Duration::from_secs(15);
/// Frames that are read with one wake: enough for any burst, and the others get their turn.
const GULP: usize = 256;
/// The longest message that is read.
const LONGEST: usize = 1024 * 1024;

/// Why a connection is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// No connection, or it broke.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The same, as the kernel tells it.
    #[error("the connection was lost: {0}")]
    Io(#[from] std::io::Error),
    /// Nothing came in time.
    #[error("no answer in {} s", OPENING.as_secs())]
    Silent,
    /// The server does not want it.
    #[error("refused: {0}")]
    Refused(String),
    /// The server says what this wire does not know.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl From<WsError> for LinkError {
    fn from(error: WsError) -> Self {
        Self::Lost(error.to_string())
    }
}

/// A logged-in connection.
pub(super) struct Link {
    stream: WebSocketStream<TcpStream>,
    wire: Box<dyn Wire>,
    /// What the wire wants said.
    due: Vec<Frame>,
}

impl Link {
    /// Connects and logs in; it reads so much at once.
    pub(super) async fn open(target: &Target, wire: Box<dyn Wire>, read_bytes: usize) -> Result<Self, LinkError> {
        timeout(OPENING, Self::log_in(target, wire, read_bytes)).await.map_err(|_| LinkError::Silent)?
    }

    async fn log_in(target: &Target, mut wire: Box<dyn Wire>, read_bytes: usize) -> Result<Self, LinkError> {
        let tcp = connect(target.address, None, None).await?;
        tcp.set_nodelay(true)?;
        let door = wire.door();
        let mut request = format!("ws://{}{}", target.authority, door.path).into_client_request()?;
        if let Some(subprotocol) = door.subprotocol {
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(read_bytes)
            .write_buffer_size(read_bytes)
            .max_message_size(Some(LONGEST))
            .max_frame_size(Some(LONGEST));
        let (stream, _response) = client_async_with_config(request, tcp, Some(config)).await?;
        let due = wire.hello().into_iter().collect();
        let mut link = Self { stream, wire, due };
        link.flush().await?;
        link.wait_for(&Heard::Ready).await?;
        Ok(link)
    }

    /// Follows a room.
    pub(super) async fn join(&mut self, room: &str) -> Result<(), LinkError> {
        let Some(frame) = self.wire.join(room) else { return Ok(()) };
        self.due.push(frame);
        self.flush().await?;
        timeout(OPENING, self.wait_for(&Heard::Joined)).await.map_err(|_| LinkError::Silent)?
    }

    async fn wait_for(&mut self, awaited: &Heard<'_>) -> Result<(), LinkError> {
        let mut came = false;
        let mut refused = None;
        while !came {
            self.listen(|heard| match heard {
                Heard::Refused(words) => refused = Some(words),
                heard => came |= heard == *awaited,
            })
            .await?;
            if let Some(words) = refused {
                return Err(LinkError::Refused(words));
            }
        }
        Ok(())
    }

    /// Waits until something comes, and tells all that is there. Answers what wants an answer. Cancel safe.
    pub(super) async fn listen(&mut self, mut tell: impl FnMut(Heard<'_>)) -> Result<(), LinkError> {
        std::future::poll_fn(|cx| self.poll_gulp(cx, &mut tell)).await?;
        if self.due.is_empty() { Ok(()) } else { self.flush().await }
    }

    fn poll_gulp(&mut self, cx: &mut Context<'_>, tell: &mut dyn FnMut(Heard<'_>)) -> Poll<Result<(), LinkError>> {
        for read in 0..GULP {
            let next = match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Ready(next) => next,
                // What was read already is told; the waker stands for the rest.
                Poll::Pending => return if read == 0 { Poll::Pending } else { Poll::Ready(Ok(())) },
            };
            let due = &mut self.due;
            let mut sort = |heard: Heard<'_>| match heard {
                Heard::Say(frame) => due.push(frame),
                heard => tell(heard),
            };
            match next {
                Some(Ok(Message::Text(text))) => self.wire.read(text.as_bytes(), &mut sort)?,
                Some(Ok(Message::Binary(bytes))) => self.wire.read(&bytes, &mut sort)?,
                Some(Ok(Message::Close(frame))) => {
                    let words = frame.map_or_else(String::new, |frame| format!("{} {}", frame.code, frame.reason));
                    return Poll::Ready(Err(LinkError::Lost(format!("closed: {words}"))));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
                None => return Poll::Ready(Err(LinkError::Lost("the stream ended".to_owned()))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Publishes; written at the next [`Link::flush`].
    pub(super) fn publish(&mut self, publish: &Publish<'_>) {
        self.due.push(self.wire.publish(publish));
    }

    /// Writes what is due, in as few writes as may be.
    pub(super) async fn flush(&mut self) -> Result<(), LinkError> {
        for frame in self.due.drain(..) {
            let message = match frame {
                Frame::Text(text) => Message::Text(text.into()),
                Frame::Binary(bytes) => Message::Binary(bytes.into()),
            };
            self.stream.feed(message).await?;
        }
        Ok(self.stream.flush().await?)
    }
}

impl Drop for Link {
    /// Goes without a goodbye, and without keeping the port for a minute.
    fn drop(&mut self) {
        // A socket that is gone already needs nothing.
        drop(self.stream.get_ref().set_zero_linger());
    }
}
