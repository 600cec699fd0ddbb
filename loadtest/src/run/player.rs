//! One player: a client, the orders it gets, and the ledger that it tells of everything.
//!
//! One task a player. Its queue of orders is bounded; whoever orders too much is told.

use std::collections::HashMap;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hubbub_protocol::frame::server::GoingAway;
use hubbub_protocol::{ClientMessageId, Sequence};
use tokio::sync::mpsc;

use super::{Conversation, Run};
use crate::client::{Client, Following, Happening, Options, Seen, Via};

/// What a player can be told to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// Send one message.
    Send {
        /// To which of its conversations.
        slot: usize,
        /// When it was meant to be sent.
        intended_ns: u64,
    },
    /// Begin to send by itself.
    Begin,
    /// Stop reading for so long.
    Pause(Duration),
}

/// Who a player is.
pub(crate) struct Part {
    pub(crate) options: Options,
    /// The conversations it is in; its slots are in this order.
    pub(crate) conversations: Vec<Conversation>,
    /// How many sends it keeps in flight by itself, once told to begin.
    pub(crate) depth: usize,
    /// Whether what it reads counts for the delivery latencies.
    pub(crate) timed: bool,
}

/// A slot's place in the ledger.
struct Seat {
    conversation: usize,
    stream: Option<usize>,
}

pub(crate) struct Player {
    run: Rc<Run>,
    client: Client,
    sender: u32,
    seats: Vec<Seat>,
    orders: mpsc::Receiver<Order>,
    /// When what is not yet settled was meant to be sent.
    intended: HashMap<ClientMessageId, u64>,
    depth: usize,
    timed: bool,
    /// Where the next send of its own goes.
    turn: usize,
    was_live: bool,
}

enum Turn {
    Order(Option<Order>),
    Happening(Happening),
}

impl Player {
    pub(crate) fn new(run: Rc<Run>, part: Part, orders: mpsc::Receiver<Order>) -> Self {
        let listens = part.options.following == Following::All;
        let mut client = Client::new(part.options);
        let mut ledger = run.ledger.borrow_mut();
        let sender = ledger.sender();
        let seats = part.conversations.iter().map(|conversation| {
            client.hold(conversation.id, conversation.base);
            let stream = listens.then(|| ledger.reader(conversation.number));
            Seat { conversation: conversation.number, stream }
        });
        let seats = seats.collect();
        drop(ledger);
        let (depth, timed) = (part.depth, part.timed);
        Self { run, client, sender, seats, orders, intended: HashMap::new(), depth, timed, turn: 0, was_live: false }
    }

    /// Plays until nobody orders any more.
    pub(crate) async fn play(mut self) {
        let run = Rc::clone(&self.run);
        // Closed never: the run outlives its players.
        let mut door = run.doors.acquire().await.ok();
        loop {
            match self.turn().await {
                Turn::Order(None) => return self.client.close().await,
                Turn::Order(Some(Order::Pause(time))) => tokio::time::sleep(time).await,
                Turn::Order(Some(Order::Send { slot, intended_ns })) => {
                    run.lag.borrow_mut().record(intended_ns, run.clock.now_ns());
                    self.send(slot, intended_ns);
                }
                Turn::Order(Some(Order::Begin)) => {
                    for _ in 0..self.depth {
                        self.send_own();
                    }
                }
                Turn::Happening(happening) => self.happened(happening),
            }
            if !self.was_live && self.client.is_live() {
                self.was_live = true;
                drop(door.take());
                run.live.set(run.live.get() + 1);
            }
        }
    }

    async fn turn(&mut self) -> Turn {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(order) = self.orders.poll_recv(cx) {
                return Poll::Ready(Turn::Order(order));
            }
            self.client.poll_next(cx).map(Turn::Happening)
        })
        .await
    }

    fn send(&mut self, slot: usize, intended_ns: u64) {
        let Some(seat) = self.seats.get(slot) else { return };
        let now_ns = self.run.clock.now_ns();
        let size = self.run.common.payload;
        let mut ledger = self.run.ledger.borrow_mut();
        let (id, payload) = ledger.send(self.sender, seat.conversation, intended_ns, now_ns, size);
        self.intended.insert(id, intended_ns);
        self.client.send(slot, id, payload);
    }

    /// Closed loop: the next send, as one of the others was settled.
    fn send_own(&mut self) {
        if self.run.sending.get() && !self.seats.is_empty() {
            self.turn = (self.turn + 1) % self.seats.len();
            self.send(self.turn, self.run.clock.now_ns());
        }
    }

    fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Heard { slot, seen, via, .. } => self.heard(slot, &seen, via),
            Happening::Acked { id, sequence, tries, .. } => self.acked(id, sequence, tries),
            Happening::Refused { id, error, .. } => {
                self.intended.remove(&id);
                self.run.ledger.borrow_mut().refused(id, self.run.clock.now_ns());
                *self.run.last_failure.borrow_mut() = Some(error.to_string());
                self.next_own();
            }
            Happening::Gap { slot, gap } => {
                if let Some(stream) = self.seats.get(slot).and_then(|seat| seat.stream) {
                    self.run.ledger.borrow_mut().gap(stream, gap.from, gap.to);
                }
            }
            Happening::Disconnected { ending, told, silent_for } => {
                let _ = silent_for;
                self.run.reconnects.set(self.run.reconnects.get() + 1);
                let code = ending.code.map_or_else(|| "no close frame".to_owned(), |code| code.to_string());
                let going = told.as_ref().map_or("untold", |told| self.right_resume_points(told));
                let how = format!("{code} ({}, {going})", ending.reason);
                *self.run.endings.borrow_mut().entry(how).or_default() += 1;
            }
            Happening::Failed(why) => *self.run.last_failure.borrow_mut() = Some(why),
            Happening::Connected | Happening::Deferred { .. } | Happening::Live { .. } | Happening::Frame(_) => {}
        }
    }

    fn heard(&self, slot: usize, seen: &Seen, via: Via) {
        let Some(stream) = self.seats.get(slot).and_then(|seat| seat.stream) else { return };
        self.run.ledger.borrow_mut().delivered(stream, seen, via == Via::Replay);
        if !self.run.measuring.get() {
            return;
        }
        let mut window = self.run.window.borrow_mut();
        window.delivered += 1;
        if let Some(stamp) = &seen.stamp
            && self.timed
            && stamp.run == self.run.number
            && stamp.intended_ns >= window.began_ns
        {
            self.run.deliver.borrow_mut().record(stamp.intended_ns, self.run.clock.now_ns());
        }
    }

    fn acked(&mut self, id: ClientMessageId, sequence: Sequence, tries: u32) {
        let now_ns = self.run.clock.now_ns();
        let news = self.run.ledger.borrow_mut().acked(id, sequence, tries, now_ns);
        if let Some(intended_ns) = self.intended.remove(&id)
            && news
            && self.run.measuring.get()
        {
            let mut window = self.run.window.borrow_mut();
            window.acked += 1;
            if intended_ns >= window.began_ns {
                self.run.ack.borrow_mut().record(intended_ns, now_ns);
            }
        }
        self.next_own();
    }

    fn next_own(&mut self) {
        if self.depth > 0 {
            self.send_own();
        }
    }

    /// Whether the resume points of a `going_away` are what this client holds.
    fn right_resume_points(&mut self, told: &GoingAway) -> &'static str {
        if told.resume.is_empty() {
            return "told";
        }
        let right = told.resume.iter().all(|cursor| {
            let slot = self.client.slot(cursor.conversation_id);
            self.client.cursor(slot) == Some(cursor.after_seq)
        });
        if right { "told, with the right resume points" } else { "told, with WRONG resume points" }
    }
}
