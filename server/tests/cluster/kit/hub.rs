//! One process of the binary: started, killed, stopped, paused and started again in the same place.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// How often the first start is tried.
const TRIES: usize = 3;
/// The lines of its log that a failed test shows.
const LOG_LINES: usize = 40;

/// A process that is ready, or was.
pub(crate) struct Hub {
    child: Child,
    arguments: Vec<OsString>,
    /// Where it listens, as `address:port`.
    pub(crate) address: String,
    log: PathBuf,
}

/// Standing still as long as this is held.
#[must_use]
pub(crate) struct Still<'a> {
    hub: &'a Hub,
}

impl Hub {
    /// Starts one with these arguments, on a free port, and waits until it is ready.
    pub(crate) fn start(arguments: Vec<OsString>, log: PathBuf) -> Self {
        // CQL nodes that have just met may not agree at once on the tables that the first process makes.
        let started = (1..TRIES).find_map(|_| spawn("127.0.0.1:0", &arguments, &log).ok());
        let started = started.map_or_else(|| spawn("127.0.0.1:0", &arguments, &log), Ok);
        let (child, address) = started.unwrap_or_else(|log| panic!("never ready: {log}"));
        Self { child, arguments, address, log }
    }

    /// Starts it again where it was.
    pub(crate) fn start_again(&mut self) {
        println!("hub {}: start", self.address);
        let started = spawn(&self.address, &self.arguments, &self.log);
        self.child = started.unwrap_or_else(|log| panic!("never ready: {log}")).0;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// SIGKILL: no word, no flush, and its end.
    pub(crate) fn kill(&mut self) {
        println!("hub {}: kill", self.address);
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
    }

    /// SIGTERM, and its end, which must be a soft one.
    pub(crate) fn stop(&mut self) {
        println!("hub {}: stop", self.address);
        self.signal(Signal::TERM);
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            if let Some(status) = self.child.try_wait().expect("the process can be waited for") {
                assert!(status.success(), "DRAINED: it ended with {status}: {}", self.last_words());
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("DRAINED: it does not end: {}", self.last_words());
    }

    /// SIGSTOP; SIGCONT when the guard is dropped.
    pub(crate) fn pause(&self) -> Still<'_> {
        println!("hub {}: pause", self.address);
        self.signal(Signal::STOP);
        Still { hub: self }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there to be signalled");
    }

    /// Whether it still runs, and has run since it was started.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("the process can be waited for").is_none()
    }

    /// Gets a path, head and body; nothing if it does not answer within seconds.
    pub(crate) fn get(&self, path: &str) -> String {
        let ask = || {
            let mut stream = TcpStream::connect(&self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        };
        ask().unwrap_or_default()
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Still<'_> {
    /// Lets it go on.
    pub(crate) fn wake(self) {
        drop(self);
    }
}

impl Drop for Still<'_> {
    fn drop(&mut self) {
        println!("hub {}: resume", self.hub.address);
        self.hub.signal(Signal::CONT);
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- the log of {} ends with:\n{}", self.address, self.last_words());
        }
        // It has ended already where a test killed it; an error says just that.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The process and where it listens; its log, if it never got ready.
fn spawn(listen: &str, arguments: &[OsString], log: &PathBuf) -> Result<(Child, String), String> {
    let log_file: File = OpenOptions::new().create(true).append(true).open(log).expect("a log can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubbub"));
    command.args(["serve", "--listen", listen]).args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HUBBUB_")) {
        command.env_remove(name);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(log_file).spawn().expect("the binary runs");
    let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            // Only the first is waited for; the others are read all the same, so that nobody writes into the void.
            drop(sender.send(line));
        }
    });
    let Ok(line) = lines.recv_timeout(PATIENCE) else {
        drop(child.kill());
        drop(child.wait());
        return Err(std::fs::read_to_string(log).unwrap_or_default());
    };
    let url = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).expect("the ready line has a URL");
    let address = url.trim_end_matches('/').to_owned();
    Ok((child, address))
}
