//! What was not said or not heard, and why: counted each time, logged now and then.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::metrics;
use crate::bus::frame::Refused;

/// The log hears of drops this often at the most.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The drops since they were last logged.
#[derive(Default)]
pub(super) struct Drops(Mutex<Since>);

#[derive(Default)]
struct Since {
    /// By way and reason.
    counts: BTreeMap<(&'static str, &'static str), usize>,
    /// The greatest age of a frame that was refused for it.
    oldest: Duration,
    logged: Option<Instant>,
}

impl Drops {
    pub(super) fn dropped_out(&self, reason: &'static str, count: usize) {
        self.dropped("out", reason, count, Duration::ZERO);
    }

    pub(super) fn dropped_in(&self, reason: &'static str) {
        self.dropped("in", reason, 1, Duration::ZERO);
    }

    pub(super) fn refused(&self, refused: Refused) {
        let (reason, age) = match refused {
            Refused::Form => ("form", Duration::ZERO),
            Refused::Mark => ("mark", Duration::ZERO),
            Refused::Repeated => ("repeated", Duration::ZERO),
            Refused::Old(age) => ("old", age),
            Refused::Crowded => ("crowded", Duration::ZERO),
        };
        self.dropped("in", reason, 1, age);
    }

    fn dropped(&self, way: &'static str, reason: &'static str, count: usize, age: Duration) {
        if count == 0 {
            return;
        }
        metrics::dropped(way, reason, count);
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *since.counts.entry((way, reason)).or_default() += count;
        since.oldest = since.oldest.max(age);
    }

    /// Logs them if there are any, and the last time is long enough ago. True if one of them may have been a word of this
    /// cluster's: then something was missed, here or by the others.
    #[must_use]
    pub(super) fn log(&self) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if since.counts.is_empty() || since.logged.is_some_and(|logged| logged.elapsed() < LOG_EVERY) {
            return false;
        }
        let dropped = std::mem::take(&mut *since);
        since.logged = Some(Instant::now());
        drop(since);
        let counts: Vec<String> =
            dropped.counts.iter().map(|((way, reason), count)| format!("{way} {reason}: {count}")).collect();
        tracing::warn!(counts = counts.join(", "), "dropped on the bus; nodes fill such holes from the log");
        if !dropped.oldest.is_zero() {
            let seconds = dropped.oldest.as_secs();
            tracing::warn!(
                seconds,
                "what nodes said seems too old: Redis has held it back, or the machines' clocks differ"
            );
        }
        if dropped.counts.contains_key(&("in", "mark")) {
            tracing::warn!(
                "somebody without this cluster's secret speaks on its channels: compare secrets and prefixes"
            );
        }
        let missed = [("in", "old"), ("in", "crowded"), ("out", "full")];
        missed.iter().any(|drop| dropped.counts.contains_key(drop))
    }
}
