//! Acknowledged publishes, so many of each sender on the way: how many a second, and the server's CPU for each.
//!
//! Closed loop; each sender publishes to a room of its own in which nobody listens, so that nothing but publishes is
//! measured. One task a sender.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::kind::Kept;
use super::ledger::{Publisher, Tally};
use super::link::{Link, LinkError};
use super::payload;
use super::sample::{Measure, Sample, Took, Watch};
use super::stage::Stage;
use super::wire::{Ack, Heard, Publish};
use crate::measure::{Clock, Latencies};

/// Acknowledgements that have not come by then, after the last publish, are lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// It runs so long before it is measured.
const WARM_UP: Duration = Duration::from_millis(500);
/// What a sender reads from the kernel at once, in bytes.
const READ_BYTES: usize = 8 * 1024;

/// How acknowledged publishes are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) senders: usize,
    pub(super) depth: usize,
    pub(super) size: usize,
    pub(super) seconds: u64,
}

struct Board {
    clock: Clock,
    going: Cell<bool>,
    acked: Cell<u64>,
    took: RefCell<Latencies>,
    publishers: Vec<RefCell<Publisher>>,
    trouble: RefCell<Option<String>>,
}

impl Board {
    fn heard(&self, sender: usize, heard: Heard<'_>) {
        let Some(publisher) = self.publishers.get(sender) else { return };
        match heard {
            Heard::Acked { number, place } => {
                if let Some(from) = publisher.borrow_mut().acked(number, place) {
                    self.acked.set(self.acked.get() + 1);
                    self.took.borrow_mut().record(from, self.clock.now_ns());
                }
            }
            Heard::Refused(words) => {
                publisher.borrow_mut().refused();
                self.trouble.borrow_mut().get_or_insert(words);
            }
            Heard::Ready | Heard::Joined | Heard::Payload(_) | Heard::Say(_) => {}
        }
    }
}

/// Measures it.
pub(super) async fn measure(stage: &Stage, kept: Kept, load: Load) -> anyhow::Result<Sample> {
    stage.keep(kept).await?;
    let board = Rc::new(Board {
        clock: Clock::start(),
        going: Cell::new(true),
        acked: Cell::new(0),
        took: RefCell::default(),
        publishers: (0..load.senders).map(|_| RefCell::default()).collect(),
        trouble: RefCell::new(None),
    });
    let mut tasks = JoinSet::new();
    for sender in 0..load.senders {
        let (wire, room) = stage.sender(sender, kept);
        let link = Link::open(&stage.target, wire, READ_BYTES).await.context("a sender is not let in")?;
        let (board, run) = (Rc::clone(&board), stage.run);
        tasks.spawn_local(async move {
            let sent = send(link, sender, &room, run, load, &board).await;
            if let Err(error) = sent {
                board.heard(sender, Heard::Refused(error.to_string()));
            }
        });
    }
    sleep(WARM_UP).await;
    board.took.borrow_mut().clear();
    let before = board.acked.get();
    let watch = Watch::begin(stage.pid);
    sleep(Duration::from_secs(load.seconds)).await;
    let used = watch.end(board.acked.get() - before);
    let took = Took::of(&board.took.borrow());
    board.going.set(false);
    let rest = timeout(PATIENCE, async { while tasks.join_next().await.is_some() {} }).await;
    tasks.shutdown().await;
    let ledger = board.publishers.iter().fold(Tally::default(), |sum, one| sum.and(one.borrow().judge()));
    let mut sample = Sample::taken(stage.kind, Measure::Ack(kept), stage.round, used, ledger);
    sample.took_us = took;
    let silent = rest.is_err().then(|| "not all was acknowledged".to_owned());
    sample.trouble = board.trouble.borrow_mut().take().or(silent);
    stage.forget(kept).await;
    Ok(sample)
}

async fn send(mut link: Link, sender: usize, room: &str, run: u32, load: Load, board: &Board) -> Result<(), LinkError> {
    let Some(publisher) = board.publishers.get(sender) else { return Ok(()) };
    loop {
        while board.going.get() && publisher.borrow().open() < load.depth {
            let number = publisher.borrow_mut().publish(board.clock.now_ns());
            let payload = payload::payload(run, number, load.size);
            link.publish(&Publish { room, number, payload: &payload, ack: Ack::Wanted });
        }
        link.flush().await?;
        if publisher.borrow().open() == 0 {
            return Ok(());
        }
        link.listen(|heard| board.heard(sender, heard)).await?;
    }
}
