//! CQL servers of our own: three for all tests together, or one for a test alone.
//!
//! They are started by `tools/cql`, and taken down by a shell that waits for this process to end, however it ends.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use super::{run, tool};

/// Takes the servers down once its input ends.
const GUARD: &str = r#"
"$0" up "$2" --folder "$1" --base auto && echo up || echo failed
cat >/dev/null
"$0" down --folder "$1"
rm -rf "$(dirname "$1")"
"#;

/// Some servers.
pub(crate) struct Cql {
    folder: PathBuf,
    /// Where they take CQL, separated by commas.
    pub(crate) addresses: String,
    guard: Option<Child>,
}

/// Something that is broken as long as this is held.
#[must_use]
pub(crate) struct Broken<'a> {
    cql: &'a Cql,
    node: usize,
    mend: &'static str,
}

impl Cql {
    /// The three of all tests.
    pub(crate) fn three() -> Result<&'static Self, String> {
        static THREE: OnceLock<Result<Cql, String>> = OnceLock::new();
        let three = THREE.get_or_init(|| match std::env::var_os("HUBBUB_TEST_CQL_CLUSTER") {
            Some(folder) => Self::running(Path::new(&folder)),
            None => Self::start(3),
        });
        three.as_ref().map_err(Clone::clone)
    }

    /// One, for whoever asks.
    pub(crate) fn one() -> Result<Self, String> {
        Self::start(1)
    }

    fn running(folder: &Path) -> Result<Self, String> {
        let status = run(tool("cql").args(["status", "--folder"]).arg(folder))?;
        let mut addresses = String::new();
        for address in status.lines().filter_map(|line| line.split_whitespace().nth(2)) {
            write!(addresses, "{}{address}", if addresses.is_empty() { "" } else { "," }).expect("text takes text");
        }
        Ok(Self { folder: folder.to_owned(), addresses, guard: None })
    }

    fn start(nodes: usize) -> Result<Self, String> {
        let parent = tempfile::Builder::new().prefix("hubbub-cql-").tempdir().map_err(|error| error.to_string())?;
        // The guard removes it: this process may not live to do so.
        let folder = parent.keep().join("cluster");
        let mut guard = Command::new("bash")
            .args(["-c", GUARD])
            .arg(tool("cql").get_program())
            .arg(&folder)
            .arg(nodes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What ends this process, Ctrl-C say, must not end it as well.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("bash does not run: {error}"))?;
        let said = BufReader::new(guard.stdout.take().expect("it is a pipe"));
        let mut lines: Vec<String> = Vec::new();
        for line in said.lines().map_while(Result::ok) {
            let is_over = line == "up" || line == "failed";
            lines.push(line);
            if is_over {
                break;
            }
        }
        let is_up = lines.pop().is_some_and(|last| last == "up");
        let cql = Self { folder, addresses: lines.join(","), guard: Some(guard) };
        if is_up { Ok(cql) } else { Err(format!("tools/cql could not start {nodes} nodes")) }
    }

    /// SIGKILL; started again when the guard is dropped.
    pub(crate) fn kill(&self, node: usize) -> Broken<'_> {
        self.breaking("kill", "start", node)
    }

    /// SIGTERM; started again when the guard is dropped.
    pub(crate) fn stop(&self, node: usize) -> Broken<'_> {
        self.breaking("stop", "start", node)
    }

    /// SIGSTOP; SIGCONT when the guard is dropped.
    pub(crate) fn pause(&self, node: usize) -> Broken<'_> {
        self.breaking("pause", "resume", node)
    }

    fn breaking(&self, how: &str, mend: &'static str, node: usize) -> Broken<'_> {
        println!("cql: {how} {node}");
        self.tell(how, node);
        Broken { cql: self, node, mend }
    }

    fn tell(&self, word: &str, node: usize) {
        let mut command = tool("cql");
        run(command.arg(word).arg(node.to_string()).arg("--folder").arg(&self.folder)).expect("the tool does as told");
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
        println!("cql: {} {}", self.mend, self.node);
        self.cql.tell(self.mend, self.node);
    }
}

impl Drop for Cql {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            // It takes them down, and has nobody to tell if that fails.
            drop(guard.wait());
        }
    }
}
