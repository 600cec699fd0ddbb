//! The edge of a shard: which of its connections follow which conversations, and what each is told.
//!
//! Plain data without I/O, owned by [`super::task`]: what home shards say goes in, what connections are to be told goes
//! out through an [`EdgeSink`]. Keeps IN-ORDER (a seat never skips, repeats or goes back), RESUMABLE (a seat is live only
//! once it has everything up to the edge) and MEMBERS-ONLY (a leaver's seats end with the record that removes them).

mod answer;

use hubbub_protocol::frame::server::ServerFrame;
use hubbub_protocol::{ConversationId, Sequence, UserId};
use slab::Slab;

use crate::frame::SharedFrame;
use crate::message::{Class, ConnectionKey, Delivery, EdgeInput, HomeInput, OpenCount, Run, Subscribe};
use crate::metrics;
use crate::table::Table;

/// What an edge wants done.
pub(crate) trait EdgeSink {
    /// Give this socket the event of a record.
    fn event(&mut self, slot: u32, delivery: &Delivery);
    /// Give this socket the events of records.
    fn events(&mut self, slot: u32, run: &Run);
    /// Give this socket a frame that many get.
    fn shared(&mut self, slot: u32, frame: &SharedFrame, class: Class);
    /// Give this socket a frame of its own.
    fn frame(&mut self, slot: u32, frame: ServerFrame);
    /// Give this socket the answer to a command (`None`: it wants none); `open` ends with it.
    fn reply(&mut self, slot: u32, frame: Option<ServerFrame>, open: OpenCount);
    /// Whether this socket has room for more than a few frames now.
    fn has_room(&self, slot: u32) -> bool;
    /// Read the log for this socket, as fast as it takes it, then call [`EdgeCore::replayed`].
    fn replay(&mut self, replay: Replay);
    /// Say something to the conversation's home.
    fn home(&mut self, input: HomeInput);
    /// The home has answered one of this socket's wishes.
    fn answered(&mut self, slot: u32);
}

/// Conversations that a socket gave up and that are kept in mind; further back, it may be let in again (BOUNDED).
const MAX_DECLINED: usize = 64;

/// A socket's way from a cursor to an edge of the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replay {
    pub(crate) key: ConnectionKey,
    pub(crate) conversation: ConversationId,
    pub(crate) wish: u32,
    pub(crate) after: Sequence,
    pub(crate) head: Sequence,
}

/// The connections of a shard and what they follow.
pub(crate) struct EdgeCore {
    shard: u8,
    next_tenant: u32,
    next_wish: u32,
    connections: Slab<Resident>,
    people: Table<UserId, Vec<u32>>,
    rooms: Table<ConversationId, Vec<Seat>>,
}

/// A connection as the edge knows it.
struct Resident {
    tenant: u32,
    user: UserId,
    rooms: Vec<ConversationId>,
    /// What its client wants to hear no more of, the last [`MAX_DECLINED`]: it is not asked for on its behalf.
    declined: Vec<ConversationId>,
    /// While it is logging in: what its person joined meanwhile, and what to hold of it.
    early_joins: Option<Vec<(ConversationId, Sequence)>>,
}

impl Resident {
    /// Whether it neither follows the conversation nor wants to hear no more of it.
    fn has_no_part_in(&self, conversation: ConversationId) -> bool {
        !self.rooms.contains(&conversation) && !self.declined.contains(&conversation)
    }
}

/// A connection's place in a conversation.
struct Seat {
    slot: u32,
    stage: Stage,
}

/// How far a seat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It asked its home; deliveries pass it by and reach it from there. Only what belongs to its last wish, this one, is
    /// still of use.
    Resuming(u32),
    /// Its home has answered that wish, and it reads the log first.
    Reading(u32),
    /// It has everything up to here; its home counts it as a follower.
    Live(Sequence),
}

impl EdgeCore {
    pub(crate) fn new(shard: u8) -> Self {
        Self {
            shard,
            next_tenant: 0,
            next_wish: 0,
            connections: Slab::new(),
            people: Table::default(),
            rooms: Table::default(),
        }
    }

    /// Takes a connection in that is logging in: from now on it misses nothing, but hears nothing before
    /// [`EdgeCore::ready`].
    pub(crate) fn connect(&mut self, user: UserId) -> ConnectionKey {
        let tenant = self.next_tenant;
        self.next_tenant = self.next_tenant.wrapping_add(1);
        let resident =
            Resident { tenant, user, rooms: Vec::new(), declined: Vec::new(), early_joins: Some(Vec::new()) };
        // A shard holds far fewer than 2³² sockets: descriptors end first.
        let slot = u32::try_from(self.connections.insert(resident)).unwrap_or(u32::MAX);
        self.people.entry(user).or_default().push(slot);
        ConnectionKey { shard: self.shard, slot, tenant }
    }

    /// The connection was told that it is logged in. Gives what its person joined meanwhile: ask for that too.
    pub(crate) fn ready(&mut self, key: ConnectionKey) -> Vec<(ConversationId, Sequence)> {
        if !self.holds(key) {
            return Vec::new();
        }
        self.connections[key.slot as usize].early_joins.take().unwrap_or_default()
    }

    /// Takes a connection out, and gives back the conversations it followed or asked for.
    pub(crate) fn disconnect(&mut self, key: ConnectionKey, sink: &mut impl EdgeSink) -> Vec<ConversationId> {
        if !self.holds(key) {
            return Vec::new();
        }
        let Resident { user, rooms, .. } = self.connections.remove(key.slot as usize);
        if let Some(slots) = self.people.get_mut(&user) {
            slots.retain(|slot| *slot != key.slot);
            if slots.is_empty() {
                self.people.remove(&user);
            }
        }
        for conversation in &rooms {
            self.stand_up(key.slot, *conversation, sink);
        }
        rooms
    }

    /// Whether this very connection is still here.
    pub(crate) fn holds(&self, key: ConnectionKey) -> bool {
        self.connections.get(key.slot as usize).is_some_and(|resident| resident.tenant == key.tenant)
    }

    /// The conversations this connection follows or has asked for.
    pub(crate) fn rooms_of(&self, key: ConnectionKey) -> &[ConversationId] {
        if self.holds(key) { &self.connections[key.slot as usize].rooms } else { &[] }
    }

    /// Asks for a conversation's flow, from a cursor or the live edge. One that flows or resumes already starts anew.
    pub(crate) fn ask(&mut self, mut subscribe: Subscribe, sink: &mut impl EdgeSink) {
        let (key, conversation) = (subscribe.key, subscribe.conversation);
        if !self.holds(key) {
            return;
        }
        self.next_wish = self.next_wish.wrapping_add(1);
        subscribe.wish = self.next_wish;
        let stage = Stage::Resuming(self.next_wish);
        self.connections[key.slot as usize].declined.retain(|known| *known != conversation);
        let room = self.rooms.entry(conversation).or_default();
        match room.iter_mut().find(|seat| seat.slot == key.slot) {
            None => {
                room.push(Seat { slot: key.slot, stage });
                self.connections[key.slot as usize].rooms.push(conversation);
            }
            Some(seat) => {
                if matches!(seat.stage, Stage::Live(_)) {
                    sink.home(HomeInput::Unsubscribe { conversation, shard: self.shard });
                }
                seat.stage = stage;
            }
        }
        sink.home(HomeInput::Subscribe(Box::new(subscribe)));
    }

    /// Ends a conversation's flow for a connection, if there is one.
    pub(crate) fn leave(&mut self, key: ConnectionKey, conversation: ConversationId, sink: &mut impl EdgeSink) {
        if !self.holds(key) {
            return;
        }
        let rooms = &mut self.connections[key.slot as usize].rooms;
        if let Some(place) = rooms.iter().position(|known| *known == conversation) {
            rooms.swap_remove(place);
            self.stand_up(key.slot, conversation, sink);
        }
    }

    /// Ends the flow because the client wants so.
    pub(crate) fn decline(&mut self, key: ConnectionKey, conversation: ConversationId, sink: &mut impl EdgeSink) {
        self.leave(key, conversation, sink);
        if self.could_follow(key, conversation) {
            let declined = &mut self.connections[key.slot as usize].declined;
            if declined.len() >= MAX_DECLINED {
                declined.remove(0);
            }
            declined.push(conversation);
        }
    }

    /// Whether this socket has no part in the conversation and has not given one up.
    pub(crate) fn could_follow(&self, key: ConnectionKey, conversation: ConversationId) -> bool {
        self.holds(key) && self.connections[key.slot as usize].has_no_part_in(conversation)
    }

    /// Takes a seat away. A seat that is still resuming was not counted by its home, or its home's answer is on the way
    /// and finds nobody: then [`EdgeCore::subscribed`] takes the count back.
    fn stand_up(&mut self, slot: u32, conversation: ConversationId, sink: &mut impl EdgeSink) {
        let Some(room) = self.rooms.get_mut(&conversation) else { return };
        let Some(place) = room.iter().position(|seat| seat.slot == slot) else { return };
        if matches!(room.swap_remove(place).stage, Stage::Live(_)) {
            sink.home(HomeInput::Unsubscribe { conversation, shard: self.shard });
        }
        if room.is_empty() {
            self.rooms.remove(&conversation);
        }
    }

    /// Takes what a home shard says.
    pub(crate) fn input(&mut self, input: EdgeInput, sink: &mut impl EdgeSink) {
        match input {
            EdgeInput::Reply { key, frame, open } => {
                if self.holds(key) {
                    sink.reply(key.slot, frame.map(|frame| *frame), open);
                }
            }
            EdgeInput::Deliver { run, joins } => self.deliver(&run, &joins, sink),
            EdgeInput::Invite { conversation, users, after } => {
                for user in users {
                    self.invite(user, conversation, after, sink);
                }
            }
            EdgeInput::Subscribed(subscribed) => self.subscribed(*subscribed, sink),
            EdgeInput::Notice { conversation, frame, except, class } => {
                for seat in self.rooms.get(&conversation).into_iter().flatten() {
                    let user = self.connections.get(seat.slot as usize).map(|resident| resident.user);
                    if matches!(seat.stage, Stage::Live(_)) && (except.is_none() || user != except) {
                        sink.shared(seat.slot, &frame, class);
                    }
                }
            }
            EdgeInput::Whisper { key, frame } => {
                if self.holds(key) {
                    sink.shared(key.slot, &frame, Class::Ephemeral);
                }
            }
        }
    }

    fn deliver(&mut self, run: &Run, joins: &[UserId], sink: &mut impl EdgeSink) {
        let (first, last) = (run.first(), run.last());
        for user in joins {
            self.seat_joiner(*user, first, sink);
        }
        let (before, end) = (first.sequence().previous(), last.sequence());
        let mut delivered = 0;
        let mut skipped = Vec::new();
        for seat in self.rooms.get_mut(&first.conversation()).into_iter().flatten() {
            match seat.stage {
                Stage::Live(cursor) if cursor == before => {
                    seat.stage = Stage::Live(end);
                    sink.events(seat.slot, run);
                    delivered += 1;
                }
                Stage::Live(cursor) if cursor < end => skipped.push((seat.slot, cursor)),
                Stage::Live(_) | Stage::Resuming(_) | Stage::Reading(_) => {}
            }
        }
        metrics::deliveries(delivered * run.deliveries().count() as u64);
        for (slot, cursor) in skipped {
            self.heal(slot, first.conversation(), cursor, sink);
        }
        for user in &last.leaves {
            self.unseat_leaver(*user, last, sink);
        }
    }

    /// Seats the sockets of somebody who joins with this record. One that is resuming reaches it from the log, and one
    /// that is still logging in asks for it when it is ready.
    fn seat_joiner(&mut self, user: UserId, delivery: &Delivery, sink: &mut impl EdgeSink) {
        let (conversation, shard) = (delivery.conversation(), self.shard);
        let mut seated = 0_u32;
        for slot in self.people.get(&user).into_iter().flatten() {
            let Some(resident) = self.connections.get_mut(*slot as usize) else { continue };
            if let Some(early) = &mut resident.early_joins {
                early.push((conversation, delivery.sequence().previous()));
                continue;
            }
            let room = self.rooms.entry(conversation).or_default();
            if room.iter().all(|seat| seat.slot != *slot) {
                room.push(Seat { slot: *slot, stage: Stage::Live(delivery.sequence().previous()) });
                resident.rooms.push(conversation);
                seated += 1;
            }
        }
        // The home counted one for this person.
        match seated {
            0 => sink.home(HomeInput::Unsubscribe { conversation, shard }),
            more => {
                (1..more).for_each(|_| sink.home(HomeInput::Follow { conversation, shard }));
                // Had they looked away, or back, on the way of this record, the conversation was not told.
                sink.home(HomeInput::Presence { conversation });
            }
        }
    }

    /// Lets the sockets of somebody who joined elsewhere ask for the conversation, as far as they have no part in it yet:
    /// whatever its home here knows and has told, they hear all from their joining on.
    fn invite(&mut self, user: UserId, conversation: ConversationId, after: Sequence, sink: &mut impl EdgeSink) {
        for slot in self.people.get(&user).cloned().unwrap_or_default() {
            let Some(resident) = self.connections.get_mut(slot as usize) else { continue };
            if let Some(early) = &mut resident.early_joins {
                early.push((conversation, after));
            } else if resident.has_no_part_in(conversation) {
                let key = ConnectionKey { shard: self.shard, slot, tenant: resident.tenant };
                let after = Some(after);
                self.ask(Subscribe { conversation, user, key, wish: 0, after, command: None }, sink);
            }
        }
    }

    /// Ends the flow of a leaver's sockets: of those that are live with the record they just got, of those that read the
    /// log at once, with the word that nothing follows. One that waits for its home's answer gets that, as it comes later
    /// than this: by then they may be back, and this may be from before they came.
    fn unseat_leaver(&mut self, user: UserId, delivery: &Delivery, sink: &mut impl EdgeSink) {
        let conversation = delivery.conversation();
        for slot in self.people.get(&user).cloned().unwrap_or_default() {
            let resident = &mut self.connections[slot as usize];
            resident.declined.retain(|known| *known != conversation);
            let key = ConnectionKey { shard: self.shard, slot, tenant: resident.tenant };
            let seat = self.rooms.get(&conversation).into_iter().flatten().find(|seat| seat.slot == slot);
            let Some(Seat { stage, .. }) = seat else { continue };
            match stage {
                Stage::Live(_) => {}
                Stage::Resuming(_) => continue,
                Stage::Reading(_) => {
                    answer::refuse(slot, conversation, Some(delivery.sequence().previous()), None, sink);
                }
            }
            self.leave(key, conversation, sink);
        }
    }

    /// A delivery was not the next: that breaks the FIFO's promise. The seat asks again from what it has, so that its
    /// reader sees no hole (IN-ORDER).
    fn heal(&mut self, slot: u32, conversation: ConversationId, cursor: Sequence, sink: &mut impl EdgeSink) {
        metrics::invariant_violation("IN-ORDER");
        tracing::error!(conversation.id = %conversation, %cursor, "IN-ORDER: a delivery was not the next; reading the log");
        let Resident { tenant, user, .. } = self.connections[slot as usize];
        let key = ConnectionKey { shard: self.shard, slot, tenant };
        let subscribe = Subscribe { conversation, user, key, wish: 0, after: Some(cursor), command: None };
        self.ask(subscribe, sink);
    }
}
