//! One room of many receivers: what a delivery costs the server, with one message out at a time or several.
//!
//! Closed loop: a burst is published, and the next when every receiver has all of it. So a window of 1 shows what a
//! lone message costs, and a larger one what a server makes of messages that meet. One task a receiver, one publisher.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ledger::{Reader, Tally};
use super::link::Link;
use super::payload;
use super::sample::{Measure, Sample, Took, Watch};
use super::stage::Stage;
use super::wire::{Ack, Heard, Publish};
use crate::client::stamp::fingerprint;
use crate::measure::{Clock, Latencies};

/// A burst that is not with all receivers by then is lost in part.
const PATIENCE: Duration = Duration::from_secs(5);
/// Messages whose contents are known at a time; more than any window.
const KNOWN: usize = 256;
/// Sockets that are being opened at one time.
const OPENING_MAX: usize = 32;
/// What a receiver reads at once: a burst of sixteen.
const READ_BYTES: usize = 8 * 1024;

/// What all receivers tell.
struct Board {
    run: u32,
    readers: RefCell<Vec<Reader>>,
    /// Contents by number, the newest [`KNOWN`].
    known: RefCell<Vec<(u64, u64)>>,
    /// Deliveries that the burst still lacks.
    lacking: Cell<u64>,
    complete: Notify,
    delivered: Cell<u64>,
    foreign: Cell<u64>,
    refused: Cell<u64>,
    trouble: RefCell<Option<String>>,
}

impl Board {
    fn heard(&self, reader: usize, heard: Heard<'_>) {
        match heard {
            Heard::Payload(payload) => self.delivered(reader, payload),
            Heard::Refused(words) => self.refused(words),
            Heard::Ready | Heard::Joined | Heard::Acked { .. } | Heard::Say(_) => {}
        }
    }

    fn delivered(&self, reader: usize, payload: &[u8]) {
        let known = payload::number(self.run, payload).filter(|number| {
            let known = self.known.borrow();
            known.get(slot(*number)).is_some_and(|known| *known == (*number, fingerprint(payload)))
        });
        let Some(number) = known else {
            self.foreign.set(self.foreign.get() + 1);
            return;
        };
        if self.readers.borrow_mut().get_mut(reader).is_some_and(|reader| reader.came(number)) {
            self.delivered.set(self.delivered.get() + 1);
            self.lacking.set(self.lacking.get().saturating_sub(1));
            if self.lacking.get() == 0 {
                self.complete.notify_one();
            }
        }
    }

    fn refused(&self, words: String) {
        self.refused.set(self.refused.get() + 1);
        self.trouble.borrow_mut().get_or_insert(words);
    }

    fn judge(&self, sent: u64, end: u64) -> Tally {
        let readers = self.readers.borrow();
        let own = Tally { sent, foreign: self.foreign.get(), refused: self.refused.get(), ..Tally::default() };
        readers.iter().fold(own, |sum, reader| sum.and(reader.judge(end)))
    }
}

fn slot(number: u64) -> usize {
    usize::try_from(number % KNOWN as u64).unwrap_or(0)
}

/// A room with all its receivers, and who publishes to it.
pub(super) struct Hall {
    board: Rc<Board>,
    receivers: JoinSet<()>,
    publisher: Link,
    room: String,
    next: u64,
    size: usize,
}

impl Hall {
    /// Opens the room.
    pub(super) async fn assemble(stage: &Stage, receivers: usize, size: usize) -> anyhow::Result<Self> {
        let (wire, room) = stage.publisher();
        let mut publisher = Link::open(&stage.target, wire, READ_BYTES).await.context("the publisher is not let in")?;
        if stage.publisher_joins() {
            publisher.join(&room).await.context("the publisher is not let in")?;
        }
        let links: Vec<Link> = stream::iter(0..receivers)
            .map(|index| async move {
                let (wire, room) = stage.receiver(index);
                let mut link = Link::open(&stage.target, wire, READ_BYTES).await?;
                link.join(&room).await?;
                anyhow::Ok(link)
            })
            .buffered(OPENING_MAX)
            .try_collect()
            .await
            .context("a receiver is not let in")?;
        let board = Rc::new(Board {
            run: stage.run,
            readers: RefCell::new(vec![Reader::default(); links.len()]),
            known: RefCell::new(vec![(u64::MAX, 0); KNOWN]),
            lacking: Cell::new(0),
            complete: Notify::new(),
            delivered: Cell::new(0),
            foreign: Cell::new(0),
            refused: Cell::new(0),
            trouble: RefCell::new(None),
        });
        let mut receivers = JoinSet::new();
        for (reader, link) in links.into_iter().enumerate() {
            receivers.spawn_local(receive(link, reader, Rc::clone(&board)));
        }
        Ok(Self { board, receivers, publisher, room, next: 0, size })
    }

    /// Bursts of so many, for so long.
    pub(super) async fn measure(&mut self, stage: &Stage, window: usize, seconds: u64) -> Sample {
        let board = Rc::clone(&self.board);
        let began = self.next;
        board.readers.borrow_mut().iter_mut().for_each(|reader| *reader = Reader::from(began));
        let mut took = Latencies::default();
        let clock = Clock::start();
        let warm = self.bursts(window, clock, Duration::from_millis(500), &mut took).await;
        took.clear();
        let before = board.delivered.get();
        let watch = Watch::begin(stage.pid);
        let whole = match warm {
            Ok(()) => self.bursts(window, clock, Duration::from_secs(seconds), &mut took).await,
            failed => failed,
        };
        let used = watch.end(board.delivered.get() - before);
        let ledger = board.judge(self.next - began, self.next);
        let mut sample = Sample::taken(stage.kind, Measure::FanOut(window), stage.round, used, ledger);
        sample.took_us = Took::of(&took);
        let said = board.trouble.borrow_mut().take();
        sample.trouble = whole.err().map(|error| format!("{error:#}")).or(said);
        board.foreign.set(0);
        board.refused.set(0);
        sample
    }

    async fn bursts(
        &mut self,
        window: usize,
        clock: Clock,
        length: Duration,
        took: &mut Latencies,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < length {
            let from = clock.now_ns();
            timeout(PATIENCE, self.burst(window)).await.context("a burst did not reach all receivers")??;
            took.record(from, clock.now_ns());
        }
        Ok(())
    }

    async fn burst(&mut self, window: usize) -> anyhow::Result<()> {
        let board = &self.board;
        board.lacking.set((window * self.receivers.len()) as u64);
        for _ in 0..window {
            let payload = payload::payload(board.run, self.next, self.size);
            if let Some(known) = board.known.borrow_mut().get_mut(slot(self.next)) {
                *known = (self.next, fingerprint(payload.as_bytes()));
            }
            let publish = Publish { room: &self.room, number: self.next, payload: &payload, ack: Ack::Unwanted };
            self.publisher.publish(&publish);
            self.next += 1;
        }
        self.publisher.flush().await?;
        loop {
            tokio::select! {
                biased;
                () = board.complete.notified() => return Ok(()),
                // What the publisher is told in between: acknowledgements that nobody asked for, pings.
                heard = self.publisher.listen(|heard| if let Heard::Refused(words) = heard { board.refused(words) }) => heard?,
            }
        }
    }

    /// Everybody goes.
    pub(super) async fn dismiss(mut self) {
        self.receivers.shutdown().await;
    }
}

async fn receive(mut link: Link, reader: usize, board: Rc<Board>) {
    loop {
        if let Err(error) = link.listen(|heard| board.heard(reader, heard)).await {
            board.refused(error.to_string());
            return;
        }
    }
}
