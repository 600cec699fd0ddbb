//! Rooms of every size at once, as a chat app has them: pairs, teams, departments, and one with everybody.
//!
//! Open loop. Most messages go to small rooms, most deliveries come from large ones.

use crate::options::Common;
use crate::pacer::{Seeded, Spread};
use crate::report::Report;
use crate::run::{Crew, Part, People, Run};

/// How many are in a room, and of a hundred messages how many go to such rooms.
const KINDS: [(usize, usize); 4] = [(2, 55), (10, 35), (50, 9), (usize::MAX, 1)];

/// The options of `room_mix`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// People.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=5_000))]
    people: u32,
    /// Sockets of each.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    devices: u32,
    /// Messages a second, over all.
    #[arg(long, value_name = "N", default_value_t = 500.0)]
    rate: f64,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let run = Run::new(common).await?;
    let count = args.people as usize;
    let people = People::register(&run, count).await?;
    let plan = plan(count);
    let rooms = people.converse(plan.iter().map(|(_, members)| members.clone()).collect()).await?;
    let mut crew = Crew::new(&run);
    // Of each kind of room, who can send there: as player and slot.
    let mut seats: Vec<Vec<(usize, usize)>> = vec![Vec::new(); KINDS.len()];
    for socket in 0..count * args.devices as usize {
        let Some(options) = people.options(socket, socket % count) else { continue };
        let mut own = Vec::new();
        for ((kind, members), room) in plan.iter().zip(&rooms) {
            if members.contains(&(socket % count)) {
                if let Some(seats) = seats.get_mut(*kind) {
                    seats.push((socket, own.len()));
                }
                own.push(room.clone());
            }
        }
        crew.add(Part { options, conversations: own, depth: 0, timed: true });
    }
    crew.assemble().await?;
    let mut seeded = Seeded::new(common.seed);
    let pick = || {
        let seats = kind_of(seeded.below(100)).and_then(|kind| seats.get(kind)).filter(|seats| !seats.is_empty());
        seats.and_then(|seats| seats.get(seeded.below(seats.len()))).copied().unwrap_or_default()
    };
    crew.conduct(common.warming(), args.rate, Spread::Random, pick).await?;
    crew.finish("room_mix", &rooms).await
}

/// Which kind of room a message goes to, by a number below a hundred.
fn kind_of(mut number: usize) -> Option<usize> {
    KINDS.iter().position(|(_, share)| {
        let here = number < *share;
        number = number.saturating_sub(*share);
        here
    })
}

/// The rooms of each kind: everybody is in one of each.
fn plan(people: usize) -> Vec<(usize, Vec<usize>)> {
    let all: Vec<usize> = (0..people).collect();
    let rooms = KINDS.iter().enumerate().filter(|(_, (size, _))| *size == usize::MAX || *size < people);
    rooms
        .flat_map(|(kind, (size, _))| all.chunks((*size).min(people)).map(move |members| (kind, members.to_vec())))
        .filter(|(_, members)| members.len() > 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_a_kind_of_room_and_everybody_is_in_one_of_each() {
        assert_eq!(KINDS.iter().map(|(_, share)| share).sum::<usize>(), 100);
        assert_eq!([0, 54, 55, 98, 99].map(kind_of), [Some(0), Some(0), Some(1), Some(2), Some(3)]);
        let plan = plan(100);
        for person in 0..100 {
            assert_eq!(plan.iter().filter(|(_, members)| members.contains(&person)).count(), KINDS.len());
        }
    }
}
