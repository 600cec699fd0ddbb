//! What several rounds say together is neither luck nor more than they know.

use hubbub_loadtest::measure::Latencies;
use hubbub_loadtest::statistics::{Interval, median};

#[test]
fn the_median_is_in_the_middle() {
    for (values, middle) in [(vec![], 0.0), (vec![3.0], 3.0), (vec![3.0, 1.0], 2.0), (vec![9.0, 1.0, 2.0], 2.0)] {
        assert!((median(&values) - middle).abs() < 1e-9, "{values:?}");
    }
}

#[test]
fn an_interval_holds_its_median_lies_within_the_rounds_and_is_the_same_each_time() {
    let rounds = [1.1, 1.2, 1.0, 1.4, 1.15, 1.3, 5.0];
    let interval = Interval::of(&rounds).expect("rounds");
    assert_eq!(interval.rounds, 7);
    assert!(interval.low <= interval.median && interval.median <= interval.high);
    assert!(interval.low >= 1.0 && interval.high <= 5.0);
    assert!(interval.median < 1.3, "one bad round does not move it");
    assert_eq!(Interval::of(&rounds), Some(interval));
    assert_eq!(Interval::of(&[]), None);
}

#[test]
fn a_distribution_holds_every_latency_once() {
    let mut latencies = Latencies::default();
    for us in 1..=5_000 {
        latencies.record(0, us * 1_000);
    }
    let distribution = latencies.distribution();
    assert_eq!(distribution.iter().map(|(_, count)| count).sum::<u64>(), 5_000);
    assert!(distribution.len() < 1_500, "{} steps", distribution.len());
    assert!(distribution.is_sorted());
}
