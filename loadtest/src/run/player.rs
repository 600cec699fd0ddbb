//! One player: a client, the orders it gets, and the ledger that it tells of everything.
//!
//! One task a player, whose comings and goings are counted by node. Its queue of orders is bounded; whoever orders too much is told.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hubbub_protocol::frame::client::Typing;
use hubbub_protocol::frame::server::{GoingAway, ServerFrame};
use hubbub_protocol::{ClientMessageId, ConversationId, Sequence, UserId};
use tokio::sync::mpsc;

use super::{Conversation, Presence, Run};
use crate::client::{Client, Following, Happening, Options, Seen, Via};

/// The most members of a conversation in which presence is told.
const SMALL: usize = 50;

/// A slow reader rests so long after each frame: by the runtime's timers that is one a millisecond. It is slow when it
/// comes back too; and a heap that is read in one go would make the others late because of
/// this thread, not because of the server.
const SLOW_REST: Duration = Duration::from_micros(500);

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
    /// Send one message now, as a closed loop does: whenever that is, it was meant for then.
    SendNow {
        /// To which of its conversations.
        slot: usize,
    },
    /// Say that somebody writes, in one of its conversations.
    Type {
        /// In which.
        slot: usize,
    },
    /// Lose the connection now, and come back at once.
    Drop,
    /// Begin to send by itself.
    Begin,
    /// Stop reading for so long.
    Pause(Duration),
    /// Be slow from now on.
    Slow,
    /// Go home.
    Leave,
    /// Come back, to the next node.
    Return,
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
    id: ConversationId,
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
    is_live: bool,
    /// Where it is connected, or was last.
    node: Option<usize>,
    /// Since when it is without a node, and the longest that it ever was.
    cut_ns: Option<u64>,
    longest_gap_ns: Option<u64>,
    /// Its number among those who are told who is there.
    told: Option<usize>,
}

enum Turn {
    Order(Option<Order>),
    Happening(Happening),
}

impl Player {
    pub(crate) fn new(run: Rc<Run>, part: Part, orders: mpsc::Receiver<Order>) -> Self {
        let listens = part.options.following == Following::All;
        let user_id = part.options.account.user_id;
        let told = run.presence.borrow_mut().as_mut().filter(|_| listens).map(|presence| {
            let small = part.conversations.iter().filter(|conversation| conversation.members.len() <= SMALL);
            let neighbours = small.flat_map(|conversation| conversation.members.iter().map(|account| account.user_id));
            presence.enter(user_id, neighbours.collect::<HashSet<UserId>>())
        });
        let mut client = Client::new(part.options);
        let mut ledger = run.ledger.borrow_mut();
        let sender = ledger.sender();
        ledger.sender_is(sender, user_id);
        let seats = part.conversations.iter().map(|conversation| {
            client.hold(conversation.id, conversation.base);
            let stream = listens.then(|| ledger.reader(conversation.number));
            Seat { id: conversation.id, conversation: conversation.number, stream }
        });
        let seats = seats.collect();
        drop(ledger);
        let (depth, timed) = (part.depth, part.timed);
        Self {
            run,
            client,
            sender,
            seats,
            orders,
            intended: HashMap::new(),
            depth,
            timed,
            turn: 0,
            was_live: false,
            is_live: false,
            node: None,
            cut_ns: None,
            longest_gap_ns: None,
            told,
        }
    }

    /// Plays until nobody orders any more.
    pub(crate) async fn play(mut self) {
        let run = Rc::clone(&self.run);
        // Closed never: the run outlives its players.
        let mut door = run.doors.acquire().await.ok();
        let mut is_slow = false;
        loop {
            match self.turn().await {
                Turn::Order(None) => return self.go_home().await,
                Turn::Order(Some(Order::Pause(time))) => tokio::time::sleep(time).await,
                Turn::Order(Some(Order::Slow)) => is_slow = true,
                Turn::Order(Some(order)) => self.follow(order),
                Turn::Happening(happening) => self.happened(happening),
            }
            if !self.is_live && self.client.is_live() {
                drop(door.take());
                self.now_live();
            }
            if is_slow {
                tokio::time::sleep(SLOW_REST).await;
            }
        }
    }

    fn follow(&mut self, order: Order) {
        match order {
            Order::Leave => self.leave(),
            Order::Return => self.client.come_back(),
            Order::Send { slot, intended_ns } => {
                self.run.lag.borrow_mut().record(intended_ns, self.run.clock.now_ns());
                self.send(slot, intended_ns);
            }
            Order::SendNow { slot } => self.send(slot, self.run.clock.now_ns()),
            Order::Type { slot } => {
                if let Some(conversation_id) = self.seats.get(slot).map(|seat| seat.id) {
                    self.client.say(Typing { id: None, conversation_id, active: true });
                }
            }
            Order::Drop => self.client.drop_connection(),
            Order::Begin => {
                for _ in 0..self.depth {
                    self.send_own();
                }
            }
            // Waited for where it is taken.
            Order::Pause(_) | Order::Slow => {}
        }
    }

    fn now_live(&mut self) {
        self.is_live = true;
        if !std::mem::replace(&mut self.was_live, true) {
            self.run.live.set(self.run.live.get() + 1);
        }
        self.run.signs.one_live();
        self.end_gap();
    }

    fn no_longer_live(&mut self) {
        if std::mem::replace(&mut self.is_live, false) {
            self.run.signs.one_not_live();
        }
    }

    fn end_gap(&mut self) {
        if let Some(cut_ns) = self.cut_ns.take() {
            let gap_ns = self.run.clock.now_ns().saturating_sub(cut_ns);
            self.longest_gap_ns = self.longest_gap_ns.max(Some(gap_ns));
        }
    }

    /// Leaves as one who means to: that is no gap.
    fn leave(&mut self) {
        self.no_longer_live();
        self.cut_ns = None;
        self.client.leave();
        self.tell_presence(Presence::went);
    }

    async fn go_home(mut self) {
        self.end_gap();
        if let Some(gap_ns) = self.longest_gap_ns {
            self.run.nodes.borrow_mut().longest_gap(gap_ns);
        }
        self.run.typings.set(self.run.typings.get() + self.client.typings());
        self.client.close().await;
    }

    fn tell_presence(&self, what: impl FnOnce(&mut Presence, usize)) {
        if let (Some(presence), Some(number)) = (self.run.presence.borrow_mut().as_mut(), self.told) {
            what(presence, number);
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
            Happening::Connected => self.connected(),
            Happening::Deferred { error } => {
                self.run.signs.one_deferred();
                *self.run.deferred.borrow_mut().entry(error.code.to_string()).or_default() += 1;
                *self.run.last_failure.borrow_mut() = Some(error.to_string());
            }
            Happening::Frame(frame) => {
                if let ServerFrame::PresenceNotice(notice) = *frame {
                    self.tell_presence(|presence, number| presence.told(number, notice.user_id, notice.status));
                }
            }
            Happening::Disconnected { ending, told, silent_for } => {
                self.cut(silent_for);
                self.run.reconnects.set(self.run.reconnects.get() + 1);
                let code = ending.code.map_or_else(|| "no close frame".to_owned(), |code| code.to_string());
                let going = told.as_ref().map_or("untold", |told| self.right_resume_points(told));
                let how = format!("{code} ({}, {going})", ending.reason);
                *self.run.endings.borrow_mut().entry(how).or_default() += 1;
            }
            Happening::Failed(why) => *self.run.last_failure.borrow_mut() = Some(why),
            Happening::Live { .. } => {}
        }
    }

    fn connected(&mut self) {
        self.node = self.client.node();
        let knocked_ns = self.run.clock.stamp(self.client.knocked_at());
        self.run.nodes.borrow_mut().connected(self.sender, self.node, self.was_live.then_some(knocked_ns));
        self.tell_presence(Presence::came);
    }

    /// The node is lost. The gap began when it was last heard.
    fn cut(&mut self, silent_for: Duration) {
        self.no_longer_live();
        self.run.nodes.borrow_mut().lost(self.node);
        let silent_ns = u64::try_from(silent_for.as_nanos()).unwrap_or(u64::MAX);
        self.cut_ns.get_or_insert(self.run.clock.now_ns().saturating_sub(silent_ns));
        self.tell_presence(Presence::went);
    }

    fn heard(&self, slot: usize, seen: &Seen, via: Via) {
        let Some(stream) = self.seats.get(slot).and_then(|seat| seat.stream) else { return };
        self.run.ledger.borrow_mut().delivered(stream, seen, via == Via::Replay);
        let now_ns = self.run.clock.now_ns();
        let stamp = seen.stamp.filter(|stamp| self.timed && stamp.run == self.run.number);
        self.run.signs.one_delivered(stamp.map(|stamp| now_ns.saturating_sub(stamp.intended_ns)));
        if let (Some(waves), Some(stamp)) = (self.run.waves.borrow_mut().as_mut(), &stamp)
            && waves.heard(stamp)
        {
            self.run.bell.notify_one();
        }
        let mut nodes = self.run.nodes.borrow_mut();
        nodes.delivered(self.node);
        if !self.run.measuring.get() {
            return;
        }
        let mut window = self.run.window.borrow_mut();
        window.delivered += 1;
        if let Some(stamp) = stamp.filter(|stamp| stamp.intended_ns >= window.began_ns) {
            self.run.deliver.borrow_mut().record(stamp.intended_ns, now_ns);
            if via == Via::Live {
                nodes.heard(stamp.sender, self.node, stamp.intended_ns, now_ns);
            }
        }
    }

    fn acked(&mut self, id: ClientMessageId, sequence: Sequence, tries: u32) {
        let now_ns = self.run.clock.now_ns();
        let news = self.run.ledger.borrow_mut().acked(id, sequence, tries, now_ns);
        let intended_ns = self.intended.remove(&id).filter(|_| news);
        if let Some(intended_ns) = intended_ns {
            self.run.signs.one_acked(intended_ns, now_ns);
            self.run.nodes.borrow_mut().acked(self.node);
        }
        if let Some(intended_ns) = intended_ns
            && self.run.measuring.get()
        {
            let mut window = self.run.window.borrow_mut();
            window.acked += 1;
            if intended_ns >= window.began_ns {
                window.acks.record(intended_ns, now_ns);
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
