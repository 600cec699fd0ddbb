//! Somebody who knocks all the time: how long a newcomer waits while others do what they do.
//!
//! A thread with a runtime of its own, as the run's one thread is busy with the others just then. It knows nothing of
//! the run but where the server is and one access token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::anyhow;

use crate::client::http::Target;
use crate::client::knock::{Knock, Knocked};
use crate::measure::Latencies;

/// Between two knocks.
const PAUSE: Duration = Duration::from_millis(10);

/// What a newcomer met.
#[derive(Debug, Default)]
pub(crate) struct Met {
    /// From the first packet to the answered upgrade.
    pub(crate) doors: Latencies,
    /// To the end of the login.
    pub(crate) logins: Latencies,
    /// Those that were not let in.
    pub(crate) failed: u64,
}

/// A newcomer at work.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Met>>,
}

impl Probe {
    /// Begins to knock.
    pub(crate) fn start(target: &Target, token: &str) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (knock, target, told) = (Knock::new(target, token)?, target.clone(), Arc::clone(&stop));
        let thread = Builder::new().name("probe".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(knock_until(&told, &knock, &target)))
        })?;
        Ok(Self { stop, thread })
    }

    /// Stops and tells. Waits for the knock that is on.
    pub(crate) async fn stop(self) -> anyhow::Result<Met> {
        self.stop.store(true, Ordering::Release);
        let ended = tokio::task::spawn_blocking(|| self.thread.join());
        ended.await?.map_err(|_| anyhow!("the probe panicked"))?
    }
}

async fn knock_until(stop: &AtomicBool, knock: &Knock, target: &Target) -> Met {
    let mut met = Met::default();
    while !stop.load(Ordering::Acquire) {
        match knock.once(target).await {
            Ok(Knocked { upgraded, logged_in }) => {
                met.doors.took(upgraded);
                met.logins.took(logged_in);
            }
            Err(_) => met.failed += 1,
        }
        tokio::time::sleep(PAUSE).await;
    }
    met
}
