//! Connections themselves: how many a second come in and are logged in, and what one that does nothing keeps.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::ledger::Tally;
use super::link::Link;
use super::sample::{Measure, Sample, Watch};
use super::stage::Stage;
use crate::host::Process;

/// Connections that are being opened at one time.
const AT_ONCE: usize = 32;
/// Servers settle for so long after a crowd came, and after it went.
const SETTLE: Duration = Duration::from_secs(2);

/// Connections come, log in and go, for so long.
pub(super) async fn connects(stage: &Stage, seconds: u64) -> Sample {
    let (came, failed, trouble) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(RefCell::new(None)));
    let watch = Watch::begin(stage.pid);
    let began = Instant::now();
    let mut visitors = JoinSet::new();
    for first in 0..AT_ONCE {
        let (came, failed, trouble) = (Rc::clone(&came), Rc::clone(&failed), Rc::clone(&trouble));
        let visits = stage.visitor(first);
        let target = stage.target.clone();
        visitors.spawn_local(async move {
            while began.elapsed() < Duration::from_secs(seconds) {
                match Link::open(&target, visits(), 1024).await {
                    Ok(_link) => came.set(came.get() + 1),
                    Err(error) => {
                        failed.set(failed.get() + 1);
                        trouble.borrow_mut().get_or_insert(error.to_string());
                        sleep(Duration::from_millis(10)).await;
                    }
                }
            }
        });
    }
    while visitors.join_next().await.is_some() {}
    let (came, refused) = (came.get(), failed.get());
    let used = watch.end(came);
    let ledger = Tally { sent: came + refused, due: came + refused, came, refused, ..Tally::default() };
    let mut sample = Sample::taken(stage.kind, Measure::Connects, stage.round, used, ledger);
    sample.trouble = trouble.borrow_mut().take();
    sample
}

/// So many connections come, each joins a room, and nothing else happens.
pub(super) async fn idle(stage: &Stage, count: usize) -> anyhow::Result<Sample> {
    let pid = stage.pid.context("its process is not known")?;
    let memory = || Process::look(pid).map(|process| process.pss_kib.unwrap_or(process.rss_kib));
    sleep(SETTLE / 2).await;
    let before = memory().context("its memory cannot be read")?;
    let links: Vec<Link> = stream::iter(0..count)
        .map(|index| async move {
            let (wire, room) = stage.idler(index);
            let mut link = Link::open(&stage.target, wire, 512).await?;
            link.join(&room).await?;
            anyhow::Ok(link)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
        .context("a connection is not let in")?;
    let watch = Watch::begin(stage.pid);
    sleep(SETTLE).await;
    let after = memory().context("its memory cannot be read")?;
    let used = watch.end(0);
    let all = links.len() as u64;
    drop(links);
    // What is measured next must not pay for their going.
    sleep(SETTLE).await;
    let ledger = Tally { sent: all, due: all, came: all, ..Tally::default() };
    let mut sample = Sample::taken(stage.kind, Measure::Idle, stage.round, used, ledger);
    sample.rate = None;
    sample.kib = Some(crate::measure::per(after.saturating_sub(before), crate::measure::per(all, 1.0)));
    Ok(sample)
}
