//! One socket on its shard's thread: what the task that reads it and the shard that writes to it share.
//!
//! Never leaves its thread. Frames go out directly from the shard's turn, joined; only what the socket does not take now
//! waits, and then the connection's own task goes on when the socket can take more.

pub(crate) mod heartbeat;
pub(crate) mod incoming;
pub(crate) mod outbox;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hubbub_domain::identity::Caller;
use hubbub_protocol::Timestamp;
use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::close::CloseCode;
use hubbub_protocol::frame::server::{GoingAway, GoingAwayReason, ServerFrame};
use hubbub_protocol::limits::{MAX_COMMANDS_IN_FLIGHT, MAX_CURSORS};
use tokio::io::ReadBuf;
use tokio::sync::Notify;

use self::outbox::{Outbox, Place};
use crate::admission::Permit;
use crate::frame::SharedFrame;
use crate::message::{Class, ConnectionKey};
use crate::transport::Transport;
use crate::{frame, metrics};

/// A slow reader is given this long to take what tells it to come back; its frames are gone already.
const SLOW_LINGER: Duration = Duration::from_secs(30);
/// Everybody else is given this long to answer a close.
const LINGER: Duration = Duration::from_secs(5);
/// A slow reader is asked to come back after this long, in milliseconds.
const SLOW_RECONNECT_MS: u64 = 1_000;
/// Bytes of commands that may wait for their answers before no more are read: ten of the largest, or all that may wait of
/// 16 KiB each (BOUNDED).
const MAX_BYTES_IN_FLIGHT: u32 = 1024 * 1024;

/// A socket.
pub(crate) struct Connection {
    pub(crate) format: Format,
    transport: Transport,
    outbox: RefCell<Outbox>,
    task: RefCell<Option<Waker>>,
    /// Rings when the outbox has room for pages again, when a page's turn is over, and when the socket ends.
    room: Notify,
    /// The shard's second in which something was last heard.
    pub(crate) last_heard: Cell<u32>,
    /// The shard's second in which it was last pinged.
    pub(crate) last_pinged: Cell<u32>,
    /// The shard's second in which it is looked at next.
    pub(crate) look_at: Cell<u32>,
    /// When the token ends; moved on by `auth.renew`.
    pub(crate) expires_at: Cell<Timestamp>,
    /// Whether it was told that the token ends soon.
    pub(crate) warned: Cell<bool>,
    /// Ephemeral frames of the second in which the last came: that second, and how many.
    pub(crate) ephemeral: Cell<(u32, u8)>,
    /// Its task reads nothing now, whatever the client says.
    pub(crate) is_unread: Cell<bool>,
    in_flight: Cell<usize>,
    /// Bytes of their frames.
    bytes_in_flight: Cell<u32>,
    /// Conversations that were asked for and of which the home has not answered.
    wishes: Cell<usize>,
    /// A page of the log is being read for it, or given to it.
    paging: Cell<bool>,
    /// Nobody reads from it any more.
    gone: Cell<bool>,
    /// It is to close as soon as what it asked is answered; nothing more is read.
    parting: Cell<bool>,
    /// It was told when to come back.
    asked_back: Cell<bool>,
    closing: Cell<Option<CloseCode>>,
    dirty: Cell<bool>,
    _permit: Permit,
}

/// The turn of one page; dropping it gives it on.
pub(crate) struct PageTurn(Rc<Connection>);

impl Drop for PageTurn {
    fn drop(&mut self) {
        self.0.paging.set(false);
        self.0.room.notify_waiters();
    }
}

/// Whose socket it is, once that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who {
    pub(crate) key: ConnectionKey,
    pub(crate) caller: Caller,
}

impl Connection {
    pub(crate) fn new(format: Format, transport: Transport, max_outbox_bytes: usize, permit: Permit) -> Self {
        Self {
            expires_at: Cell::default(),
            ephemeral: Cell::default(),
            format,
            transport,
            outbox: RefCell::new(Outbox::new(max_outbox_bytes)),
            task: RefCell::new(None),
            room: Notify::new(),
            last_heard: Cell::new(0),
            last_pinged: Cell::new(0),
            look_at: Cell::new(0),
            warned: Cell::new(false),
            is_unread: Cell::new(false),
            in_flight: Cell::new(0),
            bytes_in_flight: Cell::new(0),
            wishes: Cell::new(0),
            paging: Cell::new(false),
            gone: Cell::new(false),
            parting: Cell::new(false),
            asked_back: Cell::new(false),
            closing: Cell::new(None),
            dirty: Cell::new(false),
            _permit: permit,
        }
    }

    /// Queues the event of a record; a reader that has no room for it is too slow.
    pub(crate) fn event(&self, bytes: Bytes, place: Place) {
        if self.closing.get().is_some() {
            return;
        }
        // Much at once is no slow reader: what it takes now comes first.
        let has_room = self.outbox.borrow().has_room_for(bytes.len()) || self.takes_some();
        if !has_room || self.outbox.borrow_mut().offer(bytes, place).is_err() {
            self.close_slow();
        }
    }

    /// Queues a frame that many get.
    pub(crate) fn shared(&self, frame: &SharedFrame, class: Class) {
        let bytes = frame.bytes(self.format);
        match class {
            Class::State => self.event(bytes, None),
            Class::Ephemeral => {
                let subject = frame.subject();
                if self.closing.get().is_some() || !self.outbox.borrow_mut().offer_ephemeral(bytes, subject) {
                    metrics::ephemeral_dropped();
                }
            }
        }
    }

    /// Queues a frame of its own.
    pub(crate) fn frame(&self, frame: &ServerFrame) {
        self.own(|bytes| frame::write(frame, self.format, bytes));
    }

    /// Answers a ping.
    pub(crate) fn pong(&self, payload: &[u8]) {
        self.own(|bytes| frame::pong(payload, bytes));
    }

    /// Answers the client's close.
    pub(crate) fn echo_close(&self, payload: &[u8]) {
        self.own(|bytes| frame::echo_close(payload, bytes));
    }

    fn own(&self, write: impl Fn(&mut Vec<u8>)) {
        if self.closing.get().is_some() || self.outbox.borrow_mut().offer_own(&write).is_ok() {
            return;
        }
        if !self.takes_some() || self.outbox.borrow_mut().offer_own(&write).is_err() {
            self.close_slow();
        }
    }

    /// Notes that a command was taken whose frame had so many bytes.
    pub(crate) fn took_command(&self, bytes: u32) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.bytes_in_flight.set(self.bytes_in_flight.get().saturating_add(bytes));
    }

    /// Queues the answer to a command of so many bytes, if it wants one, and lets the next be read.
    pub(crate) fn answer(&self, frame: Option<&ServerFrame>, bytes: u32) {
        let was_full = !self.takes_commands();
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        self.bytes_in_flight.set(self.bytes_in_flight.get().saturating_sub(bytes));
        if let Some(frame) = frame {
            self.frame(frame);
        }
        self.part_if_answered();
        if was_full {
            self.wake();
        }
    }

    /// Whether the next command may be read.
    pub(crate) fn takes_commands(&self) -> bool {
        !self.parting.get()
            && self.in_flight.get() < MAX_COMMANDS_IN_FLIGHT
            && self.bytes_in_flight.get() < MAX_BYTES_IN_FLIGHT
            && self.wishes.get() < MAX_CURSORS
    }

    /// Notes that its home was asked for a conversation.
    pub(crate) fn wished(&self) {
        self.wishes.set(self.wishes.get() + 1);
    }

    /// Notes that a wish was answered, and lets the next command be read.
    pub(crate) fn wish_answered(&self) {
        let was_full = !self.takes_commands();
        self.wishes.set(self.wishes.get().saturating_sub(1));
        if was_full {
            self.wake();
        }
    }

    /// Nobody reads from it any more: whoever waits to write pages to it gives up.
    pub(crate) fn is_left(&self) {
        self.gone.set(true);
        self.room.notify_waiters();
    }

    /// Pings it.
    pub(crate) fn ping(&self) {
        self.event(frame::ping(), None);
    }

    /// Ends it: what waits is sent, then the close. The first code stands.
    pub(crate) fn close(&self, code: CloseCode) {
        if self.closing.get().is_none() {
            self.closing.set(Some(code));
            self.outbox.borrow_mut().force(frame::close(code, None), None);
            self.closed(code);
        }
    }

    /// Asks the client to come back after this long, once. It goes on until it is closed.
    pub(crate) fn ask_back(&self, after: Duration) {
        if self.asked_back.replace(true) {
            return;
        }
        let reconnect_after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let reason = GoingAwayReason::Draining;
        self.frame(&GoingAway { reason, reconnect_after_ms, resume: Vec::new() }.into());
    }

    /// Sends the client to another node as soon as all that it asked is answered (DRAINED).
    pub(crate) fn part(&self) {
        self.parting.set(true);
        self.part_if_answered();
    }

    fn part_if_answered(&self) {
        if self.parting.get() && self.in_flight.get() == 0 && self.closing.get().is_none() {
            self.ask_back(Duration::ZERO);
            self.close(CloseCode::Restart);
        }
    }

    /// Ends a slow reader: what is not begun is dropped, and it is told where to resume (BOUNDED, RESUMABLE).
    fn close_slow(&self) {
        let code = CloseCode::SlowReader;
        self.closing.set(Some(code));
        let mut outbox = self.outbox.borrow_mut();
        let resume = outbox.abandon();
        let going = GoingAway { reason: GoingAwayReason::SlowReader, reconnect_after_ms: SLOW_RECONNECT_MS, resume };
        outbox.force(frame::encode(&going.into(), self.format), None);
        outbox.force(frame::close(code, Some(SLOW_RECONNECT_MS)), None);
        drop(outbox);
        self.closed(code);
    }

    fn closed(&self, code: CloseCode) {
        metrics::closed(code.reason());
        self.room.notify_waiters();
        self.wake();
    }

    /// Reads what the client says into a buffer; nothing at its end.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_read(context, buffer)
    }

    /// Why it is being closed, if it is.
    pub(crate) fn closing(&self) -> Option<CloseCode> {
        self.closing.get()
    }

    /// How long a closed socket may take to read what waits for it.
    pub(crate) fn linger(&self) -> Duration {
        if self.closing.get() == Some(CloseCode::SlowReader) { SLOW_LINGER } else { LINGER }
    }

    /// Marks it for the flush at the end of the turn; true if it was not marked.
    pub(crate) fn mark_dirty(&self) -> bool {
        !self.dirty.replace(true)
    }

    /// Writes what the socket takes now. What it does not take is the connection's task's.
    pub(crate) fn flush(&self) {
        self.dirty.set(false);
        let result = self.write_now();
        if result.is_err() || self.has_unsent() {
            // A broken socket is noticed by its task, which reads it.
            self.wake();
        }
    }

    /// Writes before the turn ends what the socket takes; false if it is broken.
    fn takes_some(&self) -> bool {
        self.write_now().is_ok()
    }

    /// Writes what the socket takes, and rings if that made room.
    fn write_now(&self) -> io::Result<()> {
        let mut outbox = self.outbox.borrow_mut();
        let was_high = outbox.is_high();
        let result = outbox.write_to(&self.transport).and_then(|()| self.transport.try_flush());
        if was_high && !outbox.is_high() {
            self.room.notify_waiters();
        }
        result
    }

    /// Whether pages may be queued.
    pub(crate) fn has_room_now(&self) -> bool {
        !self.outbox.borrow().is_high()
    }

    /// Waits until pages may be queued; false if it is closing or gone.
    pub(crate) async fn has_room(&self) -> bool {
        loop {
            let room = self.room.notified();
            if self.is_over() {
                return false;
            }
            if self.has_room_now() {
                return true;
            }
            room.await;
        }
    }

    /// Waits for the turn to read a page of the log for it: one at a time, and only when it has room. `None` if it is
    /// closing or gone, or the page is no longer wanted.
    pub(crate) async fn page_turn(self: &Rc<Self>, mut wanted: impl FnMut() -> bool) -> Option<PageTurn> {
        loop {
            let room = self.room.notified();
            if self.is_over() || !wanted() {
                return None;
            }
            if self.has_room_now() && !self.paging.replace(true) {
                return Some(PageTurn(Rc::clone(self)));
            }
            room.await;
        }
    }

    const fn is_over(&self) -> bool {
        self.closing.get().is_some() || self.gone.get()
    }

    /// Sends the end of the stream, and reads to the client's.
    pub(crate) async fn hear_out(&self) {
        self.transport.hear_out().await;
    }

    /// Says the end of the session, where there is one and it is not said yet.
    pub(crate) fn say_end(&self) {
        // A client that is gone needs no word.
        drop(self.transport.try_end());
    }

    /// Whether something that was queued is still to be sent.
    fn has_unsent(&self) -> bool {
        !self.outbox.borrow().is_empty() || self.transport.has_unsent()
    }

    fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }

    /// Lets this task be woken when there is something to write, and writes. Ready only when nothing waits any more, or
    /// with the socket's error.
    pub(crate) fn poll_drain(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            *task = Some(context.waker().clone());
        }
        drop(task);
        loop {
            if !self.has_unsent() {
                return Poll::Ready(Ok(()));
            }
            match self.transport.poll_write_ready(context) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
            self.write_now()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::admission::Admission;
    use crate::config::HubConfig;

    async fn connection() -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        let permit = Admission::new(&HubConfig::default()).admit(address.ip()).ok().unwrap();
        Connection::new(Format::Json, Transport::Plain(tcp), 1024, permit)
    }

    /// Takes little at once, and gives the other end.
    async fn narrow() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(1).unwrap();
        let theirs = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (ours, peer) = listener.accept().await.unwrap();
        socket2::SockRef::from(&ours).set_send_buffer_size(1).unwrap();
        let permit = Admission::new(&HubConfig::default()).admit(peer.ip()).ok().unwrap();
        (Connection::new(Format::Json, Transport::Plain(ours), 1 << 30, permit), theirs)
    }

    #[tokio::test]
    async fn in_order_partial_writes_of_a_socket_never_cut_a_frame() {
        let (connection, mut theirs) = narrow().await;
        let mut draw = 1_u64;
        let mut draw = |below: u64| {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((draw >> 33) % below).unwrap()
        };
        let frames: Vec<(bool, Vec<u8>)> = (0..600_u32)
            .map(|number| {
                (
                    draw(3) == 0,
                    vec![u8::try_from(number % 251).unwrap(); 1 + draw(if number % 9 == 0 { 9_000 } else { 120 })],
                )
            })
            .collect();
        let mut expected = Vec::new();
        for (is_own, payload) in &frames {
            if *is_own { frame::pong(payload, &mut expected) } else { expected.extend_from_slice(payload) }
        }
        let pauses: Vec<bool> = frames.iter().map(|_| draw(4) == 0).collect();
        let write = async {
            for ((is_own, payload), pauses) in frames.iter().zip(pauses) {
                if *is_own {
                    connection.pong(payload);
                } else {
                    connection.event(payload.clone().into(), None);
                }
                if pauses {
                    connection.flush();
                    tokio::task::yield_now().await;
                }
            }
            std::future::poll_fn(|context| connection.poll_drain(context)).await.unwrap();
        };
        let sizes: Vec<usize> = (0..64).map(|_| 1 + draw(700)).collect();
        let read = async {
            let (mut heard, mut buffer) = (Vec::new(), [0; 1024]);
            for size in sizes.iter().cycle() {
                if heard.len() == expected.len() {
                    break;
                }
                let read = tokio::io::AsyncReadExt::read(&mut theirs, &mut buffer[..*size]).await.unwrap();
                heard.extend_from_slice(&buffer[..read]);
            }
            heard
        };
        let ((), heard) = tokio::join!(write, read);
        assert!(heard == expected, "IN-ORDER: every byte of every frame, whatever the socket took at once");
    }

    #[tokio::test]
    async fn drained_a_socket_that_is_handed_over_hears_the_answers_to_all_that_was_taken_first() {
        let connection = connection().await;
        connection.took_command(0);
        connection.took_command(0);
        connection.part();
        assert!(!connection.takes_commands(), "nothing more is read");
        connection.answer(None, 0);
        assert_eq!(connection.closing(), None, "DRAINED: one is still to be answered");
        let room = || (0..1024).rev().find(|more| connection.outbox.borrow().has_room_for(*more));
        connection.ask_back(Duration::from_secs(1));
        let left = room();
        connection.ask_back(Duration::ZERO);
        assert_eq!(room(), left, "it is told once when to come back");
        connection.answer(None, 0);
        assert_eq!(connection.closing(), Some(CloseCode::Restart));
    }

    #[tokio::test]
    async fn a_socket_that_is_not_read_is_not_left_for_its_silence() {
        let (connection, config) = (connection().await, HubConfig::default());
        connection.expires_at.set(Timestamp::from_ms(1));
        let after = |seconds: u64| {
            heartbeat::check(&connection, 0, u32::try_from(seconds).unwrap(), Timestamp::default(), &config);
            connection.closing()
        };
        let dead = config.dead_after.as_secs() + 1;
        (0..MAX_COMMANDS_IN_FLIGHT).for_each(|_| connection.took_command(0));
        assert_eq!(after(dead), None, "its answers are late, not its words");
        connection.answer(None, 0);
        assert_eq!(after(2 * dead - 1), None, "it is read again, and has its time");
        assert_eq!(after(2 * dead), Some(CloseCode::HeartbeatLost));
    }

    #[tokio::test]
    async fn a_socket_whose_task_has_not_read_since_is_not_left_for_its_silence() {
        let (connection, config) = (connection().await, HubConfig::default());
        connection.expires_at.set(Timestamp::from_ms(1));
        let dead = u32::try_from(config.dead_after.as_secs() + 1).unwrap();
        let check = |second| heartbeat::check(&connection, 0, second, Timestamp::default(), &config);
        connection.is_unread.set(true);
        check(dead);
        assert_eq!(connection.closing(), None, "its words may lie there");
        connection.is_unread.set(false);
        check(2 * dead);
        assert_eq!(connection.closing(), Some(CloseCode::HeartbeatLost), "nothing was heard since");
    }

    #[tokio::test]
    async fn a_look_is_planned_for_the_second_in_which_something_is_due_and_no_later() {
        let config = HubConfig::default();
        let (heartbeat, dead_after) = (config.heartbeat.as_secs(), config.dead_after.as_secs());
        let at = |second: u32| Timestamp::from_ms(1_000 * i64::from(second) + 300);
        // A token that ends while nothing is heard, after the socket is dead, long before a ping, and just so.
        for expires_ms in [70_000, 1_000_000, 4_200, 61_000, 60_300, 30_300] {
            for heard in [0, 7] {
                let (often, planned) = (connection().await, connection().await);
                for connection in [&often, &planned] {
                    connection.expires_at.set(Timestamp::from_ms(expires_ms));
                    connection.last_heard.set(heard);
                }
                let mut look_at = 1;
                for second in 1..=u32::try_from(heartbeat + dead_after).unwrap() {
                    let said = heartbeat::check(&often, 3, second, at(second), &config);
                    if second < look_at {
                        assert!(
                            !said,
                            "{expires_ms}: something was due at {second}, and the look planned for {look_at}"
                        );
                    } else {
                        assert_eq!(heartbeat::check(&planned, 3, second, at(second), &config), said);
                        look_at = heartbeat::next_look(&planned, 3, second, at(second), &config);
                        assert!(look_at > second);
                    }
                    assert_eq!(often.closing(), planned.closing());
                    if often.closing().is_some() {
                        break;
                    }
                }
                assert!(often.closing().is_some(), "each ends, by its token or its silence");
            }
        }
    }

    #[tokio::test]
    async fn bounded_no_command_is_read_while_as_many_as_may_be_wait_for_their_answer() {
        let connection = connection().await;
        for taken in 0..MAX_COMMANDS_IN_FLIGHT {
            assert!(connection.takes_commands(), "{taken} wait");
            connection.took_command(0);
        }
        assert!(!connection.takes_commands(), "BOUNDED: as many wait as may");
        connection.answer(None, 0);
        assert!(connection.takes_commands(), "an answer makes room for the next");
    }

    #[tokio::test]
    async fn bounded_no_command_is_read_while_as_many_bytes_as_may_be_wait_for_their_answer() {
        let connection = connection().await;
        let slow = MAX_BYTES_IN_FLIGHT / 2;
        connection.took_command(slow);
        for _ in 0..3 {
            assert!(connection.takes_commands(), "what is answered counts no more, whatever else still waits");
            connection.took_command(MAX_BYTES_IN_FLIGHT - slow);
            assert!(!connection.takes_commands(), "BOUNDED: as many bytes wait as may");
            connection.answer(None, MAX_BYTES_IN_FLIGHT - slow);
        }
        connection.answer(None, slow);
        assert_eq!((connection.in_flight.get(), connection.bytes_in_flight.get()), (0, 0));
    }
}
