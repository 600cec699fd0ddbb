//! Starts the real binary on a free port with a data folder of its own, waits for its words, and cleans up.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take before a test gives up; far above what it takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The binary with arguments, about to run.
pub(crate) struct Hubbub {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    wrapper: Vec<OsString>,
}

/// How a run ended, with all it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Hubbub {
    /// `hubbub` with these arguments.
    pub(crate) fn new<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { arguments, environment: Vec::new(), wrapper: Vec::new() }
    }

    /// `hubbub serve` on a free port of this machine with this data folder.
    pub(crate) fn serve(data: &Path) -> Self {
        Self::serve_at("127.0.0.1:0", data)
    }

    /// The same at this address, where another was before.
    pub(crate) fn serve_at(address: &str, data: &Path) -> Self {
        Self::new(["serve", "--listen", address]).arg("--data").arg(data)
    }

    pub(crate) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(Into::into));
        self
    }

    /// Sets one setting by its key.
    pub(crate) fn set(self, assignment: &str) -> Self {
        self.arg("--set").arg(assignment)
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Has this program start the binary, whose path and arguments are added to its own.
    pub(crate) fn within<A: Into<OsString>>(mut self, wrapper: impl IntoIterator<Item = A>) -> Self {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Ran {
        let output = self.command().output().expect("the binary runs");
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is text"),
            stderr: String::from_utf8(output.stderr).expect("stderr is text"),
        }
    }

    /// Starts it and waits until it says that it is ready.
    pub(crate) fn start(self) -> Running {
        self.launch().ready()
    }

    /// Starts it.
    pub(crate) fn launch(self) -> Running {
        let mut child = self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let stdout = lines_of(child.stdout.take().expect("stdout is a pipe"));
        let stderr = lines_of(child.stderr.take().expect("stderr is a pipe"));
        Running { child, stdout, stderr, ready_line: String::new() }
    }

    fn command(&self) -> Command {
        let binary = OsStr::new(env!("CARGO_BIN_EXE_hubbub"));
        let mut line = self.wrapper.iter().map(OsString::as_os_str).chain([binary]);
        let mut command = Command::new(line.next().expect("there is the binary at least"));
        // The allocator gives back at once what is free, so that resident memory is memory in use.
        command.env("MIMALLOC_PURGE_DELAY", "0");
        command.args(line).args(&self.arguments).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HUBBUB_")) {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A server that is ready. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    pub(crate) ready_line: String,
}

impl Running {
    /// Waits until it says that it is ready.
    pub(crate) fn ready(mut self) -> Self {
        let Ok(ready_line) = self.stdout.recv_timeout(PATIENCE) else {
            panic!("never ready: {}", self.rest_of_log());
        };
        self.ready_line = ready_line;
        self
    }

    /// Where it listens, as `address:port`.
    pub(crate) fn address(&self) -> &str {
        let url = self
            .ready_line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("http://").or_else(|| word.strip_prefix("https://")));
        url.expect("the ready line has a URL")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process is there to be signalled");
    }

    /// Waits for a line of the log that has this in it; answers the line.
    pub(crate) fn wait_for_log(&self, words: &str) -> String {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let line = self.stderr.recv_timeout(give_up.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("the log never said {words:?}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Waits for its end: how it ended, and what of its log was not read yet.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let log = self.rest_of_log();
        (self.child.wait().expect("the process can be waited for"), log)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no word, no flush, and its end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
    }

    /// Waits for its end: its exit code, and what of its log was not read yet.
    pub(crate) fn ended(&mut self) -> (Option<i32>, String) {
        let log = self.rest_of_log();
        (self.child.wait().expect("the process can be waited for").code(), log)
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// The log up to its end, which is the process's end.
    fn rest_of_log(&mut self) -> String {
        let give_up = Instant::now() + PATIENCE;
        let mut log = String::new();
        while let Ok(line) = self.stderr.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
            log.push_str(&line);
            log.push('\n');
        }
        if Instant::now() >= give_up {
            self.child.kill().expect("the process can be killed");
            panic!("the process never ended; its log: {log}");
        }
        log
    }

    /// Asks by HTTP and reads the answer to its end.
    pub(crate) fn http(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("the request can be written");
        answer(&mut stream)
    }

    /// Gets a path.
    pub(crate) fn get(&self, path: &str) -> String {
        self.http(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
    }

    /// Posts JSON to a path.
    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        let length = body.len();
        self.http(&format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        ))
    }

    /// A connection to it.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline can be set");
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where a test waited for it; an error says just that.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What comes until the other side closes.
pub(crate) fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is an end as well.
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// An empty folder, and the path of a data folder in it that is not there yet.
pub(crate) fn new_data() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("data");
    (folder, data)
}

/// Reads lines on a thread, so that waiting for them can have a deadline.
fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
