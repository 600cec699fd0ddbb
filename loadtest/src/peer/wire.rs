//! What a peer's wire is to the harness: frames out, what they mean in, and no I/O between.
//!
//! One value is one connection's side of it. Each wire is a file of its own; the socket beneath is [`super::link`].

pub(super) mod centrifugo;
pub(super) mod hubbub;
pub(super) mod nats;
pub(super) mod pusher;
pub(super) mod room;
pub(super) mod socketio;
#[cfg(test)]
mod testing;

/// How a socket is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Door {
    /// The path and query.
    pub(super) path: String,
    /// The subprotocol that is asked for.
    pub(super) subprotocol: Option<&'static str>,
}

impl Door {
    pub(super) fn at(path: &str) -> Self {
        Self { path: path.to_owned(), subprotocol: None }
    }
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// A text frame.
    Text(String),
    /// A binary frame.
    Binary(Vec<u8>),
}

/// What a frame of the server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// The login is over, and what the wire asks for besides.
    Ready,
    /// What was asked for by [`Wire::join`] is so.
    Joined,
    /// A message of a room.
    Payload(&'a [u8]),
    /// A publish was taken; where the server tells it, at which place.
    Acked {
        /// The number it was published with.
        number: u64,
        /// Its place among all.
        place: Option<u64>,
    },
    /// This must be said.
    Say(Frame),
    /// The server will not have it.
    Refused(String),
}

impl Heard<'_> {
    /// A refusal, in the server's words.
    pub(super) fn refused(frame: &[u8]) -> Self {
        Self::Refused(String::from_utf8_lossy(frame).chars().take(LONGEST_REFUSAL).collect())
    }
}

/// Whether a publish is to be acknowledged, where the wire leaves a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ack {
    /// It is.
    Wanted,
    /// It is not.
    Unwanted,
}

/// What is published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Publish<'a> {
    /// Where.
    pub(super) room: &'a str,
    /// The how-manieth of this connection.
    pub(super) number: u64,
    /// The message; it needs no escaping in any wire.
    pub(super) payload: &'a str,
    /// Whether it is acknowledged.
    pub(super) ack: Ack,
}

/// A frame that the wire does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not readable: {0}")]
pub(super) struct Unreadable(pub(super) String);

/// As much of an unreadable frame or a refusal as is shown.
const LONGEST_REFUSAL: usize = 200;

impl Unreadable {
    pub(super) fn frame(frame: &[u8]) -> Self {
        Self(String::from_utf8_lossy(frame).chars().take(LONGEST_REFUSAL).collect())
    }
}

/// One connection's side of a wire.
pub(super) trait Wire {
    /// How its socket is opened.
    fn door(&self) -> Door;

    /// What is said first, before anything is heard.
    fn hello(&mut self) -> Option<Frame>;

    /// Asks for the messages of a room; [`Heard::Joined`] follows. `None` where the login brought them already.
    fn join(&mut self, room: &str) -> Option<Frame>;

    /// A message to a room.
    fn publish(&mut self, publish: &Publish<'_>) -> Frame;

    /// Reads a frame, and tells what is in it in order.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    fn read(&mut self, frame: &[u8], tell: &mut dyn FnMut(Heard<'_>)) -> Result<(), Unreadable>;
}
