//! The wish to stop: SIGINT or SIGTERM, awaited by what can wait for two things, and looked at by what blocks.
//!
//! Whoever hears it ends what was started here, as its guards do when they are dropped.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

/// It was heard by [`listen`].
static ASKED: AtomicBool = AtomicBool::new(false);

/// Waits until this process is asked to stop.
pub(crate) async fn asked() -> io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}

/// Lets [`is_asked`] tell it from now on. Whoever asks twice does not want to wait: that ends the process at once.
pub(crate) fn listen() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("stop".to_owned()).spawn(move || {
        if runtime.block_on(asked()).is_ok() {
            ASKED.store(true, Ordering::Release);
            if runtime.block_on(asked()).is_ok() {
                std::process::exit(1);
            }
        }
    })?;
    Ok(())
}

/// Whether it was heard since [`listen`].
pub(crate) fn is_asked() -> bool {
    ASKED.load(Ordering::Acquire)
}
