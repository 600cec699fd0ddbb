//! From the first line of output to the exit code: start, serve, and the two stages of stopping.
//!
//! The first SIGTERM or SIGINT stops softly (DRAINED), within the grace period; the second ends the process at once. A
//! store that stopped ends it too, with the reason as the last word: on restart it recovers from what is on disk.

use std::io::{self, Write};

use tokio::signal;

use crate::app::{App, milliseconds};
use crate::config::{Config, Role, StoreKind};
use crate::start_error::StartError;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All was finished and closed.
    Softly,
    /// Asked to end before all was finished, or out of time.
    AtOnce,
    /// A part ended by itself; the rest was finished and closed.
    Broken,
    /// The store stopped.
    ByTheStore,
}

impl Ended {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Softly => 0,
            Self::AtOnce | Self::Broken => 1,
            Self::ByTheStore => 3,
        }
    }
}

/// Runs a server until it is told to stop.
///
/// # Errors
///
/// [`StartError`] says what to do about it.
pub async fn run(config: &Config) -> Result<Ended, StartError> {
    let mut signals = Signals::listen();
    let app = tokio::select! {
        biased;
        // Opening may take long after a crash; it is safe to end in the middle of it.
        () = signals.next() => return Ok(Ended::AtOnce),
        started = App::start(config) => started?,
    };
    announce(&app, config);
    let store_stopped = app.store_stopped();
    tokio::pin!(store_stopped);
    let ended = tokio::select! {
        biased;
        reason = &mut store_stopped => end_now(Ended::ByTheStore, &reason),
        part = app.part_ended() => {
            tracing::error!(part, "a part of the server has ended by itself, so the rest is stopped");
            Ended::Broken
        }
        () = signals.next() => Ended::Softly,
    };
    let (drain, grace) = (config.stop.drain, config.stop.grace);
    tracing::info!(drain_ms = milliseconds(drain), grace_ms = milliseconds(grace), "stopping");
    let stopped = tokio::select! {
        biased;
        reason = &mut store_stopped => end_now(Ended::ByTheStore, &reason),
        () = signals.next() => end_now(Ended::AtOnce, &"told twice to stop"),
        stopped = tokio::time::timeout(grace, app.stop(drain)) => stopped,
    };
    match stopped {
        Ok(Ok(())) => {
            tracing::info!("stopped");
            Ok(ended)
        }
        Ok(Err(error)) => end_now(Ended::ByTheStore, &error),
        Err(_elapsed) => end_now(Ended::AtOnce, &"the grace period is over (stop.grace_ms)"),
    }
}

/// Ends the process with these last words. Not by returning: to take the parts down in order could wait for one of them.
fn end_now(ended: Ended, reason: &dyn std::fmt::Display) -> ! {
    // Held to the end, so that these are the last words: what other threads have to say of the same comes too late.
    let _others_wait = io::stderr().lock();
    tracing::error!(%reason, exit_code = ended.code(), "ending at once");
    std::process::exit(ended.code().into())
}

/// Says on stdout where it is, in one line, for people and scripts.
fn announce(app: &App, config: &Config) {
    let url = app.url();
    let kept = match config.store {
        StoreKind::Memory => "store: memory, nothing is kept".to_owned(),
        StoreKind::Sqlite => format!("store: sqlite, data: {}", config.data.display()),
        StoreKind::Cql => format!("store: cql, keyspace: {}", config.cql.keyspace),
    };
    let role = match config.role {
        Role::All => "",
        Role::Hub => "role: hub, ",
        Role::Rest => "role: rest, ",
    };
    let mut stdout = io::stdout().lock();
    if writeln!(stdout, "Hubbub is ready at {url} ({role}{kept})").and_then(|()| stdout.flush()).is_err() {
        tracing::debug!("nobody reads stdout");
    }
    tracing::info!(%url, "ready");
}

/// Wishes to stop, from the operating system.
#[cfg(unix)]
struct Signals {
    terminate: Option<signal::unix::Signal>,
    interrupt: Option<signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    /// Hears them from now on. One that cannot be heard keeps its usual effect, to end the process.
    fn listen() -> Self {
        use signal::unix::{SignalKind, signal};
        let heard = |kind| signal(kind).inspect_err(|error| tracing::warn!(%error, "cannot hear a signal")).ok();
        Self { terminate: heard(SignalKind::terminate()), interrupt: heard(SignalKind::interrupt()) }
    }

    async fn next(&mut self) {
        let terminate = received(self.terminate.as_mut());
        let interrupt = received(self.interrupt.as_mut());
        tokio::select! {
            () = terminate => {}
            () = interrupt => {}
        }
    }
}

#[cfg(unix)]
async fn received(signal: Option<&mut signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Wishes to stop, from the operating system.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) {
        if signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
