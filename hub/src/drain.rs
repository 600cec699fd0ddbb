//! The soft stop (DRAINED): no new socket, every accepted command answered, every client told when to come back.
//!
//! Among other hubs, sockets are handed over: each works until its own moment of the window comes, and then finds the
//! next hub open. By itself, a hub tells all at once and is gone, so that it is back the sooner.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::message::Control;
use crate::shared::Shared;

/// How often it looks whether it is done.
const LOOK: Duration = Duration::from_millis(10);
/// How long after the window the last may take to be answered, before all are told.
const LATE: Duration = Duration::from_millis(250);

/// Runs the stop until `deadline`.
pub(crate) async fn run(shared: &Shared, deadline: Instant) {
    shared.leaving.cancel();
    if shared.cluster.has_other_homes() {
        hand_over(shared, deadline).await;
    }
    shared.draining.cancel();
    tell(shared, || Control::Drain).await;
    let answered = until(deadline, || shared.open_commands.load(Ordering::Acquire) == 0).await;
    if !answered {
        tracing::warn!(
            open = shared.open_commands.load(Ordering::Acquire),
            "DRAINED: grace is over before all commands were answered"
        );
    }
    tell(shared, || Control::CloseAll).await;
    until(deadline, || shared.directory.sockets() == 0 && shared.partings.load(Ordering::Acquire) == 0).await;
}

/// Lets the other hubs have the sockets, one by one.
async fn hand_over(shared: &Shared, deadline: Instant) {
    let began = Instant::now();
    // A quarter of the time is kept for those that could not be answered by then.
    let window = shared.config.handover_window.min(deadline.saturating_duration_since(began) * 3 / 4);
    tell(shared, || Control::HandOver(window)).await;
    let all_went = until(deadline.min(began + window + LATE), || shared.directory.sockets() == 0).await;
    if !all_went {
        tracing::info!(sockets = shared.directory.sockets(), "not all sockets were handed over in their window");
    }
}

async fn tell(shared: &Shared, order: impl Fn() -> Control) {
    for home in &shared.homes {
        // A shard that has ended has nobody to tell.
        let _ended = home.control.send(order()).await;
    }
}

/// Waits until something is so; false if the deadline came first.
async fn until(deadline: Instant, is_so: impl Fn() -> bool) -> bool {
    while !is_so() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(LOOK).await;
    }
    true
}
