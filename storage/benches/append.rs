//! Durable appends a second, with their CPU and their latency, for each backend.
//!
//! ```text
//! cargo bench -p hubbub-storage --all-features -- [--backend memory|sqlite] [--senders 64] [--conversations 10000]
//!                                                 [--payload 300] [--seconds 5] [--dir DIR]
//! ```
//!
//! Each sender has conversations of its own and waits for its ack before it sends again, so the number of senders is
//! the size of the groups that form. CPU is the whole process's: the senders of this bench are in it.

use std::cell::Cell;
use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hubbub_protocol::{ClientMessageId, ConversationId, Sequence};
use hubbub_storage::conformance::{message, person};
use hubbub_storage::log::{Append, Appended};
use hubbub_storage::memory;
use hubbub_storage::sqlite::{self, SqliteConfig};
use hubbub_storage::store::Store;
use rustix::time::{ClockId, clock_gettime};

struct Options {
    backends: Vec<String>,
    senders: usize,
    conversations: usize,
    payload: usize,
    seconds: u64,
    dir: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for backend in &options.backends {
        let folder = tempfile::tempdir()?;
        let dir = options.dir.clone().unwrap_or_else(|| folder.path().to_path_buf());
        let opening = Instant::now();
        let store = match backend.as_str() {
            "memory" => memory::open(),
            _ => sqlite::open(&SqliteConfig::at(&dir))?.store,
        };
        let opened = opening.elapsed();
        let measured = runtime.block_on(measure(&store, &options))?;
        let closing = Instant::now();
        runtime.block_on(store.engine.close())?;
        measured.print(backend, &options);
        println!("    opened in {opened:.1?}, closed in {:.1?}", closing.elapsed());
    }
    Ok(())
}

fn options() -> Result<Options, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut given = HashMap::new();
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} wants a value", pair[0]).into()) };
        given.insert(name.as_str(), value.clone());
    }
    let mut take = |name, default: &str| given.remove(name).unwrap_or_else(|| default.to_owned());
    let backends = take("--backend", "memory,sqlite").split(',').map(str::to_owned).collect();
    let options = Options {
        backends,
        senders: take("--senders", "64").parse()?,
        conversations: take("--conversations", "10000").parse()?,
        payload: take("--payload", "300").parse()?,
        seconds: take("--seconds", "5").parse()?,
        dir: given.remove("--dir").map(PathBuf::from),
    };
    match given.keys().next() {
        Some(unknown) => Err(format!("unknown option {unknown}").into()),
        None => Ok(options),
    }
}

struct Measured {
    appends: usize,
    elapsed: Duration,
    cpu: Duration,
    latencies: Vec<Duration>,
}

impl Measured {
    fn print(mut self, backend: &str, options: &Options) {
        self.latencies.sort_unstable();
        let at = |percent: usize| self.latencies.get(self.latencies.len() * percent / 100).copied().unwrap_or_default();
        let appends = u32::try_from(self.appends).unwrap_or(u32::MAX);
        println!(
            "{backend:7} {:9.0} appends/s   {:5.1} us CPU each   ack p50 {:.2?} p99 {:.2?} max {:.2?}   ({} appends, {} senders, \
             {} conversations, {} B)",
            f64::from(appends) / self.elapsed.as_secs_f64(),
            self.cpu.as_secs_f64() * 1e6 / f64::from(appends.max(1)),
            at(50),
            at(99),
            self.latencies.last().copied().unwrap_or_default(),
            self.appends,
            options.senders,
            options.conversations,
            options.payload,
        );
    }
}

async fn measure(store: &Store, options: &Options) -> Result<Measured, Box<dyn Error>> {
    let payload = vec![0x5A; options.payload];
    let each = options.conversations.div_ceil(options.senders);
    let started = Instant::now();
    let deadline = started + Duration::from_secs(options.seconds);
    let cpu = cpu_time();
    let turns = Cell::new(0_u64);
    let senders = (0..options.senders).map(|_| async {
        let mut heads: Vec<_> = (0..each).map(|_| (ConversationId::generate(), Sequence::ZERO)).collect();
        let mut latencies = Vec::new();
        while Instant::now() < deadline {
            turns.set(turns.get() + 1);
            let index = usize::try_from(scramble(turns.get()) % each as u64).unwrap_or_default();
            let (id, head) = &mut heads[index];
            let records = vec![message(person(1), Some(ClientMessageId::generate()), &payload)];
            let sent = Instant::now();
            match store.log.append(Append { conversation_id: *id, expected_head: *head, records }).await {
                Ok(Appended::Committed { last, .. }) => *head = last,
                other => return Err(format!("an append ended as {other:?}")),
            }
            latencies.push(sent.elapsed());
            // The memory backend answers at once: let the others send too.
            tokio::task::yield_now().await;
        }
        Ok(latencies)
    });
    let mut latencies = Vec::new();
    for sent in join_all(senders).await {
        latencies.extend(sent?);
    }
    Ok(Measured {
        appends: latencies.len(),
        elapsed: started.elapsed(),
        cpu: cpu_time().saturating_sub(cpu),
        latencies,
    })
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// A fixed scramble (the finalizer of `SplitMix64`), so that runs are alike.
fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
