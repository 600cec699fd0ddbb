//! A client's connection: opened, lost, opened again after a jittered pause, its token renewed on the way.
//!
//! A state machine that is polled by its client; it owns no task. Keeps BOUNDED on the client's side: never more sends
//! in flight than the server takes.

mod life;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hubbub_protocol::frame::Cursor;
use hubbub_protocol::frame::client::MessageSend;
use hubbub_protocol::frame::close::{CloseAction, CloseCode};
use hubbub_protocol::frame::server::GoingAway;
use hubbub_protocol::{ConversationId, Payload};
use serde::Serialize;
use tokio::time::Sleep;

use super::ClientError;
use super::options::{Following, Options};
use super::sends::Pending;
use super::socket::{Ending, RawIncoming, Socket};
use super::stamp::mix;
use super::wire::{self, Glance};

/// The pause before the first attempt to come back is up to this long; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A token must be good for this long to be worth naming: longer than the notice, or it would be announced at once.
const TOKEN_LEFT: Duration = Duration::from_secs(65);
/// Frames read in a row before what is to be written goes first.
const READS_IN_A_ROW: u32 = 64;

type Opening = Pin<Box<dyn Future<Output = Result<(Box<Socket>, u64), ClientError>> + Send>>;
type Leaving = Pin<Box<dyn Future<Output = ()> + Send>>;
type Renewal = Pin<Box<dyn Future<Output = Result<String, ClientError>> + Send>>;

enum State {
    Resting(Pin<Box<Sleep>>),
    Idle,
    Opening(Opening),
    Up(Box<Socket>),
    /// Gone home, saying goodbye.
    Leaving(Leaving),
}

pub(crate) enum Read {
    Glance(Glance),
    Ended(Ending),
}

pub(crate) struct Link {
    options: Options,
    state: State,
    /// Attempts since the last login.
    attempts: u32,
    /// Which target is next.
    turn: usize,
    /// When the last attempt began.
    knocked_at: Instant,
    jitter: u64,
    told: Option<GoingAway>,
    /// `live` frames that are still to come after a login.
    lives_due: u64,
    reads_in_a_row: u32,
    unflushed: bool,
    timer: Option<Pin<Box<Sleep>>>,
    renew_at: Option<Instant>,
    renewal: Option<Renewal>,
    /// The next look at whether the server lives, how many in a row heard nothing, and when the last heard something.
    look_at: Option<Instant>,
    quiet_looks: u32,
    heard_at: Instant,
    /// It is to have a socket.
    wanted: bool,
}

impl Link {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            jitter: mix(options.seed, 0x6a09_e667),
            turn: usize::try_from(options.seed).unwrap_or(0),
            options,
            state: State::Idle,
            attempts: 0,
            knocked_at: Instant::now(),
            told: None,
            lives_due: 0,
            reads_in_a_row: 0,
            unflushed: false,
            timer: None,
            renew_at: None,
            renewal: None,
            look_at: None,
            quiet_looks: 0,
            heard_at: Instant::now(),
            wanted: true,
        }
    }

    /// Which of its targets it is connected to.
    pub(crate) fn node(&self) -> Option<usize> {
        // The turn has moved on to the next.
        self.is_up().then(|| self.turn.wrapping_sub(1) % self.options.targets.len().max(1))
    }

    /// When it came to the door of the server that it is connected to.
    pub(crate) const fn knocked_at(&self) -> Instant {
        self.knocked_at
    }

    /// Closes the socket and opens none until [`Link::come_back`].
    pub(crate) fn leave(&mut self) {
        self.wanted = false;
        self.reset();
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Up(socket) => State::Leaving(Box::pin(socket.close())),
            State::Leaving(leaving) => State::Leaving(leaving),
            State::Idle | State::Resting(_) | State::Opening(_) => State::Idle,
        };
    }

    /// The socket is gone without a word, and the next is opened at once.
    pub(crate) fn drop_connection(&mut self) {
        self.reset();
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Up(socket) => socket.reset(),
            other => self.state = other,
        }
    }

    /// Opens a socket again.
    pub(crate) const fn come_back(&mut self) {
        self.wanted = true;
    }

    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    pub(crate) const fn is_live(&self) -> bool {
        self.is_up() && self.lives_due == 0
    }

    pub(crate) const fn following(&self) -> Following {
        self.options.following
    }

    pub(crate) const fn max_in_flight(&self) -> usize {
        self.options.max_in_flight
    }

    pub(crate) const fn expect_lives(&mut self, count: u64) {
        self.lives_due = count;
    }

    pub(crate) const fn one_live(&mut self) {
        self.lives_due = self.lives_due.saturating_sub(1);
    }

    /// `Ready` when a login was taken (with its number of conversations) or an attempt failed.
    pub(crate) fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
        cursors: impl FnOnce() -> Vec<Cursor>,
    ) -> Poll<Result<u64, ClientError>> {
        if let State::Resting(pause) = &mut self.state {
            std::task::ready!(pause.as_mut().poll(cx));
            self.state = State::Idle;
        }
        if let State::Leaving(goodbye) = &mut self.state {
            std::task::ready!(goodbye.as_mut().poll(cx));
            self.state = State::Idle;
        }
        if matches!(self.state, State::Idle) {
            if !self.wanted {
                return Poll::Pending;
            }
            self.state = State::Opening(self.open(cursors()));
        }
        let State::Opening(opening) = &mut self.state else { return Poll::Pending };
        match std::task::ready!(opening.as_mut().poll(cx)) {
            Ok((socket, conversations)) => {
                self.state = State::Up(socket);
                (self.attempts, self.quiet_looks, self.heard_at) = (0, 0, Instant::now());
                self.look_at = Some(self.heard_at + self.look_every());
                Poll::Ready(Ok(conversations))
            }
            Err(error) => {
                self.rest(None);
                Poll::Ready(Err(error))
            }
        }
    }

    fn open(&mut self, cursors: Vec<Cursor>) -> Opening {
        let account = Arc::clone(&self.options.account);
        let socket = self.options.socket.clone();
        let targets = Arc::clone(&self.options.targets);
        self.knocked_at = Instant::now();
        let turn = self.turn;
        self.turn = self.turn.wrapping_add(1);
        Box::pin(async move {
            let Some(target) = targets.get(turn % targets.len().max(1)) else {
                return Err(ClientError::Lost("no server is named".to_owned()));
            };
            let token = account.fresh_token(TOKEN_LEFT).await?;
            match Socket::login(target, &socket, &token, &cursors).await {
                Ok((socket, ok)) => Ok((Box::new(socket), ok.conversations)),
                Err(error) => {
                    if matches!(error, ClientError::LoginRefused(_)) {
                        account.token_refused(&token);
                    }
                    Err(error)
                }
            }
        })
    }

    /// Whether reading may go on, or what is to be written has waited long enough.
    pub(crate) const fn may_read(&self) -> bool {
        self.reads_in_a_row < READS_IN_A_ROW
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut Vec<u8>) -> Poll<Read> {
        let State::Up(socket) = &mut self.state else { return Poll::Pending };
        loop {
            match std::task::ready!(socket.poll_recv(cx)) {
                RawIncoming::Ended(ending) => return Poll::Ready(Read::Ended(ending)),
                RawIncoming::Frame(bytes) => match wire::read(&bytes, socket.format(), scratch) {
                    Ok(glance) => {
                        self.reads_in_a_row += 1;
                        return Poll::Ready(Read::Glance(glance));
                    }
                    // From a newer server: skipped, as the protocol asks.
                    Err(hubbub_protocol::codec::DecodeError::UnknownType { .. }) => {}
                    Err(error) => {
                        let reason = format!("a frame that cannot be read: {error}");
                        return Poll::Ready(Read::Ended(Ending { code: None, reason }));
                    }
                },
            }
        }
    }

    pub(crate) fn poll_queue<T: Serialize>(
        &mut self,
        frame: &T,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, ClientError> {
        let State::Up(socket) = &mut self.state else { return Ok(Poll::Pending) };
        match socket.poll_queue(frame, cx) {
            Poll::Ready(outcome) => {
                outcome?;
                self.unflushed = true;
                Ok(Poll::Ready(()))
            }
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    pub(crate) fn poll_send(
        &mut self,
        number: u64,
        conversation_id: ConversationId,
        pending: &Pending,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, ClientError> {
        let frame = MessageSend {
            id: Some(number.to_string()),
            conversation_id,
            client_message_id: pending.id,
            content_type: "application/octet-stream".to_owned(),
            encrypted_payload: Payload::new(pending.payload.clone()),
            reply_to: None,
            epoch: None,
        };
        self.poll_queue(&frame, cx)
    }

    /// Flushes, renews and arms the timer; `true` if reading should go on at once.
    pub(crate) fn poll_rest(&mut self, cx: &mut Context<'_>, next_wake: Option<Instant>) -> Result<bool, ClientError> {
        self.poll_renewal(cx)?;
        self.look(cx)?;
        if self.unflushed
            && let State::Up(socket) = &mut self.state
        {
            match socket.poll_flush(cx) {
                Poll::Ready(outcome) => {
                    outcome?;
                    self.unflushed = false;
                }
                // Its waker is registered; reading goes on meanwhile.
                Poll::Pending => {}
            }
        }
        let read_on = self.reads_in_a_row >= READS_IN_A_ROW;
        self.reads_in_a_row = 0;
        let wake_at = next_wake.into_iter().chain(self.renew_at).chain(self.look_at).min();
        Ok(self.poll_timer(cx, wake_at) || read_on)
    }

    pub(crate) fn going_away(&mut self, going: GoingAway) {
        self.told = Some(going);
    }

    /// The socket is gone: what it said before, and a pause as its close code asks for.
    pub(crate) fn lost(&mut self, ending: &Ending) -> Option<GoingAway> {
        let told = self.told.take();
        let action = ending.code.and_then(CloseCode::from_number).map(CloseCode::action);
        if action == Some(CloseAction::Reauthenticate) {
            let token = self.options.account.token();
            self.options.account.token_refused(&token);
        }
        self.reset();
        self.rest(told.as_ref().map(|going| Duration::from_millis(going.reconnect_after_ms)));
        told
    }

    /// Forgets what belonged to a connection.
    fn reset(&mut self) {
        (self.lives_due, self.reads_in_a_row, self.unflushed) = (0, 0, false);
        (self.timer, self.renew_at, self.renewal) = (None, None, None);
        (self.look_at, self.quiet_looks) = (None, 0);
    }

    fn rest(&mut self, told: Option<Duration>) {
        let longest = FIRST_PAUSE.saturating_mul(1 << self.attempts.min(10)).min(LONGEST_PAUSE);
        let pause = told.unwrap_or_default() + self.jittered(longest);
        self.attempts += 1;
        self.state = State::Resting(Box::pin(tokio::time::sleep(pause)));
    }

    fn jittered(&mut self, longest: Duration) -> Duration {
        self.jitter = mix(self.jitter, 0x9e37_79b9_7f4a_7c15);
        let share = u32::try_from(self.jitter >> 33).unwrap_or(0);
        longest.mul_f64(f64::from(share) / f64::from(1_u32 << 31))
    }

    pub(crate) async fn close(self) {
        if let State::Up(socket) = self.state {
            socket.close().await;
        }
    }
}
