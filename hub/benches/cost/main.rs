//! What the hub's own work costs: acks, deliveries and logins over real sockets, without a disk and without a generator.
//!
//! ```text
//! cargo bench -p hubbub-hub --bench cost -- ack     [--sockets 64] [--depth 8] [--rounds 1000]
//! cargo bench -p hubbub-hub --bench cost -- deliver [--sockets 1000] [--depth 1] [--rounds 100] [--laps 7]
//! cargo bench -p hubbub-hub --bench cost -- connect [--sockets 200] [--rounds 10] [--fresh]
//! cargo bench -p hubbub-hub --bench cost -- idle    [--sockets 9000]
//! ```
//!
//! A hub of one shard over the store in memory, and one client thread that speaks in lockstep: it writes `depth` commands
//! to each socket, then reads all answers. CPU is that of the hub's threads alone (`shard-0` and `door`), as the kernel
//! counts it; `deliver` has a bare `send()` loop in the same run to compare with. Under callgrind with
//! `--separate-threads=yes` the instructions of the same threads are counted: `tools/budgets` keeps them within bounds.

mod client;
mod cpu;
mod floor;
mod house;

use std::error::Error;
use std::time::Instant;

use self::client::{Client, Clients};
use self::house::House;

// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

struct Options {
    what: String,
    sockets: usize,
    depth: usize,
    rounds: usize,
    laps: usize,
    fresh: bool,
}

fn main() -> Outcome<()> {
    let options = options()?;
    match options.what.as_str() {
        "ack" => ack(&options),
        "deliver" => deliver(&options),
        "connect" => connect(&options),
        "idle" => idle(&options),
        other => Err(format!("nothing is called {other}: ack, deliver, connect or idle").into()),
    }
}

fn options() -> Outcome<Options> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let what = arguments.next().unwrap_or_else(|| "ack".to_owned());
    let (sockets, depth, rounds) = match what.as_str() {
        "deliver" => (1000, 1, 100),
        "connect" => (200, 1, 10),
        "idle" => (9000, 1, 1),
        _ => (64, 8, 1000),
    };
    let mut options = Options { what, sockets, depth, rounds, laps: 7, fresh: false };
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} wants a value"));
        match name.as_str() {
            "--sockets" => options.sockets = value()?.parse()?,
            "--depth" => options.depth = value()?.parse()?,
            "--rounds" => options.rounds = value()?.parse()?,
            "--fresh" => options.fresh = true,
            "--laps" => options.laps = value()?.parse()?,
            other => return Err(format!("there is no option {other}").into()),
        }
    }
    Ok(options)
}

/// Every socket sends to a conversation of its own, which it does not follow, and reads its acks.
fn ack(options: &Options) -> Outcome<()> {
    let house = House::open()?;
    let mut clients = Clients::default();
    for _ in 0..options.sockets {
        let person = house.person()?;
        let room = house.room(&[&person])?;
        let mut client = Client::connect(&house, &person)?;
        client.read_frames(2)?;
        client.unsubscribe(room)?;
        client.sends_to(room);
        clients.0.push(client);
    }
    clients.ack_round(options.depth)?;
    let (before, began) = (cpu::hub(), Instant::now());
    for _ in 0..options.rounds {
        clients.ack_round(options.depth)?;
    }
    let acks = options.sockets * options.depth * options.rounds;
    cpu::hub().since(&before).print("ack", acks, began.elapsed());
    Ok(())
}

/// One room: its first member sends `depth` messages at once, and every member reads them.
fn deliver(options: &Options) -> Outcome<()> {
    let house = House::open()?;
    let people = (0..options.sockets).map(|_| house.person()).collect::<Outcome<Vec<_>>>()?;
    let room = house.room(&people.iter().collect::<Vec<_>>())?;
    let mut clients = Clients::default();
    for person in &people {
        let mut client = Client::connect(&house, person)?;
        client.read_frames(2)?;
        clients.0.push(client);
    }
    clients.0[0].sends_to(room);
    let bytes = clients.deliver_round(options.depth)?;
    let mut floor = floor::Floor::open(options.sockets, bytes, options.depth)?;
    let deliveries = options.sockets * options.depth;
    let mut ratios = Vec::new();
    for _ in 0..options.laps {
        let began = Instant::now();
        let before = cpu::hub();
        for _ in 0..options.rounds {
            clients.deliver_round(options.depth)?;
        }
        let hub = cpu::hub().since(&before);
        hub.print("deliver", deliveries * options.rounds, began.elapsed());
        let (floor, began) = (floor.run(options.rounds)?, Instant::now());
        floor.print("floor", deliveries * options.rounds, began.elapsed());
        ratios.push(hub.total() / floor.total());
    }
    ratios.sort_by(f64::total_cmp);
    if let (Some(least), Some(middle), Some(most)) = (ratios.first(), ratios.get(ratios.len() / 2), ratios.last()) {
        println!("ratio to the floor: {middle:.3} ({least:.3} to {most:.3}), {} laps", ratios.len());
    }
    Ok(())
}

/// People come, are let in and go: with the token they had, or each time with a fresh one.
fn connect(options: &Options) -> Outcome<()> {
    let house = House::open()?;
    let mut people = (0..options.sockets).map(|_| house.person()).collect::<Outcome<Vec<_>>>()?;
    for person in &people {
        house.room(&[person])?;
    }
    let mut round = || -> Outcome<()> {
        if options.fresh {
            people.iter_mut().try_for_each(|person| house.log_in_again(person))?;
        }
        let mut all = Vec::new();
        for person in &people {
            let mut client = Client::begin(&house)?;
            client.log_in(person)?;
            all.push(client);
        }
        all.iter_mut().try_for_each(|client| client.read_frames(2))
    };
    round()?;
    let (before, began) = (cpu::hub(), Instant::now());
    for _ in 0..options.rounds {
        round()?;
    }
    cpu::hub().since(&before).print("connect", options.sockets * options.rounds, began.elapsed());
    Ok(())
}

/// Sockets that do nothing, each with one conversation of two people.
fn idle(options: &Options) -> Outcome<()> {
    let house = House::open()?;
    let mut people = Vec::new();
    let mut clients = Vec::with_capacity(options.sockets);
    for _ in 0..options.sockets.div_ceil(50).next_multiple_of(2) {
        people.push(house.person()?);
    }
    for pair in people.chunks(2) {
        house.room(&[&pair[0], &pair[1]])?;
    }
    let before = cpu::resident_kib();
    for number in 0..options.sockets {
        let mut client = Client::connect(&house, &people[number % people.len()])?;
        client.read_frames(2)?;
        client.rest();
        clients.push(client);
        if (number + 1) % 1000 == 0 {
            let each = (cpu::resident_kib() - before) * 1024 / (number as u64 + 1);
            println!("{:>6} sockets: {each} bytes each", number + 1);
        }
    }
    Ok(())
}
