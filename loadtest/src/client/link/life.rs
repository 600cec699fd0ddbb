//! Whether a link's server still lives, and whether its token still holds: what a link looks after while it is up.
//!
//! Polled with the link, whose timer serves both; leaves opening and losing connections to it.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hubbub_protocol::frame::client::{AuthRenew, Ping};

use super::{LONGEST_PAUSE, Link, State, TOKEN_LEFT};
use crate::client::ClientError;

/// Sockets that share a token spread its renewal over this time, which is well within the notice.
const RENEWAL_SPREAD: Duration = Duration::from_secs(20);
/// A server that says nothing for this long is taken for dead, as the protocol has it.
const SILENCE: Duration = Duration::from_mins(1);
/// Looks at a silent server before it is taken for dead: at the last but one it is asked for a sign of life.
const LOOKS: u32 = 3;

impl Link {
    pub(super) fn look_every(&self) -> Duration {
        self.options.silence.unwrap_or(SILENCE) / LOOKS
    }

    /// Whether the server still says something; asks it to, if that is wanted.
    pub(super) fn look(&mut self, cx: &mut Context<'_>) -> Result<(), ClientError> {
        let now = Instant::now();
        if self.look_at.is_none_or(|at| at > now) {
            return Ok(());
        }
        self.look_at = Some(now + self.look_every());
        let State::Up(socket) = &mut self.state else { return Ok(()) };
        if socket.take_heard() {
            (self.quiet_looks, self.heard_at) = (0, now);
            return Ok(());
        }
        self.quiet_looks += 1;
        match (self.options.silence, self.quiet_looks) {
            // A full socket loses the question; then silence is an answer too.
            (Some(_), 1) => self.poll_queue(&Ping { id: None }, cx).map(drop),
            (Some(_), 2..) | (None, LOOKS..) => Err(ClientError::Lost("the server says nothing".to_owned())),
            _ => Ok(()),
        }
    }

    /// How long nothing was heard, if it is that what ended the connection.
    pub(crate) fn silent_for(&self) -> Duration {
        if self.quiet_looks > 1 { self.heard_at.elapsed() } else { Duration::ZERO }
    }

    /// `true` if the instant is there already.
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> bool {
        let Some(at) = at else {
            self.timer = None;
            return false;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at.into())));
        if timer.deadline() != at.into() {
            timer.as_mut().reset(at.into());
        }
        timer.as_mut().poll(cx).is_ready()
    }

    /// The token ends soon: some jittered moment from now it is renewed.
    pub(crate) fn renew_soon(&mut self) {
        let spread = self.jittered(RENEWAL_SPREAD);
        self.renew_at = Some(Instant::now() + spread);
    }

    pub(super) fn poll_renewal(&mut self, cx: &mut Context<'_>) -> Result<(), ClientError> {
        if self.renew_at.is_some_and(|at| at <= Instant::now()) {
            self.renew_at = None;
            let account = Arc::clone(&self.options.account);
            self.renewal = Some(Box::pin(async move { account.fresh_token(TOKEN_LEFT).await }));
        }
        let Some(renewal) = &mut self.renewal else { return Ok(()) };
        let Poll::Ready(renewed) = renewal.as_mut().poll(cx) else { return Ok(()) };
        self.renewal = None;
        let Ok(access_token) = renewed else {
            self.renew_at = Some(Instant::now() + LONGEST_PAUSE);
            return Ok(());
        };
        // A full socket loses this renewal; the close for an ended token then brings another login.
        self.poll_queue(&AuthRenew { id: None, access_token }, cx).map(drop)
    }
}
