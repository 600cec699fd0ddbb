//! The task of one connection: reads frames, hands commands on, and finishes what the shard could not write.
//!
//! Ends with the socket. Keeps BOUNDED: the next command is read only when one was answered, and faulty frames are
//! counted.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use hubbub_protocol::codec::{self, DecodeError, Format};
use hubbub_protocol::frame::close::CloseCode;
use hubbub_protocol::frame::server::CommandError;
use hubbub_protocol::limits::MAX_FRAME_BYTES;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::command;
use crate::connection::wire::Wire;
use crate::connection::{Connection, Who};
use crate::shard::local::Local;

/// A socket's read buffer, in bytes. Most commands fit; a larger one grows it. 4 KiB would double an idle socket.
const READ_BUFFER: usize = 1024;
/// A client that sends so many frames in a row that cannot be read does not speak this protocol.
const MAX_FAULTS: u32 = 20;

/// A connection as the WebSocket library reads it.
pub(crate) type Socket = WebSocketStream<Wire>;

/// What a socket says next.
pub(crate) enum Next {
    /// A frame's payload.
    Frame(Bytes),
    /// The client closed it.
    ClosedByClient,
    /// The shard closes it, for the reason that [`Connection::closing`] tells.
    Closing,
    /// The client broke the protocol: close it with this.
    Broken(CloseCode),
    /// It is gone.
    Gone,
}

/// A connection with bytes that were read with its request's head.
pub(crate) async fn open(connection: &Rc<Connection>, read: Bytes) -> Socket {
    // The write buffer is 0, so that whole frames come to the outbox, which does the waiting.
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_FRAME_BYTES)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES))
        .accept_unmasked_frames(false);
    WebSocketStream::from_partially_read(Wire(Rc::clone(connection)), read.to_vec(), Role::Server, Some(config)).await
}

/// Serves a connection that is logged in, until it ends.
pub(crate) async fn run(connection: Rc<Connection>, mut socket: Socket, who: Who, local: Rc<Local>) {
    converse(&connection, &mut socket, who, &local).await;
    connection.is_left();
    let _parting = local.parting();
    local.forget(who);
    say_goodbye(&connection, &mut socket).await;
}

async fn converse(connection: &Rc<Connection>, socket: &mut Socket, who: Who, local: &Rc<Local>) {
    let mut faults = 0;
    loop {
        match next(connection, socket, local).await {
            Next::Frame(bytes) => {
                let decoded = codec::decode_client(&bytes, connection.format);
                // Kept no longer than needed: these bytes pin the read buffer.
                drop(bytes);
                match decoded {
                    Ok(frame) => {
                        faults = 0;
                        command::handle(connection, who, local, frame).await;
                    }
                    Err(error) => {
                        faults += 1;
                        refuse(connection, local, &error);
                        if faults > MAX_FAULTS {
                            connection.close(CloseCode::TooManyErrors);
                        }
                    }
                }
            }
            Next::Broken(code) => connection.close(code),
            Next::ClosedByClient | Next::Closing | Next::Gone => return,
        }
    }
}

fn refuse(connection: &Rc<Connection>, local: &Local, error: &DecodeError) {
    let frame = CommandError { id: error.command_id(), error: error.into() };
    connection.frame(&frame.into());
    local.flush_later(connection);
}

/// What the socket says next, while what waits for it is written.
pub(crate) async fn next(connection: &Rc<Connection>, socket: &mut Socket, local: &Local) -> Next {
    poll_fn(|context| {
        loop {
            if let Poll::Ready(Err(_)) = connection.poll_drain(context) {
                return Poll::Ready(Next::Gone);
            }
            if connection.closing().is_some() {
                return Poll::Ready(Next::Closing);
            }
            if !connection.takes_commands() {
                // The answer to one of them wakes this task.
                return Poll::Pending;
            }
            let Poll::Ready(message) = socket.poll_next_unpin(context) else { return Poll::Pending };
            connection.last_heard.set(local.second());
            if let Some(next) = read(message, connection.format) {
                return Poll::Ready(next);
            }
        }
    })
    .await
}

/// What a message of the library's means; `None` for what only shows life.
fn read(message: Option<Result<Message, tungstenite::Error>>, format: Format) -> Option<Next> {
    Some(match (message, format) {
        (Some(Ok(Message::Text(text))), Format::Json) => Next::Frame(text.into()),
        (Some(Ok(Message::Binary(bytes))), Format::MessagePack) => Next::Frame(bytes),
        (Some(Ok(Message::Text(_) | Message::Binary(_))), _) => Next::Broken(CloseCode::Unsupported),
        (Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))), _) => return None,
        (Some(Ok(Message::Close(_))), _) => Next::ClosedByClient,
        (Some(Err(tungstenite::Error::Capacity(_))), _) => Next::Broken(CloseCode::TooLarge),
        (Some(Err(tungstenite::Error::Utf8(_))), _) => Next::Broken(CloseCode::InvalidText),
        (Some(Err(tungstenite::Error::Protocol(problem))), _) => match problem {
            // The client's end of the stream without a close frame.
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake => Next::Gone,
            _ => Next::Broken(CloseCode::Protocol),
        },
        (Some(Err(_)) | None, _) => Next::Gone,
    })
}

/// Lets the last frames go out and the client answer the close, for a bounded time.
pub(crate) async fn say_goodbye(connection: &Rc<Connection>, socket: &mut Socket) {
    let parting = async {
        poll_fn(|context| poll_parting(connection, socket, context)).await;
        if connection.closing().is_some() {
            // Closing over unread bytes resets the connection, and the close frame might be lost with it.
            connection.hear_out().await;
        } else {
            connection.say_end();
        }
    };
    // Late or not: the socket ends here.
    let _late = tokio::time::timeout(connection.linger(), parting).await;
}

/// Ready when the client has said its last and what waited for it is sent.
fn poll_parting(connection: &Connection, socket: &mut Socket, context: &mut Context<'_>) -> Poll<()> {
    let drained = match connection.poll_drain(context) {
        Poll::Ready(Err(_)) => return Poll::Ready(()),
        drained => drained.is_ready(),
    };
    loop {
        match socket.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(_))) => {}
            // What waits for a client that ended the talk itself is of no use to it.
            Poll::Ready(_) if drained || connection.closing().is_none() => return Poll::Ready(()),
            Poll::Ready(_) | Poll::Pending => return Poll::Pending,
        }
    }
}
