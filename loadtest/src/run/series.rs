//! A run over time: one look each second, and fewer as it gets long (BOUNDED).

use std::time::Instant;

use super::Run;
use crate::host::cpu::Cpu;
use crate::host::{Process, SocketMemory};
use crate::measure::{as_f64, per};
use crate::report::Sample;

/// Looks that are kept. When there are more, every second one is dropped and the distance doubles.
const LOOKS_MAX: usize = 600;

/// What was counted up to a look.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    at: f64,
    acked: u64,
    delivered: u64,
    server: Option<Cpu>,
    own: Option<Cpu>,
}

/// The looks so far.
#[derive(Debug)]
pub(crate) struct Series {
    began: Instant,
    looks: Vec<(Sum, Sample)>,
    /// Seconds between two.
    distance: f64,
}

impl Default for Series {
    fn default() -> Self {
        Self { began: Instant::now(), looks: Vec::new(), distance: 1.0 }
    }
}

impl Series {
    /// Whether the next look is due.
    pub(super) fn is_due(&self) -> bool {
        self.looks.last().is_none_or(|(last, _)| self.began.elapsed().as_secs_f64() >= last.at + self.distance)
    }

    fn push(&mut self, sum: Sum, sample: Sample) {
        if self.looks.len() >= LOOKS_MAX {
            let mut number = 0_usize;
            self.looks.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.distance *= 2.0;
        }
        self.looks.push((sum, sample));
    }

    /// All of it, with rates since the look before.
    pub(super) fn take(&mut self) -> Vec<Sample> {
        let looks = std::mem::take(&mut self.looks);
        let mut last = looks.first().map(|(sum, _)| *sum).unwrap_or_default();
        let mut samples = Vec::new();
        for (sum, mut sample) in looks.into_iter().skip(1) {
            let seconds = sum.at - last.at;
            let percent = |now: Option<Cpu>, then: Option<Cpu>| Some(per((now? - then?).used_ns, seconds) / 1e7);
            sample.sends = per(sum.acked - last.acked, seconds);
            sample.deliveries = per(sum.delivered - last.delivered, seconds);
            sample.cpu_percent = percent(sum.server, last.server);
            sample.generator_percent = percent(sum.own, last.own);
            samples.push(sample);
            last = sum;
        }
        samples
    }
}

impl Run {
    /// Looks now.
    pub(super) fn look_over_time(&self) {
        let counts = self.ledger.borrow().counts();
        let process = Process::of_all(&self.common.server_pid);
        let mut series = self.series.borrow_mut();
        let at = series.began.elapsed().as_secs_f64();
        let server = Cpu::of_all(&self.common.server_pid);
        let sum = Sum { at, acked: counts.acked, delivered: counts.delivered, server, own: Cpu::own() };
        let sample = Sample {
            at,
            live: self.signs.live(),
            rss_kib: process.map(|process| process.rss_kib),
            descriptors: process.and_then(|process| process.descriptors),
            socket_memory_kib: SocketMemory::look().map(|memory| memory.total_kib()),
            ..Sample::default()
        };
        series.push(sum, sample);
    }
}

/// By how much a value rises in an hour, in hundredths of its mean: the least squares' line through (seconds, value).
pub(crate) fn percent_an_hour(points: &[(f64, f64)]) -> Option<f64> {
    let count = as_f64(points.len() as u64);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let common: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    (points.len() > 2 && spread > 0.0 && y > 0.0).then(|| common / spread * 3_600.0 / y * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_rises_by_a_hundredth_in_an_hour_rises_by_a_percent() {
        let points: Vec<(f64, f64)> = (0..600).map(|s| (f64::from(s), 1_000.0 + f64::from(s) / 360.0)).collect();
        let slope = percent_an_hour(&points).expect("a line");
        assert!((slope - 1.0).abs() < 0.01, "{slope}");
        assert_eq!(percent_an_hour(&points[..2]), None);
    }

    #[test]
    fn a_long_run_keeps_a_bounded_number_of_looks() {
        let mut series = Series::default();
        for second in 0..5_000_u32 {
            let at = f64::from(second);
            series
                .push(Sum { at, acked: u64::from(second) * 10, ..Sum::default() }, Sample { at, ..Sample::default() });
        }
        let samples = series.take();
        assert!(samples.len() <= LOOKS_MAX);
        assert!(samples.iter().all(|sample| (sample.sends - 10.0).abs() < 1e-6), "rates hold whatever the distance");
    }
}
