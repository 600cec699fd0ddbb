//! A server of one's own: started from its binary on cores of its own, with a folder that is gone afterwards.
//!
//! What is known of a server's program is its command line alone: `serve --listen --store --data --set`, the line with
//! its URL, and that it stops at SIGTERM.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::host::child;
use crate::host::cores::Cores;

/// A server that takes longer to stop is ended.
const STOPPING: Duration = Duration::from_secs(20);
/// Sockets of one person: many come from few people, as registering one costs a password hash.
const SOCKETS_PER_PERSON: u32 = 2_000;

/// Where a server keeps its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Store {
    /// On its disk.
    Sqlite,
    /// Nowhere.
    Memory,
}

impl Store {
    const fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Memory => "memory",
        }
    }
}

/// A server that runs.
pub(crate) struct Stand {
    child: Child,
    /// Kept, as a program that cannot write its output may end.
    _output: BufReader<ChildStdout>,
    /// Where it is.
    pub(crate) url: String,
    /// From its start to the line with its URL.
    pub(crate) ready_after: Duration,
}

impl Stand {
    /// Starts it with its data in this folder, and waits until it takes connections. Blocks.
    pub(crate) fn start(binary: &Path, store: Store, folder: &Path, cores: &Cores) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("server.log"))?;
        let mut command = Command::new(binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--store", store.word(), "--log-level", "warn"])
            .arg("--data")
            .arg(folder.join("data"))
            .args(["--set", "hub.exempt_loopback=true"])
            .arg("--set")
            .arg(format!("hub.max_connections_per_user={SOCKETS_PER_PERSON}"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let began = Instant::now();
        let mut child = cores.spawn(command).with_context(|| format!("{} could not be started", binary.display()))?;
        let mut out = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        let url = loop {
            line.clear();
            if out.read_line(&mut line)? == 0 {
                child.wait()?;
                bail!("{} did not come up; see {}", binary.display(), folder.join("server.log").display());
            }
            if let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://")) {
                break url.to_owned();
            }
        };
        Ok(Self { child, _output: out, url, ready_after: began.elapsed() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, and waits. Blocks.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        child::stop(&mut self.child, STOPPING);
    }
}

/// A folder that is gone when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new one below that, which is there.
    pub(crate) fn below(parent: &Path) -> anyhow::Result<Self> {
        ensure!(parent.is_dir(), "{} is no folder", parent.display());
        let path = std::path::absolute(parent.join(format!("loadtest-{}", std::process::id())))?;
        fs::create_dir_all(&path).with_context(|| format!("{} could not be made", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
