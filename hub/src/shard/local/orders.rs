//! Orders that concern many sockets at once: a session that ends, a drain, the end.

use std::rc::{Rc, Weak};
use std::time::Duration;

use hubbub_protocol::SessionId;
use hubbub_protocol::frame::close::CloseCode;
use hubbub_protocol::frame::server::SessionInvalidated;

use super::{Local, MAX_ENDED};
use crate::connection::Connection;
use crate::message::ConnectionKey;

impl Local {
    /// Closes the sockets of this session (MEMBERS-ONLY).
    pub(crate) fn end_session(&self, session: SessionId) {
        let mut ended = self.ended.borrow_mut();
        if ended.len() >= MAX_ENDED {
            ended.pop_front();
        }
        ended.push_back(session);
        for (connection, who) in self.seats.borrow().iter().flatten() {
            if who.caller.session_id == session {
                connection.frame(&SessionInvalidated { session_id: session }.into());
                connection.close(CloseCode::SessionRevoked);
                self.flush_later(connection);
            }
        }
    }

    /// Closes each connection at its own moment of the window. Until then it works as ever, so that nobody is without
    /// the hub for longer than it takes to come to another (DRAINED).
    pub(crate) fn hand_over(self: &Rc<Self>, window: Duration) {
        let seats = self.seats.borrow();
        let mut moments: Vec<(Duration, Weak<Connection>)> = seats
            .iter()
            .flatten()
            .map(|(connection, who)| (self.moment(who.key, window), Rc::downgrade(connection)))
            .collect();
        drop(seats);
        moments.sort_unstable_by_key(|(moment, _)| *moment);
        let (local, began) = (Rc::clone(self), tokio::time::Instant::now());
        self.spawn(async move {
            for (moment, connection) in moments {
                tokio::time::sleep_until(began + moment).await;
                if let Some(connection) = connection.upgrade() {
                    connection.part();
                    local.flush_later(&connection);
                }
            }
        });
    }

    /// Tells every connection when to come back: each a different moment of the window (DRAINED).
    pub(crate) fn announce_drain(&self) {
        for (connection, who) in self.seats.borrow().iter().flatten() {
            connection.ask_back(self.moment(who.key, self.config().reconnect_window));
            self.flush_later(connection);
        }
    }

    /// A connection's moment in a window, far from its neighbours' (Fibonacci hashing, Knuth 1973, section 6.4).
    fn moment(&self, key: ConnectionKey, window: Duration) -> Duration {
        let number = u64::from(key.slot).wrapping_add(u64::from(self.id) << 32);
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis((number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % window_ms)
    }

    pub(crate) fn close_all(&self) {
        for (connection, _) in self.seats.borrow().iter().flatten() {
            connection.close(CloseCode::Restart);
            self.flush_later(connection);
        }
    }
}
