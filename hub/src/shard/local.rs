//! What the tasks on one shard's thread share: its connections, its edge, and what waits to be said to homes.
//!
//! Lives in an `Rc` and never leaves its thread, so a `RefCell` is its lock; no borrow is held across an await or a call
//! that could come back here.

mod looks;
mod orders;
mod sink;
mod wheel;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use hubbub_domain::conversations::Conversations;
use hubbub_domain::identity::Caller;
use hubbub_domain::sessions::Sessions;
use hubbub_protocol::frame::client::PresenceStatus;
use hubbub_protocol::frame::server::ServerFrame;
use hubbub_protocol::{ConversationId, Sequence, SessionId, Timestamp, UserId};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio_util::task::TaskTracker;

use self::looks::Looks;
use self::sink::Sink;
use super::edge::{EdgeCore, Replay};
use super::pages::Pages;
use super::work::Services;
use crate::config::HubConfig;
use crate::connection::{Connection, Who};
use crate::directory::Arrival;
use crate::message::{ConnectionKey, EdgeInput, HomeInput, OpenCount, Subscribe};
use crate::metrics;
use crate::shared::{COMMAND_QUEUE, Shared, home_of};

/// Pages of the log that one shard's sockets read at once: with 8 MiB in the largest, 64 MiB. The others wait their turn.
const MAX_READING: usize = 8;
/// Sessions whose end is remembered, in case one of them is just logging in. A login takes seconds.
const MAX_ENDED: usize = 4_096;

/// A connection and whose it is.
type Seat = (Rc<Connection>, Who);

/// A shard's thread.
pub(crate) struct Local {
    id: u8,
    shared: Arc<Shared>,
    services: Services,
    edge: RefCell<EdgeCore>,
    seats: RefCell<Vec<Option<Seat>>>,
    dirty: RefCell<Vec<Rc<Connection>>>,
    /// What edges say to homes, by home shard, until their queues have room.
    to_homes: RefCell<Vec<VecDeque<HomeInput>>>,
    /// Replays that the edge wants begun.
    replays: RefCell<Vec<Replay>>,
    /// Rings when there is something to flush.
    turn: Notify,
    /// Rings when homes have taken some of what waits for them.
    room: Notify,
    /// Somebody waits for that.
    refused: Cell<bool>,
    started: Instant,
    second: Cell<u32>,
    /// When which connection is looked at.
    looks: RefCell<Looks>,
    ended: RefCell<VecDeque<SessionId>>,
    reading: Semaphore,
    pages: Pages,
    rechecking: Semaphore,
    recheck_wanted: Cell<bool>,
    /// When the last whole round over all sockets began; before the first, when this shard did.
    last_recheck: Cell<Timestamp>,
    tasks: TaskTracker,
}

impl Local {
    pub(crate) fn new(id: u8, shared: Arc<Shared>, services: Services) -> Rc<Self> {
        let (shards, now) = (shared.homes.len(), shared.clock.now());
        Rc::new(Self {
            id,
            shared,
            services,
            edge: RefCell::new(EdgeCore::new(id)),
            seats: RefCell::default(),
            dirty: RefCell::default(),
            to_homes: RefCell::new((0..shards).map(|_| VecDeque::new()).collect()),
            replays: RefCell::default(),
            turn: Notify::new(),
            room: Notify::new(),
            refused: Cell::new(false),
            started: Instant::now(),
            second: Cell::new(0),
            looks: RefCell::new(Looks::new(now)),
            ended: RefCell::default(),
            reading: Semaphore::new(MAX_READING),
            pages: Pages::default(),
            rechecking: Semaphore::new(1),
            recheck_wanted: Cell::new(false),
            last_recheck: Cell::new(now),
            tasks: TaskTracker::new(),
        })
    }

    pub(crate) const fn id(&self) -> u8 {
        self.id
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn config(&self) -> &HubConfig {
        &self.shared.config
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    pub(crate) const fn conversations(&self) -> &Conversations {
        &self.services.conversations
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Seconds since the shard began, as of its last tick.
    pub(crate) fn second(&self) -> u32 {
        self.second.get()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.shared.is_draining()
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.shared.is_leaving()
    }

    /// Counts a command whose frame had so many bytes, while it lives.
    pub(crate) fn open_command(&self, bytes: u32) -> OpenCount {
        OpenCount::of(&self.shared.open_commands, bytes)
    }

    /// Counts a socket that takes its leave, while it lives.
    pub(crate) fn parting(&self) -> OpenCount {
        OpenCount::new(&self.shared.partings)
    }

    /// Runs a task on this thread; the shard ends when all have.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        // The tracker is what waits for it.
        drop(self.tasks.spawn_local(task));
    }

    pub(crate) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// A turn to read the log.
    pub(crate) async fn reading(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.reading.acquire().await.ok()
    }

    /// The pages that are being read.
    pub(crate) const fn pages(&self) -> &Pages {
        &self.pages
    }

    /// The right to look all sockets up; `None` while somebody does.
    pub(crate) fn begin_recheck(&self) -> Option<SemaphorePermit<'_>> {
        self.rechecking.try_acquire().ok()
    }

    /// Whose sockets are here.
    pub(crate) fn seated(&self) -> Vec<Who> {
        self.seats.borrow().iter().flatten().map(|(_, who)| *who).collect()
    }

    /// Looks all sockets up from now on, or once more.
    pub(crate) fn want_recheck(&self) {
        self.recheck_wanted.set(true);
    }

    /// Whether a round over all sockets was asked for since the last one was begun.
    pub(crate) fn wants_recheck(&self) -> bool {
        self.recheck_wanted.take()
    }

    pub(crate) fn last_recheck(&self) -> Timestamp {
        self.last_recheck.get()
    }

    /// A round over all sockets is done that began then.
    pub(crate) fn rechecked(&self, began: Timestamp) {
        self.last_recheck.set(began);
    }

    /// Whether this socket has no part in the conversation and has not given one up.
    pub(crate) fn could_follow(&self, key: ConnectionKey, conversation: ConversationId) -> bool {
        self.edge.borrow().could_follow(key, conversation)
    }

    pub(crate) fn arrive(&self, user: UserId) -> Arrival {
        self.shared.directory.arrive(user, self.id, self.config().max_connections_per_user)
    }

    /// Gives a connection its seat. It was counted by [`Local::arrive`]; [`Local::forget`] takes both back.
    pub(crate) fn seat(&self, connection: &Rc<Connection>, caller: Caller) -> Who {
        let key = self.edge.borrow_mut().connect(caller.user_id);
        let who = Who { key, caller };
        let mut seats = self.seats.borrow_mut();
        let slot = key.slot as usize;
        if seats.len() <= slot {
            seats.resize_with(slot + 1, || None);
        }
        seats[slot] = Some((Rc::clone(connection), who));
        self.first_look(connection, key.slot);
        metrics::connections(1.0);
        who
    }

    /// Takes a connection's seat away.
    pub(crate) fn forget(&self, who: Who) {
        let left = self.shared.directory.leave(who.caller.user_id, self.id);
        let rooms = self.edge.borrow_mut().disconnect(who.key, &mut Sink { local: self });
        self.seats.borrow_mut()[who.key.slot as usize] = None;
        metrics::connections(-1.0);
        if left {
            self.tell_presence(&rooms);
        }
        self.turn.notify_one();
    }

    /// The connection was told that it is logged in.
    pub(crate) fn ready(&self, key: ConnectionKey) -> Vec<(ConversationId, Sequence)> {
        self.edge.borrow_mut().ready(key)
    }

    pub(crate) fn ask(&self, subscribe: Subscribe) {
        self.edge.borrow_mut().ask(subscribe, &mut Sink { local: self });
        self.turn.notify_one();
    }

    pub(crate) fn leave(&self, key: ConnectionKey, conversation: ConversationId) {
        self.edge.borrow_mut().decline(key, conversation, &mut Sink { local: self });
        self.turn.notify_one();
    }

    pub(crate) fn set_presence(&self, who: Who, status: PresenceStatus) {
        let user = who.caller.user_id;
        if self.shared.directory.set_away(user, status == PresenceStatus::Away) {
            let rooms = self.edge.borrow().rooms_of(who.key).to_vec();
            self.tell_presence(&rooms);
            self.turn.notify_one();
        }
    }

    fn tell_presence(&self, rooms: &[ConversationId]) {
        for conversation in rooms {
            self.say(HomeInput::Presence { conversation: *conversation });
        }
    }

    /// Hands a command to its home at the end of the turn; gives it back if too much waits for that home already.
    pub(crate) fn to_home(&self, input: HomeInput) -> Result<(), Box<HomeInput>> {
        let home = home_of(input.conversation(), self.shared.homes.len());
        let waiting = &mut self.to_homes.borrow_mut()[home];
        if waiting.len() >= COMMAND_QUEUE {
            self.refused.set(true);
            return Err(Box::new(input));
        }
        waiting.push_back(input);
        self.turn.notify_one();
        Ok(())
    }

    /// Hands a command to its home as soon as there is room.
    pub(crate) async fn to_home_later(&self, mut input: Box<HomeInput>) {
        loop {
            let room = self.room.notified();
            match self.to_home(*input) {
                Ok(()) => return,
                Err(back) => input = back,
            }
            room.await;
        }
    }

    /// What waited for homes is on its way, or some of it.
    pub(crate) fn made_room(&self) {
        let is_full = |waiting: &VecDeque<_>| waiting.len() >= COMMAND_QUEUE;
        if self.refused.get() && !self.to_homes.borrow().iter().all(is_full) {
            self.refused.set(false);
            self.room.notify_waiters();
        }
    }

    /// Says something to a home at the end of the turn.
    fn say(&self, input: HomeInput) {
        let home = home_of(input.conversation(), self.shared.homes.len());
        self.to_homes.borrow_mut()[home].push_back(input);
    }

    /// Writes to this connection at the end of the turn.
    pub(crate) fn flush_later(&self, connection: &Rc<Connection>) {
        if connection.mark_dirty() {
            self.dirty.borrow_mut().push(Rc::clone(connection));
            self.turn.notify_one();
        }
    }

    pub(crate) async fn turn(&self) {
        self.turn.notified().await;
    }

    /// What this shard's home answers to a command.
    pub(crate) fn answer(&self, key: ConnectionKey, frame: Option<&ServerFrame>, open: OpenCount) {
        if self.edge.borrow().holds(key) {
            Sink { local: self }.answer(key.slot, frame, open);
        }
    }

    /// What a home shard said.
    pub(crate) fn hear(&self, input: EdgeInput) {
        self.edge.borrow_mut().input(input, &mut Sink { local: self });
    }

    /// Gives what is to be said to this home, one at a time.
    pub(crate) fn next_for_home(&self, home: usize) -> Option<HomeInput> {
        self.to_homes.borrow_mut()[home].pop_front()
    }

    /// Puts back what a home had no room for.
    pub(crate) fn not_yet(&self, home: usize, input: HomeInput) {
        self.to_homes.borrow_mut()[home].push_front(input);
    }

    /// Writes to every connection that something was queued for.
    pub(crate) fn flush(&self) {
        let dirty = std::mem::take(&mut *self.dirty.borrow_mut());
        for connection in &dirty {
            connection.flush();
        }
    }

    /// Whether this session was ended a short while ago.
    pub(crate) fn has_ended(&self, session: SessionId) -> bool {
        self.ended.borrow().contains(&session)
    }

    pub(crate) fn connection(&self, slot: u32) -> Option<Rc<Connection>> {
        let seats = self.seats.borrow();
        seats.get(slot as usize)?.as_ref().map(|(connection, _)| Rc::clone(connection))
    }

    /// Whether a replay is still of use.
    pub(crate) fn wants(&self, replay: &Replay) -> bool {
        self.edge.borrow_mut().wants(replay)
    }

    /// A replay has come to its end.
    pub(crate) fn replayed(&self, replay: &Replay) {
        self.edge.borrow_mut().replayed(replay, &mut Sink { local: self });
        self.turn.notify_one();
    }

    pub(crate) const fn services(&self) -> &Services {
        &self.services
    }

    /// The replays that the edge wants begun.
    pub(crate) fn take_replays(&self) -> Vec<Replay> {
        std::mem::take(&mut *self.replays.borrow_mut())
    }
}
