//! What every scenario can be told on the command line.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use hubbub_protocol::codec::Format;

use crate::signs::Signs;

/// A silent server is left after this long, where there are others.
const SILENCE_OF_MANY_MS: u64 = 3_000;

/// The spelling of frames that clients choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Formats {
    /// All JSON.
    Json,
    /// All MessagePack.
    Msgpack,
    /// By turns, so that both meet in every conversation.
    Mixed,
}

impl Formats {
    /// The format of the client with this number.
    pub const fn of(self, client: usize) -> Format {
        match self {
            Self::Json => Format::Json,
            Self::Msgpack => Format::MessagePack,
            Self::Mixed => Format::ALL[client % 2],
        }
    }
}

/// How figures become comparable.
#[derive(Debug, Clone, Args)]
pub struct Bench {
    /// How often a scenario that has a floor and its floor take turns. The measured time is divided among the turns.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub floor_turns: u32,
    /// Measures the scenario alone.
    #[arg(long)]
    pub no_floor: bool,
    /// Whether server and generator are put on different cores, where there are two and the server's process is named.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub pin: bool,
    /// The server keeps its messages in memory, so that a floor need not sync either.
    #[arg(long)]
    pub in_memory: bool,
    /// A folder on the server's disk, where a floor that syncs writes its file.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub floor_dir: PathBuf,
}

/// The options that all scenarios share.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Where the servers are; several, separated by commas, share the clients.
    #[arg(long, value_name = "URL", value_delimiter = ',', default_value = "http://127.0.0.1:8080")]
    pub url: Vec<String>,
    /// Where REST is served, if not there; several, separated by commas.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub rest: Vec<String>,
    /// Where the servers tell their counters at `/metrics`, if not there; several, separated by commas.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// A server that does not answer for so many milliseconds is left for the next. With one server alone clients do
    /// not ask, and leave after a minute without a word; with several the default is 3,000.
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub silence: Option<u64>,
    /// How long is measured.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// How long it runs before it is measured.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub warm_up: u64,
    /// How long clients may take at the end to settle and see all.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub drain: u64,
    /// The same seed makes the same plan: who is where, who sends when.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The server's process, to measure its CPU and memory; several, separated by commas, are measured together.
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub server_pid: Vec<u32>,
    /// How it is measured.
    #[command(flatten)]
    pub bench: Bench,
    /// Where to write the report as JSON.
    #[arg(long, value_name = "FILE.json")]
    pub report: Option<PathBuf>,
    /// Where to write the report as one page with plots.
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
    /// Sends that may start over 5 ms late, in a hundred. With more the generator did not keep up: the run is invalid.
    #[arg(long, value_name = "PERCENT", default_value_t = crate::pacer::LATE_PERCENT_MAX)]
    pub max_late: f64,
    /// JSON, MessagePack, or both by turns.
    #[arg(long, value_enum, default_value_t = Formats::Mixed)]
    pub format: Formats,
    /// The size of a message's payload, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = payload_size)]
    pub payload: usize,
    /// This process is a part of a run: it says a word at each stage and waits for one back.
    #[arg(long, hide = true)]
    pub part: bool,
    /// A line about the run each second goes to standard error, where that is no terminal.
    #[arg(skip)]
    pub lines: bool,
    /// What others may see of the run while it goes on.
    #[arg(skip)]
    pub signs: Arc<Signs>,
}

impl Common {
    /// How long is measured.
    pub const fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Whether a floor is measured by turns with the scenario.
    pub const fn compares_with_floor(&self) -> bool {
        !self.bench.no_floor && !self.server_pid.is_empty()
    }

    /// The file of a floor that syncs.
    pub fn floor_file(&self) -> PathBuf {
        self.bench.floor_dir.join(format!("floor-{}.tmp", std::process::id()))
    }

    /// After how long a silent server is left.
    pub fn silence(&self) -> Option<Duration> {
        let of_many = (self.url.len() > 1).then_some(SILENCE_OF_MANY_MS);
        self.silence.or(of_many).map(Duration::from_millis)
    }

    /// How long it runs before.
    pub const fn warming(&self) -> Duration {
        Duration::from_secs(self.warm_up)
    }
}

fn payload_size(text: &str) -> Result<usize, String> {
    let range = crate::client::stamp::STAMP_BYTES..=hubbub_protocol::limits::MAX_PAYLOAD_BYTES;
    text.parse()
        .ok()
        .filter(|size| range.contains(size))
        .ok_or_else(|| format!("not a size of {} to {} bytes", range.start(), range.end()))
}
