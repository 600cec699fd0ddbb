//! Time and latencies: the process's own monotonic clock, and HDR histograms in microseconds.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;
/// Decimal digits that a recorded value keeps.
const DIGITS: u8 = 3;
/// Decimal digits that a distribution in a report keeps.
const SHOWN_DIGITS: u8 = 2;

/// Nanoseconds since this clock was made. Copies agree, so stamps of one task can be read by another.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Now, in nanoseconds.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The stamp of an instant.
    pub fn stamp(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    /// The instant of a stamp.
    pub fn instant(&self, ns: u64) -> Instant {
        self.start + Duration::from_nanos(ns)
    }
}

/// Latencies of one kind.
#[derive(Debug, Clone)]
pub struct Latencies {
    histogram: Option<Histogram<u64>>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { histogram: Histogram::new_with_bounds(1, LONGEST_US, DIGITS).ok() }
    }
}

/// The percentiles of a report, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: u64,
    /// 90 of 100 are no longer.
    pub p90: u64,
    /// 99 of 100 are no longer.
    pub p99: u64,
    /// 999 of 1,000 are no longer.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl Latencies {
    /// Records the time from one stamp to another.
    pub fn record(&mut self, from_ns: u64, to_ns: u64) {
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(to_ns.saturating_sub(from_ns) / 1_000);
        }
    }

    /// Records a time.
    pub fn took(&mut self, time: Duration) {
        self.record(0, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// The percentiles; `None` if nothing was recorded.
    pub fn percentiles(&self) -> Option<Percentiles> {
        let histogram = self.histogram.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(Percentiles {
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        })
    }

    /// Records so many of one length, in microseconds.
    pub(crate) fn record_many(&mut self, us: u64, count: u64) {
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record_n(us, count);
        }
    }

    /// Records all that others hold.
    pub(crate) fn add(&mut self, others: &Self) {
        if let (Some(histogram), Some(others)) = (&mut self.histogram, &others.histogram) {
            // Made with the same bounds, so none is out of them.
            histogram.add(others).ok();
        }
    }

    /// How many there are of each length, in microseconds, told apart as far as [`SHOWN_DIGITS`].
    pub fn distribution(&self) -> Vec<(u64, u64)> {
        let coarse = self.histogram.as_ref().and_then(|histogram| {
            let mut coarse = Histogram::new_with_bounds(1, LONGEST_US, SHOWN_DIGITS).ok()?;
            for value in histogram.iter_recorded() {
                coarse.saturating_record_n(value.value_iterated_to(), value.count_at_value());
            }
            Some(coarse)
        });
        coarse
            .iter()
            .flat_map(|coarse| coarse.iter_recorded().map(|value| (value.value_iterated_to(), value.count_at_value())))
            .collect()
    }

    /// The median, in microseconds; 0 if nothing was recorded.
    pub(crate) fn median_us(&self) -> f64 {
        self.percentiles().map_or(0.0, |percentiles| as_f64(percentiles.p50))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        if let Some(histogram) = &mut self.histogram {
            histogram.clear();
        }
    }
}

/// So many of something by so much of something.
pub(crate) fn per(count: u64, by: f64) -> f64 {
    if by > 0.0 { as_f64(count) / by } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2⁵³")]
pub(crate) const fn as_f64(count: u64) -> f64 {
    count as f64
}
