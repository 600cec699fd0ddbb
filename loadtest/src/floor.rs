//! Floors: bare programs that do what the kernel cannot be spared, and nothing else.
//!
//! A figure of a machine that others share says little; its ratio to a floor that was measured by turns with it says
//! what a server adds. The server's side of each runs as a process of its own, so that its CPU is apart and is measured
//! by the same means as a server's; the client's side is a blocking loop in this process. Not async, no tokio: a
//! floor has nothing that could be left out.

mod door;
mod echo;
mod fan;
mod poll;
mod sizes;

use std::ffi::OsString;
use std::io::{self, BufRead as _, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use socket2::{Domain, Socket, Type};

use crate::host::cores::Cores;
use crate::host::cpu::Cpu;
use crate::host::raise_open_files;
use crate::measure::{Latencies, as_f64, per};
use crate::options::Common;
use crate::statistics::Interval;

pub(crate) use self::sizes::Sizes;

/// What is read from a socket at once.
const READ_BYTES: usize = 256 * 1024;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;

/// Which floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A `send()` of each message to each socket.
    Send,
    /// A `send()` of all messages of a round, joined, to each socket.
    Joined,
    /// Requests answered.
    Echo,
    /// Requests appended to a file and synced by the group, then answered.
    Sync,
    /// Connections accepted and upgraded.
    Connect,
}

impl Kind {
    /// Its name in a report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Joined => "joined send",
            Self::Echo => "epoll echo",
            Self::Sync => "epoll echo, appended and synced by the group",
            Self::Connect => "accept and upgrade",
        }
    }
}

/// What a floor does.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Spec {
    /// Which.
    #[arg(value_enum)]
    pub kind: Kind,
    /// Sockets; for `connect`, those that knock at a time.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub sockets: usize,
    /// Requests of one socket that wait for their answers, or messages of one round.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub depth: usize,
    /// A request's size on the wire.
    #[arg(long, value_name = "BYTES", default_value_t = 450)]
    pub request: usize,
    /// An answer's or a message's size on the wire.
    #[arg(long, value_name = "BYTES", default_value_t = 450)]
    pub answer: usize,
    /// The file that `sync` appends to; it is removed at the end.
    #[arg(long, value_name = "FILE", default_value = "floor.tmp")]
    pub file: PathBuf,
}

/// What was done in a time.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Deliveries, answers or connections.
    pub(crate) count: u64,
    /// From asking to having it: of a round of deliveries, of what one socket asked at once, of a batch of connections.
    pub(crate) latencies: Latencies,
}

/// One round of a floor.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) counted: Counted,
    pub(crate) seconds: f64,
    /// CPU of the server's side for one of what was counted, in microseconds.
    pub(crate) cpu_us: f64,
}

/// The client's side.
enum Client {
    Readers(fan::Readers),
    Askers(echo::Askers),
    Knockers(door::Knockers),
}

/// A floor that stands: its server's side as a process, and its client's side.
pub(crate) struct Floor {
    kind: Kind,
    /// What it leaves behind.
    file: Option<PathBuf>,
    server: Child,
    client: Client,
}

impl Floor {
    /// Starts the server's side as a child of this process and connects to it. Blocks for a moment.
    pub(crate) fn start(spec: &Spec, place: impl FnOnce(u32)) -> anyhow::Result<Self> {
        raise_open_files();
        let mut server = Command::new(std::env::current_exe()?)
            .args(spec.words())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the floor could not be started")?;
        place(server.id());
        let client = Self::client(spec, &mut server);
        match client {
            Ok(client) => {
                let file = (spec.kind == Kind::Sync).then(|| spec.file.clone());
                Ok(Self { kind: spec.kind, file, server, client })
            }
            Err(error) => {
                end(&mut server);
                Err(error.context("the floor could not be reached"))
            }
        }
    }

    fn client(spec: &Spec, server: &mut Child) -> anyhow::Result<Client> {
        let mut line = String::new();
        let out = server.stdout.take().context("no output")?;
        io::BufReader::new(out).read_line(&mut line)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, line.trim().parse().context("no port")?));
        Ok(match spec.kind {
            Kind::Send | Kind::Joined => Client::Readers(fan::Readers::connect(address, spec)?),
            Kind::Echo | Kind::Sync => Client::Askers(echo::Askers::connect(address, spec)?),
            Kind::Connect => Client::Knockers(door::Knockers::new(address, spec.sockets)),
        })
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// One round. Blocks for as long.
    pub(crate) fn round(&mut self, length: Duration) -> io::Result<Round> {
        let mut counted = Counted::default();
        let before = Cpu::look(self.server.id()).unwrap_or_default();
        let began = Instant::now();
        let until = began + length;
        match &mut self.client {
            Client::Readers(readers) => readers.run(until, &mut counted)?,
            Client::Askers(askers) => askers.run(until, &mut counted)?,
            Client::Knockers(knockers) => knockers.run(until, &mut counted)?,
        }
        let seconds = began.elapsed().as_secs_f64();
        let used_ns = Cpu::look(self.server.id()).unwrap_or_default().used_ns.saturating_sub(before.used_ns);
        let cpu_us = per(used_ns, as_f64(counted.count)) / 1_000.0;
        Ok(Round { counted, seconds, cpu_us })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        end(&mut self.server);
        if let Some(file) = &self.file {
            drop(std::fs::remove_file(file));
        }
    }
}

/// Ends a child. That it is gone already is as good.
fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

impl Spec {
    /// One frame to so many sockets, so many messages a round, joined if there are more than one.
    pub(crate) fn fan(common: &Common, sockets: usize, window: usize) -> Self {
        let kind = if window > 1 { Kind::Joined } else { Kind::Send };
        let answer = Sizes::of(common).new;
        Self { kind, sockets, depth: window, request: 1, answer, file: common.floor_file() }
    }

    /// Sends answered with acks, synced or not.
    pub(crate) fn echo(common: &Common, sockets: usize, depth: usize) -> Self {
        let kind = if common.bench.in_memory { Kind::Echo } else { Kind::Sync };
        let Sizes { send, ack, .. } = Sizes::of(common);
        Self { kind, sockets, depth, request: send, answer: ack, file: common.floor_file() }
    }

    /// So many connections at a time.
    pub(crate) fn door(common: &Common, at_once: usize) -> Self {
        Self { kind: Kind::Connect, sockets: at_once, depth: 1, request: 1, answer: 1, file: common.floor_file() }
    }

    /// The words that start the server's side.
    fn words(&self) -> Vec<OsString> {
        let kind = self.kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let numbers = [
            ("--sockets", self.sockets),
            ("--depth", self.depth),
            ("--request", self.request),
            ("--answer", self.answer),
        ];
        let mut words: Vec<OsString> = vec!["floor".into(), kind.into(), "--serve".into(), "--file".into()];
        words.push(self.file.clone().into());
        words.extend(numbers.iter().flat_map(|(name, number)| [(*name).into(), number.to_string().into()]));
        words
    }
}

/// A floor on the command line.
#[derive(Debug, Args)]
pub struct Alone {
    #[command(flatten)]
    spec: Spec,
    /// Seconds of each round.
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    seconds: f64,
    /// Rounds.
    #[arg(long, value_name = "N", default_value_t = 7)]
    rounds: u32,
    /// The server's side: prints its port, serves, ends with its input.
    #[arg(long, hide = true)]
    serve: bool,
}

impl Alone {
    /// Runs it, each side on cores of its own where there are two.
    ///
    /// # Errors
    ///
    /// The system gives no process or no socket.
    pub fn run(&self) -> anyhow::Result<()> {
        if self.serve {
            return Ok(serve(&self.spec)?);
        }
        let mut cores = Cores::default();
        let mut floor = Floor::start(&self.spec, |pid| cores = Cores::part(&[pid]))?;
        let mut costs = Vec::new();
        for _ in 0..self.rounds {
            let round = floor.round(Duration::from_secs_f64(self.seconds))?;
            costs.push(round.cpu_us);
            let (rate, latency) = (per(round.counted.count, round.seconds), round.counted.latencies.median_us());
            println!(
                "{}  {:.3} µs CPU each  {rate:.0} a second  median {latency} µs",
                self.spec.kind.name(),
                round.cpu_us
            );
        }
        if let Some(interval) = Interval::of(&costs) {
            println!("{}  {interval} µs CPU each", self.spec.kind.name());
        }
        Ok(())
    }
}

/// The server's side: prints its port, serves, and ends with its client or its input, whichever is first.
fn serve(spec: &Spec) -> io::Result<()> {
    raise_open_files();
    let listener = listen()?;
    println!("{}", listener.local_addr()?.port());
    // Whoever started it is gone when the input ends.
    std::thread::Builder::new().name("watch".to_owned()).spawn(|| {
        drop(io::stdin().read(&mut [0]));
        std::process::exit(0);
    })?;
    match spec.kind {
        Kind::Send | Kind::Joined => fan::serve(&listener, spec),
        Kind::Echo => echo::serve(&listener, spec, None),
        Kind::Sync => echo::serve(&listener, spec, Some(&spec.file)),
        Kind::Connect => door::serve(&listener),
    }
}

fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
