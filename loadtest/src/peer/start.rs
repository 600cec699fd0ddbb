//! Starts peers whose programs are there, each in its fair form, on the server's cores, and stops them again.
//!
//! What one writes goes to a folder of its own. A peer that is dropped is stopped (by its process, never by its name).

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::kind::Kind;
use super::wire::pusher::{APP_ID, APP_KEY, APP_SECRET};
use crate::host::child;
use crate::host::cores::Cores;

/// A peer that does not listen by then does not start.
const STARTING: Duration = Duration::from_secs(20);
/// It may take so long to stop before it is killed.
const STOPPING: Duration = Duration::from_secs(5);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// The scripts and settings of peers, by name.
const SHOWN: [(&str, &str); 4] = [
    ("ws", include_str!("../../peers/ws.mjs")),
    ("socketio", include_str!("../../peers/socketio.mjs")),
    ("nats", include_str!("../../peers/nats.conf")),
    ("centrifugo", include_str!("../../peers/centrifugo.json")),
];

/// A peer's script or settings.
pub(super) fn shown(name: &str) -> Option<&'static str> {
    SHOWN.iter().find_map(|(known, text)| (*known == name).then_some(*text))
}

/// The names of which there is something to show.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SHOWN.iter().map(|(name, _)| *name)
}

/// A peer's program and where it keeps what it writes.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) program: PathBuf,
    /// Where npm packages are.
    pub(super) node_folder: PathBuf,
    pub(super) folder: PathBuf,
    /// The same at every start, as Hubbub's people are told it once.
    pub(super) port: u16,
}

/// A running peer.
#[derive(Debug)]
pub(super) struct Started {
    child: Child,
    pub(super) version: String,
}

impl Plan {
    /// A plan with a folder and a port of its own; what an earlier run left there is removed.
    pub(super) fn new(kind: Kind, program: PathBuf, node_folder: &Path, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join(kind.word());
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir_all(&folder)?,
        }
        Ok(Self { kind, program, node_folder: node_folder.to_owned(), folder: folder.canonicalize()?, port: free()? })
    }

    /// Where it will listen.
    pub(super) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Forgets what it kept.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.folder)?;
        Ok(fs::create_dir_all(&self.folder)?)
    }

    /// Starts it, and waits until it listens.
    pub(super) fn start(&self) -> anyhow::Result<Started> {
        let mut command = self.command()?;
        let log = self.folder.join("log");
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // The generator goes back to where it was: which cores the two get is parted for each measurement.
        let child = Cores::for_a_server().spawn(command);
        let child = child.with_context(|| format!("{} does not run", self.program.display()))?;
        let mut started = Started { child, version: String::new() };
        let began = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            let ended = started.child.try_wait()?;
            if ended.is_some() || began.elapsed() > STARTING {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let tail: Vec<&str> = said.lines().rev().take(3).collect();
                anyhow::bail!("{} does not listen: {}", self.kind.title(), tail.join(" / "));
            }
            sleep(LOOK);
        }
        started.version = self.version(&log);
        Ok(started)
    }

    fn version(&self, log: &Path) -> String {
        if self.kind.package().is_some() {
            return fs::read_to_string(log).unwrap_or_default().lines().next().unwrap_or_default().to_owned();
        }
        let word = if self.kind == Kind::Centrifugo { "version" } else { "--version" };
        let said = Command::new(&self.program).arg(word).stdin(Stdio::null()).output();
        let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        said.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
    }

    fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.program);
        match self.kind {
            Kind::Hubbub | Kind::HubbubMemory => {
                let store = if self.kind == Kind::Hubbub { "sqlite" } else { "memory" };
                command.args(["serve", "--listen", &self.address().to_string(), "--store", store]);
                command.arg("--data").arg(self.folder.join("data")).args(["--log-level", "error"]);
            }
            Kind::Nats | Kind::Centrifugo => {
                command.arg("-c").arg(self.settings()?);
            }
            Kind::Socketio | Kind::Ws => {
                let script = self.folder.join("server.mjs");
                fs::write(&script, shown(self.kind.word()).unwrap_or_default())?;
                command.arg(script).arg(self.port.to_string()).current_dir(&self.node_folder);
                command.env("NODE_ENV", "production");
            }
            Kind::Sockudo => {
                command.current_dir(&self.folder).env("PORT", self.port.to_string()).envs(SOCKUDO);
            }
        }
        Ok(command)
    }

    /// Writes the settings, with this plan's ports and folder in them.
    fn settings(&self) -> anyhow::Result<PathBuf> {
        let text = shown(self.kind.word()).unwrap_or_default();
        let data = self.folder.join("data");
        let text = text.replace("{port}", &self.port.to_string()).replace("{other}", &free()?.to_string());
        let file = self.folder.join(if self.kind == Kind::Nats { "nats.conf" } else { "centrifugo.json" });
        fs::write(&file, text.replace("{folder}", &data.to_string_lossy()))?;
        Ok(file)
    }
}

/// Sockudo with everything in memory, without metrics, limits, compression, webhooks and logs.
const SOCKUDO: [(&str, &str); 20] = [
    ("HOST", "127.0.0.1"),
    ("RUST_LOG", "off"),
    ("ENVIRONMENT", "production"),
    ("ADAPTER_DRIVER", "local"),
    ("APP_MANAGER_DRIVER", "memory"),
    ("CACHE_DRIVER", "memory"),
    ("QUEUE_DRIVER", "memory"),
    ("RATE_LIMITER_ENABLED", "false"),
    ("METRICS_ENABLED", "false"),
    ("WEBSOCKET_COMPRESSION", "disabled"),
    ("WEBSOCKET_DISCONNECT_ON_BUFFER_FULL", "true"),
    ("CONNECTION_RECOVERY_ENABLED", "false"),
    ("SOCKUDO_DEFAULT_APP_ID", APP_ID),
    ("SOCKUDO_DEFAULT_APP_KEY", APP_KEY),
    ("SOCKUDO_DEFAULT_APP_SECRET", APP_SECRET),
    ("SOCKUDO_DEFAULT_APP_ENABLE_CLIENT_MESSAGES", "true"),
    ("SOCKUDO_DEFAULT_APP_MAX_CONNECTIONS", "1000000"),
    ("SOCKUDO_DEFAULT_APP_MAX_CLIENT_EVENTS_PER_SECOND", "100000000"),
    ("SOCKUDO_DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SECOND", "100000000"),
    ("SOCKUDO_MAX_CONNECTIONS", "1000000"),
];

impl Started {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        child::stop(&mut self.child, STOPPING);
    }
}

/// A port that nobody has now.
fn free() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Where a program is: as it is named, beside this one, or in the folders of the `PATH`.
pub(super) fn program(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return name.is_file().then(|| name.to_owned());
    }
    let own = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    own.into_iter().chain(std::env::split_paths(&path)).map(|folder| folder.join(name)).find(|file| file.is_file())
}
