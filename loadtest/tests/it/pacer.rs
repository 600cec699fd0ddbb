//! The schedule is fixed in advance, and lateness is seen.

use std::time::Duration;

use hubbub_loadtest::measure::Clock;
use hubbub_loadtest::pacer::{LATE_NS, LATE_PERCENT_MAX, Lag, Pacer, Schedule, Seeded, Spread};

#[test]
fn an_even_schedule_has_equal_distances_and_the_right_number() {
    let instants: Vec<u64> = Schedule::new(500, Duration::from_secs(2), 100.0, Spread::Even, 1).collect();
    assert_eq!(instants.len(), 200);
    assert_eq!(instants[0], 500);
    assert!(instants.windows(2).all(|pair| pair[1] - pair[0] == 10_000_000));
}

#[test]
fn a_random_schedule_is_the_same_for_the_same_seed_and_has_about_the_right_number() {
    let of = |seed| Schedule::new(0, Duration::from_secs(100), 100.0, Spread::Random, seed).collect::<Vec<u64>>();
    assert_eq!(of(3), of(3));
    assert_ne!(of(3), of(4));
    // 10,000 are expected; five standard deviations are 500.
    assert!((9_500..10_500).contains(&of(3).len()), "{}", of(3).len());
    assert!(of(3).is_sorted());
}

#[test]
fn lag_over_the_limit_makes_a_run_invalid_and_a_little_does_not() {
    let mut lag = Lag::default();
    for _ in 0..1_000 {
        lag.record(0, 100_000);
    }
    assert!(lag.late_percent() <= LATE_PERCENT_MAX);
    for _ in 0..9 {
        lag.record(0, LATE_NS + 1);
    }
    assert!(lag.late_percent() <= LATE_PERCENT_MAX, "{} %", lag.late_percent());
    for _ in 0..10 {
        lag.record(0, LATE_NS + 1);
    }
    assert!(lag.late_percent() > LATE_PERCENT_MAX, "{} %", lag.late_percent());
}

#[test]
fn a_seed_gives_the_same_numbers_and_they_spread() {
    let numbers = |seed| {
        let mut seeded = Seeded::new(seed);
        (0..1_000).map(|_| seeded.below(10)).collect::<Vec<_>>()
    };
    assert_eq!(numbers(1), numbers(1));
    assert!((0..10).all(|wanted| numbers(1).iter().filter(|number| **number == wanted).count() > 50));
    assert_eq!(Seeded::new(1).below(0), 0);
}

#[tokio::test]
async fn a_pacer_tells_every_instant_and_none_before_its_time() {
    let clock = Clock::start();
    let schedule = Schedule::new(clock.now_ns(), Duration::from_millis(50), 1_000.0, Spread::Even, 1);
    let mut pacer = Pacer::start(clock, schedule).expect("a thread");
    let mut told = 0;
    while let Some(intended_ns) = pacer.due().await {
        assert!(clock.now_ns() >= intended_ns);
        told += 1;
    }
    assert_eq!(told, 50);
    pacer.stop().expect("its thread ends");
}

#[tokio::test]
async fn a_pacer_that_is_dropped_early_ends_its_thread() {
    let clock = Clock::start();
    let schedule = Schedule::new(clock.now_ns(), Duration::from_hours(1), 1_000.0, Spread::Even, 1);
    let mut pacer = Pacer::start(clock, schedule).expect("a thread");
    assert!(pacer.due().await.is_some());
    pacer.stop().expect("its thread ends");
}
