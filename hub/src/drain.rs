//! The soft stop (DRAINED): nothing new, every accepted command answered, every client told when to come back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::hub::Inner;
use crate::shard::Control;

/// How often it looks whether it is done.
const LOOK: Duration = Duration::from_millis(10);

/// Runs the stop within `grace`.
pub(crate) async fn run(inner: &Inner, grace: Duration) {
    let deadline = Instant::now() + grace;
    inner.shared.draining.cancel();
    tell(inner, || Control::Drain).await;
    let answered = until(deadline, || inner.shared.open_commands.load(Ordering::Acquire) == 0).await;
    if !answered {
        tracing::warn!(
            open = inner.shared.open_commands.load(Ordering::Acquire),
            "DRAINED: grace is over before all commands were answered"
        );
    }
    tell(inner, || Control::CloseAll).await;
    until(deadline, || inner.shared.directory.sockets() == 0 && inner.shared.partings.load(Ordering::Acquire) == 0)
        .await;
    inner.tasks.close();
    // Requests that the HTTP door still serves are its own to finish.
}

async fn tell(inner: &Inner, order: impl Fn() -> Control) {
    for home in &inner.shared.homes {
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
