//! What the process tells of itself: log lines on stderr and numbers for Prometheus.
//!
//! Lines are text on a terminal and JSON elsewhere. Nothing here ever sees a payload or a token: crates log fixed messages
//! with ids and codes, and foreign crates are kept at `warn` unless they are named.

use std::backtrace::Backtrace;
use std::io::{self, IsTerminal};
use std::str::FromStr;
use std::sync::OnceLock;
use std::thread;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

/// The beginning of all our crates' names.
const OURS: &str = "hubbub";

/// Bounds of every histogram of seconds: from half a write to disk up to the longest deadline.
const SECONDS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// What is let through by a setting such as `info` or `info,hubbub_hub=debug`; nothing where it is no such setting.
pub(crate) fn levels(setting: &str) -> Option<Targets> {
    let mut targets = Targets::new().with_target(OURS, LevelFilter::INFO).with_default(LevelFilter::WARN);
    for part in setting.split(',').map(str::trim) {
        targets = match part.split_once('=') {
            Some((target, level)) if !target.is_empty() => targets.with_target(target, level_named(level)?),
            Some(_) => return None,
            None => {
                let level = level_named(part)?;
                targets.with_target(OURS, level).with_default(level.min(LevelFilter::WARN))
            }
        };
    }
    Some(targets)
}

fn level_named(name: &str) -> Option<LevelFilter> {
    // The library reads digits and nothing at all as levels too; here they are mistakes.
    let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_word.then(|| LevelFilter::from_str(name).ok()).flatten()
}

/// Starts logging for the whole process; once.
///
/// # Errors
///
/// Somebody in this process logs already.
pub fn start_logging(level: &str, format: LogFormat) -> Result<(), TryInitError> {
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !io::stderr().is_terminal(),
    };
    let layer = if json {
        fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(io::stderr).boxed()
    } else {
        fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).boxed()
    };
    let levels = levels(level).unwrap_or_default();
    tracing_subscriber::registry().with(layer.with_filter(levels)).try_init()
}

/// Has panics logged as all else is, in one line and without what they say: a message that was put together at run time may
/// quote a payload. Where it happened is enough to find it.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let said = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(not shown)");
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = thread::current().name().unwrap_or("unnamed").to_owned();
        // Says nothing unless RUST_BACKTRACE is set.
        let backtrace = Backtrace::capture();
        tracing::error!(said, at, thread, %backtrace, "a panic: this is a mistake in the program");
    }));
}

/// The numbers of this process.
#[derive(Clone)]
pub struct Numbers(Option<PrometheusHandle>);

impl Numbers {
    /// The recorder of this process, installed at the first call.
    ///
    /// Where another recorder is installed already (a process that embeds the server), those numbers go there and none
    /// are rendered here.
    pub fn of_this_process() -> Self {
        static NUMBERS: OnceLock<Numbers> = OnceLock::new();
        NUMBERS.get_or_init(|| Self(install().ok())).clone()
    }

    /// All of them as Prometheus text.
    pub fn render(&self) -> String {
        self.0.as_ref().map(PrometheusHandle::render).unwrap_or_default()
    }

    /// Takes in what was recorded since the last call: to be called every few seconds, as it is kept one by one until
    /// then (BOUNDED).
    pub(crate) fn take_in(&self) {
        if let Some(handle) = &self.0 {
            handle.run_upkeep();
        }
    }
}

fn install() -> Result<PrometheusHandle, BuildError> {
    let recorder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?;
    let recorder = recorder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_bare_level_moves_our_crates_and_never_makes_foreign_ones_chatty() {
        let targets = levels("debug").unwrap();
        assert!(targets.would_enable("hubbub_hub::shard", &Level::DEBUG));
        assert!(!targets.would_enable("hyper", &Level::INFO));
        assert!(!levels("error").unwrap().would_enable("hyper", &Level::WARN));
    }

    #[test]
    fn one_crate_can_be_louder_than_the_rest() {
        let targets = levels("warn,hubbub_hub=trace").unwrap();
        assert!(targets.would_enable("hubbub_hub::shard", &Level::TRACE));
        assert!(!targets.would_enable("hubbub_rest", &Level::INFO));
    }

    #[test]
    fn what_is_no_level_is_refused() {
        for wrong in ["", "loud", "info,", "info,hubbub_hub", "=debug", "hubbub_hub=5", "3"] {
            assert!(levels(wrong).is_none(), "{wrong:?}");
        }
    }
}
