//! The task of one connection: reads frames, hands commands on, and finishes what the shard could not write.
//!
//! Ends with the socket. Keeps BOUNDED: the next command is read only when one was answered, and faulty frames are
//! counted. It is small, as it lives as long as its socket: what seldom happens is put into a box when it does.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hubbub_protocol::codec::{self, DecodeError, Format};
use hubbub_protocol::frame::close::CloseCode;
use hubbub_protocol::frame::server::CommandError;

use crate::command::{self, Later};
use crate::connection::incoming::{Incoming, Said, Then};
use crate::connection::{Connection, Who};
use crate::shard::local::Local;

/// A client that sends so many frames in a row that cannot be read does not speak this protocol.
const MAX_FAULTS: u32 = 20;

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

/// The half of a connection that is read.
pub(crate) struct Socket {
    incoming: Incoming,
    /// The client has said its last.
    ended: bool,
}

impl Socket {
    /// One of which this was read already.
    pub(crate) fn new(read: &[u8]) -> Self {
        Self { incoming: Incoming::with(read), ended: false }
    }

    /// Gives what the client says to `hear` until that stops it.
    fn poll_hear<T>(
        &mut self,
        connection: &Connection,
        context: &mut Context<'_>,
        hear: impl FnMut(Said<'_>) -> Then<T>,
    ) -> Poll<T> {
        self.incoming.poll_hear(context, |context, buffer| connection.poll_read(context, buffer), hear)
    }
}

/// A conversation with one client.
pub(crate) struct Talk {
    connection: Rc<Connection>,
    socket: Socket,
    who: Who,
    local: Rc<Local>,
    faults: u32,
}

/// What the task of a socket weighs: everything that it holds in its long life.
const _: () = assert!(size_of::<Talk>() <= 160, "an idle socket is small");

impl Talk {
    pub(crate) const fn new(connection: Rc<Connection>, socket: Socket, who: Who, local: Rc<Local>) -> Self {
        Self { connection, socket, who, local, faults: 0 }
    }

    /// Serves a connection that is logged in, until it ends.
    #[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
    pub(crate) fn run(mut self) -> impl Future<Output = ()> {
        async move {
            // Whatever cannot be done at once is done before anything else is read.
            while let Some(later) = poll_fn(|context| self.poll(context)).await {
                Box::pin(command::wait(&self.connection, self.who, &self.local, later)).await;
            }
            self.connection.is_left();
            let _parting = self.local.parting();
            self.local.forget(self.who);
            Box::pin(say_goodbye(&self.connection, &mut self.socket)).await;
        }
    }

    /// Writes what waits and does what the client says; ready when something has to be waited for, or, with nothing,
    /// when the talk is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Later>> {
        let Self { connection, socket, who, local, faults } = self;
        loop {
            if let Poll::Ready(Err(_)) = connection.poll_drain(context) {
                return Poll::Ready(None);
            }
            if connection.closing().is_some() {
                return Poll::Ready(None);
            }
            if !connection.takes_commands() {
                // The answer to one of them wakes this task.
                connection.is_unread.set(true);
                return Poll::Pending;
            }
            connection.is_unread.set(false);
            let mut ear = Ear { connection, who: *who, local, faults, ping: None };
            let heard = socket.poll_hear(connection, context, |said| ear.hear(said));
            if let Some(payload) = ear.ping {
                connection.pong(&payload);
                local.flush_later(connection);
            }
            match ready!(heard) {
                Heard::Enough => {}
                Heard::Later(later) => {
                    connection.is_unread.set(true);
                    return Poll::Ready(Some(later));
                }
                Heard::Last => {
                    socket.ended = true;
                    return Poll::Ready(None);
                }
            }
        }
    }
}

/// Where what is said comes to.
struct Ear<'a> {
    connection: &'a Rc<Connection>,
    who: Who,
    local: &'a Rc<Local>,
    faults: &'a mut u32,
    /// The last ping. Of several that came at once it alone is answered (RFC 6455 section 5.5.3).
    ping: Option<Vec<u8>>,
}

impl Ear<'_> {
    fn hear(&mut self, said: Said<'_>) -> Then<Heard> {
        self.connection.last_heard.set(self.local.second());
        match next(self.connection, said) {
            None => Then::On,
            Some(Word::Ping(payload)) => {
                let ping = self.ping.get_or_insert_default();
                ping.clear();
                ping.extend_from_slice(payload);
                Then::On
            }
            Some(Word::Frame(bytes)) => self.frame(bytes),
            Some(Word::Broken(code)) => {
                self.connection.close(code);
                Then::Stop(Heard::Enough)
            }
            Some(Word::Last | Word::Gone) => Then::Stop(Heard::Last),
        }
    }

    fn frame(&mut self, bytes: &[u8]) -> Then<Heard> {
        match codec::decode_client(bytes, self.connection.format) {
            Ok(frame) => {
                *self.faults = 0;
                // No frame has as many bytes as the type holds.
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                if let Some(later) = command::handle(self.connection, self.who, self.local, frame, length) {
                    return Then::Stop(Heard::Later(later));
                }
            }
            Err(error) => {
                *self.faults += 1;
                refuse(self.connection, self.local, &error);
                if *self.faults > MAX_FAULTS {
                    self.connection.close(CloseCode::TooManyErrors);
                }
            }
        }
        let goes_on = self.connection.takes_commands() && self.connection.closing().is_none();
        if goes_on { Then::On } else { Then::Stop(Heard::Enough) }
    }
}

/// Why a talk stops to listen.
enum Heard {
    /// To look around.
    Enough,
    /// To wait for this.
    Later(Later),
    /// Nothing more will be said.
    Last,
}

/// What something that was said means on a socket of this format.
enum Word<'a> {
    Frame(&'a [u8]),
    Ping(&'a [u8]),
    Broken(CloseCode),
    Last,
    Gone,
}

/// What it means; `None` for what only shows life. A close is answered.
fn next<'a>(connection: &Connection, said: Said<'a>) -> Option<Word<'a>> {
    match (said, connection.format) {
        (Said::Text(text), Format::Json) => Some(Word::Frame(text)),
        (Said::Binary(bytes), Format::MessagePack) => Some(Word::Frame(bytes)),
        (Said::Text(_) | Said::Binary(_), _) => Some(Word::Broken(CloseCode::Unsupported)),
        (Said::Ping(payload), _) => Some(Word::Ping(payload)),
        (Said::Alive, _) => None,
        (Said::Broken(code), _) => Some(Word::Broken(code)),
        (Said::Close(payload), _) => {
            connection.echo_close(payload);
            connection.flush();
            Some(Word::Last)
        }
        (Said::Gone, _) => Some(Word::Gone),
    }
}

fn refuse(connection: &Rc<Connection>, local: &Local, error: &DecodeError) {
    let frame = CommandError { id: error.command_id(), error: error.into() };
    connection.frame(&frame.into());
    local.flush_later(connection);
}

/// The first frame of a socket, while what waits for it is written.
pub(crate) async fn first(connection: &Rc<Connection>, socket: &mut Socket, local: &Local) -> Next {
    poll_fn(|context| {
        if let Poll::Ready(Err(_)) = connection.poll_drain(context) {
            return Poll::Ready(Next::Gone);
        }
        if connection.closing().is_some() {
            return Poll::Ready(Next::Closing);
        }
        let heard = socket.poll_hear(connection, context, |said| {
            connection.last_heard.set(local.second());
            match next(connection, said) {
                None => Then::On,
                Some(Word::Ping(payload)) => {
                    connection.pong(payload);
                    local.flush_later(connection);
                    Then::On
                }
                Some(Word::Frame(bytes)) => Then::Stop(Next::Frame(Bytes::copy_from_slice(bytes))),
                Some(Word::Broken(code)) => Then::Stop(Next::Broken(code)),
                Some(Word::Last) => Then::Stop(Next::ClosedByClient),
                Some(Word::Gone) => Then::Stop(Next::Gone),
            }
        });
        let heard = ready!(heard);
        socket.ended = matches!(heard, Next::ClosedByClient | Next::Gone);
        Poll::Ready(heard)
    })
    .await
}

/// Lets the last frames go out and the client answer the close, for a bounded time.
pub(crate) async fn say_goodbye(connection: &Rc<Connection>, socket: &mut Socket) {
    let parting = async {
        poll_fn(|context| poll_parting(connection, socket, context)).await;
        if connection.closing().is_some() {
            // Closing over unread bytes resets the connection, and the close frame might be lost with it.
            connection.hear_out().await;
        }
    };
    // Late or not: the socket ends here.
    let _late = tokio::time::timeout(connection.linger(), parting).await;
    connection.say_end();
}

/// Ready when the client has said its last and what waited for it is sent.
fn poll_parting(connection: &Connection, socket: &mut Socket, context: &mut Context<'_>) -> Poll<()> {
    let drained = match connection.poll_drain(context) {
        Poll::Ready(Err(_)) => return Poll::Ready(()),
        drained => drained.is_ready(),
    };
    if !socket.ended {
        let heard = socket.poll_hear(connection, context, |said| match said {
            Said::Close(_) | Said::Gone => Then::Stop(()),
            _ => Then::On,
        });
        ready!(heard);
        socket.ended = true;
    }
    // What waits for a client that ended the talk itself is of no use to it.
    if drained || connection.closing().is_none() { Poll::Ready(()) } else { Poll::Pending }
}
