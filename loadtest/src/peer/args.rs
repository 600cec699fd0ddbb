//! What `loadtest peers` can be told.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::kind::Kind;
use super::{payload, start};

/// The options of `peers`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// Start those whose programs are found, each in its fair form, and stop them again. Without it those are measured
    /// that run already.
    #[arg(long)]
    pub(super) start: bool,
    /// Only these.
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub(super) only: Vec<Kind>,
    /// Rounds, each over all peers, and each beginning with another. Take 7 for what is quoted.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) rounds: u32,
    /// How long each measurement takes.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(super) seconds: u64,
    /// What is measured: `fan-out`, `ack`, `connects`, `idle`.
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_enum, default_values_t = What::ALL)]
    pub(super) measure: Vec<What>,
    /// Receivers of the room.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub(super) receivers: u32,
    /// Messages of the room that are out at a time; a row for each.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 16], value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) window: Vec<u32>,
    /// Bytes of a message.
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = size)]
    pub(super) payload: usize,
    /// Senders whose publishes are acknowledged.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub(super) senders: u32,
    /// Publishes of each that wait for their acknowledgement.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) depth: u32,
    /// Connections that do nothing.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub(super) idle: u32,
    /// People of Hubbub, who share the connections; each costs a password hash.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub(super) people: u32,
    #[command(flatten)]
    pub(super) places: Places,
    /// Where started peers keep what they keep; on the disk that the durable rows are about.
    #[arg(long, value_name = "FOLDER", default_value = "peers.tmp")]
    pub(super) folder: PathBuf,
    /// Where to write all samples and the summary as JSON.
    #[arg(long, value_name = "FILE.json")]
    pub(super) report: Option<PathBuf>,
    /// Adds these rounds to those in the report, if they were made alike.
    #[arg(long, requires = "report")]
    pub(super) add: bool,
    /// Where to write the tables as Markdown.
    #[arg(long, value_name = "FILE.md")]
    pub(super) markdown: Option<PathBuf>,
    /// Shows a peer's script or settings, and does no more.
    #[arg(long, value_name = "PEER", value_parser = clap::builder::PossibleValuesParser::new(start::names()))]
    pub(super) show: Option<String>,
}

/// Where peers run, and what runs them.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Places {
    /// Where Hubbub runs.
    #[arg(long, value_name = "URL")]
    pub(super) hubbub: Option<String>,
    /// Its process, if it cannot be seen who listens there.
    #[arg(long, value_name = "PID")]
    pub(super) hubbub_pid: Option<u32>,
    /// The program, to start it.
    #[arg(long, value_name = "FILE")]
    pub(super) hubbub_program: Option<PathBuf>,
    /// Where NATS has its WebSocket door.
    #[arg(long, value_name = "URL")]
    pub(super) nats: Option<String>,
    /// Its process.
    #[arg(long, value_name = "PID")]
    pub(super) nats_pid: Option<u32>,
    /// The program, to start it.
    #[arg(long, value_name = "FILE")]
    pub(super) nats_program: Option<PathBuf>,
    /// Where the Socket.IO server of `--show socketio` runs.
    #[arg(long, value_name = "URL")]
    pub(super) socketio: Option<String>,
    /// Its process.
    #[arg(long, value_name = "PID")]
    pub(super) socketio_pid: Option<u32>,
    /// Where Sockudo runs, with the application `load`, its key `load-key` and its secret `load-secret`.
    #[arg(long, value_name = "URL")]
    pub(super) sockudo: Option<String>,
    /// Its process.
    #[arg(long, value_name = "PID")]
    pub(super) sockudo_pid: Option<u32>,
    /// The program, to start it.
    #[arg(long, value_name = "FILE")]
    pub(super) sockudo_program: Option<PathBuf>,
    /// Where the room server of `--show ws` runs.
    #[arg(long, value_name = "URL")]
    pub(super) ws: Option<String>,
    /// Its process.
    #[arg(long, value_name = "PID")]
    pub(super) ws_pid: Option<u32>,
    /// Where Centrifugo runs, with the settings of `--show centrifugo`.
    #[arg(long, value_name = "URL")]
    pub(super) centrifugo: Option<String>,
    /// Its process.
    #[arg(long, value_name = "PID")]
    pub(super) centrifugo_pid: Option<u32>,
    /// The program, to start it.
    #[arg(long, value_name = "FILE")]
    pub(super) centrifugo_program: Option<PathBuf>,
    /// Node, to start what is written for it.
    #[arg(long, value_name = "FILE")]
    pub(super) node_program: Option<PathBuf>,
    /// The folder in which `npm install socket.io ws` was done.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(super) node_folder: PathBuf,
}

impl Places {
    /// Where a peer is said to run, and as which process.
    pub(super) fn given(&self, kind: Kind) -> (Option<&str>, Option<u32>) {
        let (url, pid) = match kind {
            Kind::Hubbub => (&self.hubbub, self.hubbub_pid),
            Kind::HubbubMemory => (&None, None),
            Kind::Nats => (&self.nats, self.nats_pid),
            Kind::Socketio => (&self.socketio, self.socketio_pid),
            Kind::Sockudo => (&self.sockudo, self.sockudo_pid),
            Kind::Ws => (&self.ws, self.ws_pid),
            Kind::Centrifugo => (&self.centrifugo, self.centrifugo_pid),
        };
        (url.as_deref(), pid)
    }

    /// What runs a peer, if it is there.
    pub(super) fn program(&self, kind: Kind) -> Option<PathBuf> {
        let named = match kind {
            Kind::Hubbub | Kind::HubbubMemory => &self.hubbub_program,
            Kind::Nats => &self.nats_program,
            Kind::Socketio | Kind::Ws => &self.node_program,
            Kind::Sockudo => &self.sockudo_program,
            Kind::Centrifugo => &self.centrifugo_program,
        };
        let program = start::program(&named.clone().unwrap_or_else(|| kind.program().into()))?;
        let package = kind.package().map(|package| self.node_folder.join("node_modules").join(package));
        package.is_none_or(|folder| folder.is_dir()).then_some(program)
    }
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// Deliveries of one room.
    FanOut,
    /// Acknowledged publishes.
    Ack,
    /// Connections with their login.
    Connects,
    /// Memory of connections that do nothing.
    Idle,
}

impl What {
    /// All of it.
    pub(super) const ALL: [Self; 4] = [Self::FanOut, Self::Ack, Self::Connects, Self::Idle];
}

fn size(text: &str) -> Result<usize, String> {
    let range = payload::SMALLEST..=16 * 1024;
    let size = text.parse().ok().filter(|size| range.contains(size));
    size.ok_or_else(|| format!("not a size of {} to {} bytes", range.start(), range.end()))
}
