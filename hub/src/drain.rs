//! The soft stop (DRAINED): nothing new, every accepted command answered, every client told when to come back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::message::Control;
use crate::shared::Shared;

/// How often it looks whether it is done.
const LOOK: Duration = Duration::from_millis(10);

/// Runs the stop until `deadline`.
pub(crate) async fn run(shared: &Shared, deadline: Instant) {
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
