//! Homes and edges without sockets: a world in which everything that may be late is late, by seed.
//!
//! Two shards, each home and edge; messages between them and ends of works wait in queues, and a random draw says which
//! goes on next. Appends fail on purpose, before and after they took effect. Readers come, go, resume, fall behind, are
//! removed and come back; [`reader`] checks what each one hears, and at the end the log is compared with every answer.
//!
//! Hunts GAPLESS, IN-ORDER, RESUMABLE, ONCE, HONEST and MEMBERS-ONLY. A failing seed is printed: make it a named test.

mod check;
mod people;
mod reader;
mod said;
mod world;

use self::world::World;

/// Seeds of one test run; each is a world of [`STEPS`] draws. A few seconds in all.
const SEEDS: u64 = 300;
const STEPS: usize = 1_500;

#[test]
fn in_order_resumable_once_honest_members_only_whatever_comes_late() {
    let mut events = 0;
    for seed in 1..=SEEDS {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        events += world.settle_and_check();
    }
    assert!(events > SEEDS * 100, "a checker that hears nothing is assumed broken: {events} events");
}

#[test]
fn one_seed_twice_is_one_history() {
    let history = |seed| {
        let mut world = World::new(seed);
        (0..STEPS).for_each(|_| world.step());
        (world.settle_and_check(), world.trace())
    };
    assert_eq!(history(7), history(7), "the simulation is not deterministic");
}
