//! What several rounds say together: their median, and between which bounds it lies.

use serde::Serialize;

use crate::pacer::Seeded;

/// Resamples of a bootstrap: enough that its own noise does not show in two digits.
const RESAMPLES: usize = 2_000;
/// Of these, left out at each end: what is left are 95 in a hundred.
const TAIL: usize = RESAMPLES / 40;

/// A median and the bounds between which it lies, by bootstrap, with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The median of the rounds.
    pub median: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
    /// How many rounds.
    pub rounds: usize,
}

impl Interval {
    /// Of these rounds; `None` if there are none. The same rounds give the same bounds.
    #[must_use]
    pub fn of(rounds: &[f64]) -> Option<Self> {
        if rounds.is_empty() {
            return None;
        }
        let mut seeded = Seeded::new(rounds.len() as u64);
        let mut medians: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let sample: Vec<f64> =
                    rounds.iter().filter_map(|_| rounds.get(seeded.below(rounds.len()))).copied().collect();
                median(&sample)
            })
            .collect();
        medians.sort_by(f64::total_cmp);
        let at = |place: usize| medians.get(place).copied().unwrap_or_default();
        let (low, high) = (at(TAIL), at(RESAMPLES - 1 - TAIL));
        Some(Self { median: median(rounds), low, high, rounds: rounds.len() })
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} [{:.2}..{:.2}] in {} rounds", self.median, self.low, self.high, self.rounds)
    }
}

/// The middle of these, or between the two in the middle; 0 of nothing.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), middle.checked_sub(1).and_then(|below| sorted.get(below))) {
        (Some(upper), Some(lower)) if sorted.len().is_multiple_of(2) => f64::midpoint(*lower, *upper),
        (Some(middle), _) => *middle,
        (None, _) => 0.0,
    }
}

/// By how much the second differs from the first, in hundredths of it; `None` if that is nothing.
pub(crate) fn moved_percent(before: f64, after: f64) -> Option<f64> {
    (before > 0.0).then(|| (after - before) / before * 100.0)
}
