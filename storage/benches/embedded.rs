//! The embedded log alone: its speed, its price, and the floor under it, measured in turns in one run.
//!
//! ```text
//! cargo bench -p hubbub-storage --all-features --bench embedded -- [--group 64] [--conversations 100000] [--payload 300]
//!                                                       [--at-once 1|2] [--seconds 3] [--rounds 7] [--dir DIR] [--segment BYTES]
//! ```
//!
//! A round hands groups over for some seconds, two at a time so that one forms while the other is synced (a commit's time is
//! then that of both; with one at a time it is its own); then waits
//! until all of it is in `log.db`. CPU (the senders' included) and bytes written are counted to that end, and so is
//! "sustained". The floor appends the same bytes to a file of its own with an `fdatasync` for each group. Then the same
//! with one message at a time. At the end the store is closed and opened again, with all that is in it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hubbub_protocol::{ClientMessageId, ConversationId, Sequence};
use hubbub_storage::conformance::{message, person};
use hubbub_storage::log::{Append, Appended};
use hubbub_storage::sqlite::{self, SqliteConfig};
use hubbub_storage::store::Store;
use rustix::time::{ClockId, clock_gettime};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Bytes of a message in the journal besides its payload, about: row, record, names of its fields.
const AROUND: usize = 150;

struct Options {
    group: usize,
    conversations: usize,
    payload: usize,
    at_once: usize,
    seconds: f64,
    rounds: usize,
    segment: Option<usize>,
    dir: Option<PathBuf>,
}

fn options() -> Outcome<Options> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut given = HashMap::new();
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} wants a value", pair[0]).into()) };
        given.insert(name.as_str(), value.clone());
    }
    let mut take = |name, default: &str| given.remove(name).unwrap_or_else(|| default.to_owned());
    let options = Options {
        group: take("--group", "64").parse()?,
        conversations: take("--conversations", "100000").parse()?,
        payload: take("--payload", "300").parse()?,
        at_once: take("--at-once", "2").parse()?,
        seconds: take("--seconds", "3").parse()?,
        rounds: take("--rounds", "7").parse()?,
        segment: given.remove("--segment").map(|bytes| bytes.parse()).transpose()?,
        dir: given.remove("--dir").map(PathBuf::from),
    };
    match given.keys().next() {
        Some(unknown) => Err(format!("unknown option {unknown}").into()),
        None => Ok(options),
    }
}

/// What one round showed.
struct Round {
    messages: f64,
    window: Duration,
    drained: Duration,
    cpu: Duration,
    senders_cpu: Duration,
    written: f64,
    groups: Vec<Duration>,
}

/// One figure of all rounds: the median, the smallest and the largest.
fn spread(rounds: impl Iterator<Item = f64>) -> String {
    let mut all: Vec<f64> = rounds.collect();
    all.sort_by(f64::total_cmp);
    let (first, last) = (all.first().copied().unwrap_or_default(), all.last().copied().unwrap_or_default());
    format!("{:9.1}  [{first:.1} .. {last:.1}]", all.get(all.len() / 2).copied().unwrap_or_default())
}

fn micros(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).map_or(0.0, |at| at.as_secs_f64() * 1e6)
}

fn main() -> Outcome<()> {
    let options = options()?;
    let folder = tempfile::tempdir()?;
    let dir = options.dir.clone().unwrap_or_else(|| folder.path().to_path_buf());
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut config = SqliteConfig::at(dir.join("store"));
    config.segment_bytes = options.segment.unwrap_or(config.segment_bytes);
    let store = sqlite::open(&config)?.store;
    let crowd = Crowd::new(&options);
    let seconds = Duration::from_secs_f64(options.seconds);
    let (mut rounds, mut singles, mut floors, mut single_floors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..=options.rounds {
        let group = options.group;
        let round = runtime.block_on(crowd.round(&store, &config.dir, group, options.at_once, seconds))?;
        let floor = floor(&dir, group * (options.payload + AROUND), seconds / 3)?;
        let single = runtime.block_on(crowd.round(&store, &config.dir, 1, 1, seconds / 3))?;
        let single_floor = self::floor(&dir, options.payload + AROUND, seconds / 3)?;
        // The first warms caches and the file system up.
        if number > 0 {
            rounds.push(round);
            floors.push(floor);
            singles.push(single);
            single_floors.push(single_floor);
        }
    }
    report(&options, &mut rounds, &mut floors);
    report_single(&mut singles, &mut single_floors);
    let total = crowd.sent.get();
    let closing = Instant::now();
    runtime.block_on(store.engine.close())?;
    let closed = closing.elapsed();
    drop(store);
    let opening = Instant::now();
    let store = sqlite::open(&config)?.store;
    println!("  closed in {closed:.1?}; opened with {total} messages stored in {:.1?}", opening.elapsed());
    runtime.block_on(store.engine.close())?;
    Ok(())
}

fn report(options: &Options, rounds: &mut [Round], floors: &mut [Vec<Duration>]) {
    let Options { group, conversations, payload, at_once, .. } = options;
    println!(
        "groups of {group}, {at_once} at once, {conversations} conversations, {payload} B; median [least .. most] of {} rounds",
        rounds.len()
    );
    let each =
        |name: &str, figure: &dyn Fn(&Round) -> f64| println!("  {name:34} {}", spread(rounds.iter().map(figure)));
    each("acknowledged messages/s", &|round| round.messages / round.window.as_secs_f64());
    each("sustained messages/s", &|round| round.messages / (round.window + round.drained).as_secs_f64());
    each("CPU us/message", &|round| round.cpu.as_secs_f64() * 1e6 / round.messages);
    each("  of it on the senders' thread", &|round| round.senders_cpu.as_secs_f64() * 1e6 / round.messages);
    each("bytes written/message", &|round| round.written / round.messages);
    for percent in [50, 99] {
        let name = format!("commit p{percent} us");
        println!("  {name:34} {}", spread(rounds.iter_mut().map(|round| micros(&mut round.groups, percent))));
    }
    for percent in [50, 99] {
        let name = format!("floor: append + fdatasync p{percent} us");
        println!("  {name:34} {}", spread(floors.iter_mut().map(|times| micros(times, percent))));
    }
}

fn report_single(singles: &mut [Round], floors: &mut [Vec<Duration>]) {
    println!("one message at a time");
    for percent in [50, 99] {
        let name = format!("ack p{percent} us");
        println!("  {name:34} {}", spread(singles.iter_mut().map(|round| micros(&mut round.groups, percent))));
        let name = format!("floor: append + fdatasync p{percent} us");
        println!("  {name:34} {}", spread(floors.iter_mut().map(|times| micros(times, percent))));
    }
    let ratio = |(round, floor): (&mut Round, &mut Vec<Duration>)| mean(&round.groups) / mean(floor);
    println!(
        "  {:34} {}",
        "mean ack / mean floor",
        spread(singles.iter_mut().zip(floors).map(ratio).map(|ratio| ratio.max(0.0)))
    );
}

fn mean(times: &[Duration]) -> f64 {
    times.iter().sum::<Duration>().as_secs_f64() / count(times.len().max(1))
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::NAN, f64::from)
}

/// The conversations, and how far each is.
struct Crowd {
    ids: Vec<ConversationId>,
    heads: RefCell<Vec<Sequence>>,
    payload: Vec<u8>,
    sent: Cell<u64>,
}

impl Crowd {
    fn new(options: &Options) -> Self {
        let count = options.conversations.next_multiple_of(2);
        Self {
            ids: (0..count).map(|_| ConversationId::generate()).collect(),
            heads: RefCell::new(vec![Sequence::ZERO; count]),
            payload: vec![0x5A; options.payload],
            sent: Cell::new(0),
        }
    }

    async fn round(
        &self,
        store: &Store,
        dir: &Path,
        group: usize,
        at_once: usize,
        seconds: Duration,
    ) -> Outcome<Round> {
        let (before, cpu, senders_cpu) =
            (self.sent.get(), clock(ClockId::ProcessCPUTime), clock(ClockId::ThreadCPUTime));
        let written = bytes_written()?;
        let started = Instant::now();
        let first = self.send(store, group, 0, at_once, seconds);
        let groups = if at_once == 2 {
            let (mut one, other) =
                futures_util::future::try_join(first, self.send(store, group, 1, 2, seconds)).await?;
            one.extend(other);
            one
        } else {
            first.await?
        };
        let window = started.elapsed();
        let senders_cpu = clock(ClockId::ThreadCPUTime).saturating_sub(senders_cpu);
        wait_until_applied(dir)?;
        let drained = started.elapsed().saturating_sub(window);
        let messages = count(usize::try_from(self.sent.get() - before)?);
        let cpu = clock(ClockId::ProcessCPUTime).saturating_sub(cpu);
        Ok(Round { messages, window, drained, cpu, senders_cpu, written: bytes_written()? - written, groups })
    }

    /// Groups in conversations of one's own, each handed over when the one before is acknowledged.
    async fn send(
        &self,
        store: &Store,
        group: usize,
        mine: usize,
        of: usize,
        time: Duration,
    ) -> Outcome<Vec<Duration>> {
        let deadline = Instant::now() + time;
        let mut times = Vec::new();
        let mut waiting = Vec::with_capacity(group);
        while Instant::now() < deadline {
            let handed_over = Instant::now();
            for _ in 0..group {
                let drawn = scramble(self.sent.replace(self.sent.get() + 1)) % (self.ids.len() / of) as u64;
                let drawn = usize::try_from(drawn)?;
                let index = drawn * of + mine;
                // Where a conversation comes twice in a group, its second append is at the head that the first makes.
                let head = self.heads.borrow()[index];
                self.heads.borrow_mut()[index] = head.next();
                let records = vec![message(person(1), Some(ClientMessageId::generate()), &self.payload)];
                waiting.push(store.log.append(Append {
                    conversation_id: self.ids[index],
                    expected_head: head,
                    records,
                }));
            }
            for answer in waiting.drain(..) {
                match answer.await {
                    Ok(Appended::Committed { .. }) => {}
                    other => return Err(format!("an append ended as {other:?}").into()),
                }
            }
            times.push(handed_over.elapsed());
        }
        Ok(times)
    }
}

/// Until the journal has nothing that `log.db` has not.
fn wait_until_applied(dir: &Path) -> Outcome<()> {
    loop {
        let mut bytes = 0;
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("journal-") {
                bytes += used(&entry.path()).unwrap_or_default();
            }
        }
        if bytes == 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a segment has a frame after its header: at its first byte.
fn used(path: &Path) -> std::io::Result<u64> {
    let mut bytes = [0; 40];
    let read = File::open(path)?.read(&mut bytes)?;
    Ok(u64::from(bytes[..read].get(36..).is_some_and(|frame| frame.iter().any(|byte| *byte != 0))))
}

fn floor(dir: &Path, bytes: usize, time: Duration) -> Outcome<Vec<Duration>> {
    let path = dir.join("floor");
    let mut file = File::create(&path)?;
    let payload = vec![0xA5; bytes];
    let mut times = Vec::new();
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        let start = Instant::now();
        file.write_all(&payload)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(times)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// What this process had written to disks, as the kernel counts it.
fn bytes_written() -> Outcome<f64> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("no write_bytes")?;
    Ok(line.parse()?)
}

/// A fixed scramble (the finalizer of `SplitMix64`), so that runs are alike.
fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
