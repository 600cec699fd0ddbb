//! A Redis of our own, which can be killed, emptied and stopped; and a foreign hand on it, which lies.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use hubbub_loadtest::client::stamp::mix;
use tempfile::TempDir;

use super::{run, tool};

/// Started by `tools/redis`.
pub(crate) struct Redis {
    /// Its URL.
    pub(crate) url: String,
    folder: PathBuf,
    _parent: TempDir,
}

/// Broken as long as this is held.
#[must_use]
pub(crate) struct Broken<'a> {
    redis: &'a Redis,
    mend: &'static str,
}

impl Redis {
    pub(crate) fn start() -> Result<Self, String> {
        let parent = tempfile::tempdir().map_err(|error| error.to_string())?;
        let folder = parent.path().join("redis");
        let url = run(tool("redis").args(["up", "--folder"]).arg(&folder))?;
        Ok(Self { url: url.trim().to_owned(), folder, _parent: parent })
    }

    /// SIGKILL; started again, empty, when the guard is dropped.
    pub(crate) fn kill(&self) -> Broken<'_> {
        self.breaking("kill", "start")
    }

    /// SIGSTOP; SIGCONT when the guard is dropped.
    pub(crate) fn pause(&self) -> Broken<'_> {
        self.breaking("pause", "resume")
    }

    /// FLUSHALL.
    pub(crate) fn flush(&self) {
        self.tell("flush");
    }

    /// Cuts one of the connections that others have to it.
    pub(crate) fn cut_one(&self, random: u64) {
        let mut stream = BufReader::new(self.connect());
        stream.get_mut().write_all(&command(&[b"CLIENT", b"LIST"])).expect("it is asked");
        let mut head = String::new();
        stream.read_line(&mut head).expect("it answers");
        let length: usize = head.trim_end().trim_start_matches('$').parse().expect("a length");
        let mut list = vec![0; length];
        stream.read_exact(&mut list).expect("it lists its clients");
        let list = String::from_utf8_lossy(&list);
        let ids: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("id=")?.split(' ').next()).collect();
        // The newest is this connection.
        let others = ids.len().saturating_sub(1).max(1);
        let id = ids[usize::try_from(random).expect("64 bits") % others];
        let kill = command(&[b"CLIENT", b"KILL", b"ID", id.as_bytes()]);
        stream.get_mut().write_all(&kill).expect("it is told");
        drop(stream.read_line(&mut head));
    }

    fn breaking(&self, how: &str, mend: &'static str) -> Broken<'_> {
        self.tell(how);
        Broken { redis: self, mend }
    }

    fn tell(&self, word: &str) {
        println!("redis: {word}");
        run(tool("redis").args([word, "--folder"]).arg(&self.folder)).expect("the tool does as told");
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.url.trim_start_matches("redis://")).expect("it takes connections");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a deadline can be set");
        stream
    }
}

impl Broken<'_> {
    /// Mends it.
    pub(crate) fn mend(self) {
        drop(self);
    }
}

impl Drop for Broken<'_> {
    fn drop(&mut self) {
        self.redis.tell(self.mend);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(run(tool("redis").args(["down", "--folder"]).arg(&self.folder)));
    }
}

/// Somebody who has no secret and a hand on the server: hears all that is published and publishes it again, whole, bent,
/// cut, on other channels, and rubbish of its own.
pub(crate) struct Liar {
    heard: BufReader<TcpStream>,
    said: TcpStream,
    seed: u64,
    /// The last things heard, with their channels.
    kept: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its own lies that it has not heard yet.
    echoes: HashMap<(Vec<u8>, Vec<u8>), u32>,
    pub(crate) lies: u64,
}

/// What it remembers.
const KEPT_MAX: usize = 200;

impl Liar {
    pub(crate) fn new(redis: &Redis, seed: u64) -> Self {
        let mut heard = redis.connect();
        heard.write_all(&command(&[b"PSUBSCRIBE", b"*"])).expect("it listens");
        let said = redis.connect();
        Self { heard: BufReader::new(heard), said, seed, kept: Vec::new(), echoes: HashMap::new(), lies: 0 }
    }

    /// Hears one thing that nodes said, and lies five times.
    pub(crate) fn turn(&mut self) {
        let Some((channel, body)) = self.hear() else { return };
        if let Some(count) = self.echoes.get_mut(&(channel.clone(), body.clone())).filter(|count| **count > 0) {
            *count -= 1;
            return;
        }
        self.kept.push((channel.clone(), body.clone()));
        if self.kept.len() > KEPT_MAX {
            self.kept.remove(0);
        }
        let old = self.any_kept();
        let elsewhere = self.any_kept().0;
        let mut bent = body.clone();
        let at = self.below(bent.len());
        if let Some(byte) = bent.get_mut(at) {
            *byte ^= 1 << (self.seed % 8);
        }
        let cut = body[..self.below(body.len())].to_vec();
        let rubbish = (0..self.below(300)).map(|_| self.below(256).to_le_bytes()[0]).collect();
        self.lie(&old.0, &old.1);
        self.lie(&elsewhere, &body);
        for lie in [bent, cut, rubbish] {
            self.lie(&channel, &lie);
        }
    }

    fn lie(&mut self, channel: &[u8], body: &[u8]) {
        self.said.write_all(&command(&[b"PUBLISH", channel, body])).expect("it is said");
        let mut answer = [0; 512];
        // How many heard it is of no interest; but it must be read.
        drop(self.said.read(&mut answer));
        *self.echoes.entry((channel.to_vec(), body.to_vec())).or_default() += 1;
        self.lies += 1;
    }

    fn below(&mut self, bound: usize) -> usize {
        self.seed = mix(self.seed, 0x9e37_79b9_7f4a_7c15);
        usize::try_from(self.seed >> 16).expect("64 bits") % bound.max(1)
    }

    fn any_kept(&mut self) -> (Vec<u8>, Vec<u8>) {
        let at = self.below(self.kept.len());
        self.kept[at].clone()
    }

    /// The next thing that others published, as channel and body; nothing if it is quiet.
    fn hear(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        // `pmessage`, the pattern, the channel, the body; a confirmation has a number last.
        let words = self.array()?;
        let [kind, _, channel, body] = <[Vec<u8>; 4]>::try_from(words).ok()?;
        (kind == b"pmessage").then_some((channel, body))
    }

    fn array(&mut self) -> Option<Vec<Vec<u8>>> {
        let count = self.line()?;
        let count: usize = count.strip_prefix('*')?.parse().ok()?;
        (0..count).map(|_| self.bulk()).collect()
    }

    fn bulk(&mut self) -> Option<Vec<u8>> {
        let head = self.line()?;
        let Some(length) = head.strip_prefix('$') else { return Some(head.into_bytes()) };
        let mut bytes = vec![0; length.parse::<usize>().ok()? + 2];
        self.heard.read_exact(&mut bytes).ok()?;
        bytes.truncate(bytes.len() - 2);
        Some(bytes)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.heard.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    }
}

/// A command as Redis reads it.
fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
