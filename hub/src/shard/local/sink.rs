//! The edge's way out: to connections, homes and replays of its thread.

use std::rc::Rc;

use hubbub_protocol::frame::server::ServerFrame;

use super::Local;
use crate::connection::Connection;
use crate::frame::SharedFrame;
use crate::message::{Class, Delivery, HomeInput, OpenCount, Run};
use crate::shard::edge::{EdgeSink, Replay};

/// The way out.
pub(super) struct Sink<'a> {
    pub(super) local: &'a Local,
}

impl Sink<'_> {
    /// Answers a command, which is open no more.
    pub(super) fn answer(&self, slot: u32, frame: Option<&ServerFrame>, open: OpenCount) {
        self.with(slot, |connection| connection.answer(frame, open.bytes()));
        drop(open);
    }

    fn with(&self, slot: u32, say: impl FnOnce(&Connection)) {
        if let Some((connection, _)) = self.local.seats.borrow().get(slot as usize).and_then(Option::as_ref) {
            say(connection);
            if connection.mark_dirty() {
                self.local.dirty.borrow_mut().push(Rc::clone(connection));
            }
        }
    }
}

impl EdgeSink for Sink<'_> {
    fn event(&mut self, slot: u32, delivery: &Delivery) {
        self.with(slot, |connection| {
            let place = Some((delivery.conversation(), delivery.sequence()));
            connection.event(delivery.frame.bytes(connection.format), place);
        });
    }

    fn events(&mut self, slot: u32, run: &Run) {
        self.with(slot, |connection| {
            let place = Some((run.first().conversation(), run.first().sequence()));
            connection.event(run.bytes(connection.format), place);
        });
    }

    fn shared(&mut self, slot: u32, frame: &SharedFrame, class: Class) {
        self.with(slot, |connection| connection.shared(frame, class));
    }

    fn frame(&mut self, slot: u32, frame: ServerFrame) {
        self.with(slot, |connection| connection.frame(&frame));
    }

    fn reply(&mut self, slot: u32, frame: Option<ServerFrame>, open: OpenCount) {
        self.answer(slot, frame.as_ref(), open);
    }

    fn has_room(&self, slot: u32) -> bool {
        let seats = self.local.seats.borrow();
        seats.get(slot as usize).and_then(Option::as_ref).is_none_or(|(connection, _)| connection.has_room_now())
    }

    fn replay(&mut self, replay: Replay) {
        self.local.replays.borrow_mut().push(replay);
    }

    fn home(&mut self, input: HomeInput) {
        if let HomeInput::Subscribe(subscribe) = &input {
            self.with(subscribe.key.slot, Connection::wished);
        }
        self.local.say(input);
    }

    fn answered(&mut self, slot: u32) {
        self.with(slot, Connection::wish_answered);
    }
}
