//! One simulated device: it logs in, follows its conversations, sends, and comes back by itself.
//!
//! Owned by one task, which asks [`Client::next`] again and again; there is no task inside. It checks IN-ORDER on every
//! event, resumes from its own cursors after any loss (RESUMABLE), and repeats a send with the same client message id
//! until it was acked or refused for good (ONCE, HONEST). Leaves judging to [`crate::ledger`].

pub mod account;
pub mod http;
pub mod socket;
pub mod stamp;

mod conversations;
mod error;
pub(crate) mod knock;
mod link;
mod options;
mod sends;
pub(crate) mod tcp;
mod wire;

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hubbub_protocol::frame::client::ClientFrame;
use hubbub_protocol::frame::server::{Gap, GoingAway, ServerFrame};
use hubbub_protocol::{ClientMessageId, ConversationId, ErrorBody, Sequence};

use self::conversations::Conversations;
pub use self::conversations::Step;
pub use self::error::ClientError;
use self::link::Link;
pub use self::options::{Following, Options};
use self::sends::Sends;
use self::socket::Ending;
pub use self::wire::{Change, Seen};

/// What happened to a client, in the order in which it did.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// A socket is open and logged in.
    Connected,
    /// The socket is gone; another will be opened.
    Disconnected {
        /// How it ended.
        ending: Ending,
        /// What `going_away` said before, if it came.
        told: Option<GoingAway>,
        /// For how long the server had said nothing, if it was left for that.
        silent_for: Duration,
    },
    /// No socket could be opened; it is tried again.
    Failed(String),
    /// An event came.
    Heard {
        /// Which of the client's conversations.
        slot: usize,
        /// What came.
        seen: Seen,
        /// Whether it is the one that was due (IN-ORDER).
        step: Step,
        /// Before `live` came, or after.
        via: Via,
    },
    /// The server cannot give a range.
    Gap {
        /// Which of the client's conversations.
        slot: usize,
        /// The range.
        gap: Gap,
    },
    /// A replay is over.
    Live {
        /// Which of the client's conversations.
        slot: usize,
        /// The live edge, as the server says.
        sequence: Sequence,
        /// What the client holds; anything but the edge is a loss (RESUMABLE).
        held: Sequence,
    },
    /// A send is on disk.
    Acked {
        /// Which of the client's conversations.
        slot: usize,
        /// The message.
        id: ClientMessageId,
        /// Its place.
        sequence: Sequence,
        /// How often it was written.
        tries: u32,
    },
    /// A send was not taken for now, or nobody knows whether it was: it will be repeated.
    Deferred {
        /// Why.
        error: ErrorBody,
    },
    /// A send was refused for good.
    Refused {
        /// Which of the client's conversations.
        slot: usize,
        /// The message.
        id: ClientMessageId,
        /// Why.
        error: ErrorBody,
    },
    /// Something else came: marks, presence, replies to [`Client::say`].
    Frame(Box<ServerFrame>),
}

/// How an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// As it happened.
    Live,
    /// From the log, after a cursor.
    Replay,
}

/// A simulated device.
pub struct Client {
    link: Link,
    conversations: Conversations,
    sends: Sends,
    ready: VecDeque<Happening>,
    said: VecDeque<ClientFrame>,
    scratch: Vec<u8>,
    /// How often it was told that somebody writes.
    typings: u64,
}

impl Client {
    /// A device of this account; it connects at the first [`Client::next`].
    pub fn new(options: Options) -> Self {
        Self {
            link: Link::new(options),
            conversations: Conversations::default(),
            sends: Sends::default(),
            ready: VecDeque::new(),
            said: VecDeque::new(),
            scratch: Vec::new(),
            typings: 0,
        }
    }

    /// Names a conversation, and what the device holds of it. Gives its slot, under which happenings speak of it.
    pub fn hold(&mut self, conversation_id: ConversationId, after: Sequence) -> usize {
        self.conversations.hold(conversation_id, after)
    }

    /// The slot of a conversation; a new one if it was never heard of.
    pub fn slot(&mut self, conversation_id: ConversationId) -> usize {
        self.conversations.slot(conversation_id)
    }

    /// What the device holds of a conversation.
    pub fn cursor(&self, slot: usize) -> Option<Sequence> {
        self.conversations.cursor(slot)
    }

    /// Sends a message: written as soon as may be, repeated until it is settled.
    pub fn send(&mut self, slot: usize, id: ClientMessageId, payload: Bytes) {
        self.sends.push(slot, id, payload);
    }

    /// Says something else, once: it is dropped if the socket is gone before.
    pub fn say(&mut self, frame: impl Into<ClientFrame>) {
        self.said.push_back(frame.into());
    }

    /// Whether a socket is open and every conversation is live on it.
    pub fn is_live(&self) -> bool {
        self.link.is_live() && self.conversations.all_live()
    }

    /// Which of its targets it is connected to.
    pub fn node(&self) -> Option<usize> {
        self.link.node()
    }

    /// When it came to the door of the server that it is connected to.
    pub const fn knocked_at(&self) -> Instant {
        self.link.knocked_at()
    }

    /// How often it was told that somebody writes.
    pub const fn typings(&self) -> u64 {
        self.typings
    }

    /// Loses its connection, as the network does it: without a word. It comes back at once.
    pub fn drop_connection(&mut self) {
        if self.link.is_up() {
            self.link.drop_connection();
            self.sends.disconnected();
            self.said.clear();
            let ending = Ending { code: None, reason: "dropped".to_owned() };
            self.ready.push_back(Happening::Disconnected { ending, told: None, silent_for: Duration::ZERO });
        }
    }

    /// Goes home: closes the socket, and opens none until it is told to come back. What was sent is kept.
    pub fn leave(&mut self) {
        self.link.leave();
        self.sends.disconnected();
        self.said.clear();
    }

    /// Connects again, to the next server.
    pub const fn come_back(&mut self) {
        self.link.come_back();
    }

    /// What happens next. Cancel safe; never ends, as the client always comes back.
    pub async fn next(&mut self) -> Happening {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The same for a task that waits for other things as well.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Happening> {
        loop {
            if let Some(happening) = self.ready.pop_front() {
                return Poll::Ready(happening);
            }
            std::task::ready!(self.advance(cx));
        }
    }

    /// Says goodbye.
    pub async fn close(self) {
        self.link.close().await;
    }

    /// One step: `Ready` if something may have happened.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.link.is_up() {
            match std::task::ready!(self.link.poll_open(cx, || self.conversations.auth_cursors())) {
                Ok(conversations) => {
                    self.conversations.connected(self.link.following());
                    // Whoever unsubscribes at once waits for nothing.
                    let due = if self.link.following() == Following::All { conversations } else { 0 };
                    self.link.expect_lives(due);
                    self.ready.push_back(Happening::Connected);
                }
                Err(error) => self.ready.push_back(Happening::Failed(error.to_string())),
            }
            return Poll::Ready(());
        }
        if self.link.may_read() {
            match self.link.poll_read(cx, &mut self.scratch) {
                Poll::Ready(link::Read::Glance(glance)) => {
                    self.heard(glance);
                    return Poll::Ready(());
                }
                Poll::Ready(link::Read::Ended(ending)) => {
                    self.lost(ending);
                    return Poll::Ready(());
                }
                Poll::Pending => {}
            }
        }
        match self.poll_write(cx) {
            Ok(true) => Poll::Ready(()),
            Ok(false) => Poll::Pending,
            Err(error) => {
                self.lost(Ending { code: None, reason: error.to_string() });
                Poll::Ready(())
            }
        }
    }

    /// Writes what may be written; `true` if reading should go on at once.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, ClientError> {
        let next_wake = self.sends.wake(Instant::now());
        while let Some(frame) = self.conversations.next_command() {
            if self.link.poll_queue(&frame, cx)?.is_pending() {
                self.conversations.put_back(frame);
                break;
            }
        }
        while let Some(frame) = self.said.front() {
            if self.link.poll_queue(frame, cx)?.is_pending() {
                break;
            }
            self.said.pop_front();
        }
        while self.sends.in_flight() < self.link.max_in_flight() {
            let Some((number, pending)) = self.sends.front() else { break };
            let Some(conversation_id) = self.conversations.id(pending.slot) else { break };
            if self.link.poll_send(number, conversation_id, pending, cx)?.is_pending() {
                break;
            }
            self.sends.written();
        }
        self.link.poll_rest(cx, next_wake)
    }

    fn heard(&mut self, glance: wire::Glance) {
        match glance {
            wire::Glance::Event(seen) => {
                if self.link.following() == Following::Nothing {
                    self.conversations.ignore(seen.conversation_id);
                } else if let Some((slot, step, via)) = self.conversations.heard(seen.conversation_id, seen.sequence) {
                    self.ready.push_back(Happening::Heard { slot, seen, step, via });
                }
            }
            wire::Glance::Ack { command, sequence } => {
                if let Some(done) = self.sends.acked(command) {
                    let acked = Happening::Acked { slot: done.slot, id: done.id, sequence, tries: done.tries };
                    self.ready.push_back(acked);
                }
            }
            wire::Glance::Typing => self.typings += 1,
            wire::Glance::Other(frame) => self.heard_frame(*frame),
        }
    }

    fn heard_frame(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Live(live) => {
                self.link.one_live();
                if self.link.following() == Following::Nothing {
                    self.conversations.ignore(live.conversation_id);
                } else if let Some((slot, held)) = self.conversations.live(&live) {
                    self.ready.push_back(Happening::Live { slot, sequence: live.seq, held });
                }
            }
            ServerFrame::Gap(gap) => {
                if let Some(slot) = self.conversations.gap(&gap) {
                    self.ready.push_back(Happening::Gap { slot, gap });
                }
            }
            ServerFrame::CommandError(refused) => {
                let number = refused.id.as_ref().and_then(|id| id.parse().ok());
                let Some(number) = number else {
                    if refused.id.as_ref().is_some_and(|id| conversations::is_command(id)) {
                        // A resume that is not taken: from the beginning, on another socket.
                        self.lost(Ending { code: None, reason: refused.error.message });
                    } else {
                        self.ready.push_back(Happening::Frame(Box::new(refused.into())));
                    }
                    return;
                };
                let error = refused.error;
                self.ready.push_back(match self.sends.refused(number, &error, Instant::now()) {
                    Some(done) => Happening::Refused { slot: done.slot, id: done.id, error },
                    None => Happening::Deferred { error },
                });
            }
            ServerFrame::CommandOk(ok) if ok.id.as_ref().is_some_and(|id| conversations::is_command(id)) => {
                self.conversations.command_done(ok.id.as_deref().unwrap_or_default());
            }
            ServerFrame::AuthExpiring(_) => self.link.renew_soon(),
            ServerFrame::GoingAway(going) => self.link.going_away(going),
            other => self.ready.push_back(Happening::Frame(Box::new(other))),
        }
    }

    fn lost(&mut self, ending: Ending) {
        let silent_for = self.link.silent_for();
        let told = self.link.lost(&ending);
        self.sends.disconnected();
        self.said.clear();
        self.ready.push_back(Happening::Disconnected { ending, told, silent_for });
    }
}
