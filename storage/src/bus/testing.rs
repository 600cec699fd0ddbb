//! A Redis of a test's own, to be killed, paused and started again.
//!
//! Used by the tests of the bus and of whatever runs over it. The program is the one that `HUBBUB_TEST_REDIS_SERVER`
//! names, else `redis-server` on the path; it listens on a free port of the loopback, keeps nothing on disk, and ends
//! with its owner.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Names the program.
const PROGRAM: &str = "HUBBUB_TEST_REDIS_SERVER";

/// Until it answers after its start.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Until it answers a command.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Ports that somebody else may take between finding and using them.
const PORTS_TRIED: usize = 5;

/// A Redis that ends with this.
pub struct RedisServer {
    port: u16,
    child: Option<Child>,
}

impl RedisServer {
    /// A running server, or none if there is no program to run: then the caller's test is skipped, and says so.
    ///
    /// # Errors
    ///
    /// The program is there and does not start; or it is not there, though `CI=true` says that nothing may be skipped.
    pub fn start() -> io::Result<Option<Self>> {
        let mut server = Self { port: 0, child: None };
        let mut tried = 0;
        loop {
            server.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            tried += 1;
            match server.restart() {
                Ok(()) => return Ok(Some(server)),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !may_skip_nothing() => {
                    eprintln!("SKIPPED: there is no redis-server; install it, or name it by {PROGRAM}");
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound || tried == PORTS_TRIED => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts it anew, empty, on the same port; ends it first if it runs.
    ///
    /// # Errors
    ///
    /// There is no program, or it ends early, or does not answer.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        let program = std::env::var_os(PROGRAM).unwrap_or_else(|| "redis-server".into());
        let port = self.port.to_string();
        let arguments =
            ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"];
        let child = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let child = self.child.insert(child);
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("redis-server ended at its start: {status}")));
            }
            match ask(self.port, &[b"PING"]) {
                Ok(answer) if answer.starts_with(b"+PONG") => return Ok(()),
                _ if began.elapsed() > START_WITHIN => return Err(io::ErrorKind::TimedOut.into()),
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Stops it in its tracks, connections and all, until [`RedisServer::resume`].
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Its answer to a command, as it stands on the wire; of a long one the beginning.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn command(&self, words: &[&[u8]]) -> io::Result<Vec<u8>> {
        ask(self.port, words)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()).and_then(Pid::from_raw);
        Ok(kill_process(pid.ok_or(io::ErrorKind::NotFound)?, signal)?)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("redis-server on port {} may still run: {error}", self.port);
        }
    }
}

fn may_skip_nothing() -> bool {
    std::env::var_os("CI").is_some_and(|ci| ci == "true")
}

fn ask(port: u16, words: &[&[u8]]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let mut command = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        write!(command, "${}\r\n", word.len())?;
        command.extend_from_slice(word);
        command.extend_from_slice(b"\r\n");
    }
    stream.write_all(&command)?;
    let mut answer = vec![0; 64 * 1024];
    let length = stream.read(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}
