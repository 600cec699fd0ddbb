//! How a process that was started here is stopped: asked first, ended if it does not go.
//!
//! By its process, never by its name; it is waited for, so that what it held is free afterwards. Blocks.

use std::io;
use std::process::{Child, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// Asks it to go (SIGTERM), and ends it if it has not gone within `patience`.
pub(crate) fn stop(child: &mut Child, patience: Duration) {
    if !runs(child) {
        return;
    }
    ask(child.id());
    let began = Instant::now();
    while runs(child) {
        if began.elapsed() > patience {
            // It would not go by itself.
            child.kill().ok();
            child.wait().ok();
            return;
        }
        sleep(LOOK);
    }
}

/// Asks a process that was started here to go.
pub(crate) fn ask(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::TERM).ok();
    }
}

/// Waits until it has ended, or stops it as soon as `asked` says so; how it ended by itself.
pub(crate) fn wait(child: &mut Child, patience: Duration, asked: impl Fn() -> bool) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if asked() {
            stop(child, patience);
            return Ok(None);
        }
        sleep(LOOK);
    }
}

fn runs(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(None))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// A shell that answers SIGTERM so, and has said so.
    fn shell(answer: &str) -> Child {
        let script = format!("trap '{answer}' TERM; echo ready; while :; do sleep 0.05; done");
        let mut child = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        child
    }

    #[test]
    fn one_that_goes_when_it_is_asked_is_not_killed() {
        let mut child = shell("exit 7");
        stop(&mut child, Duration::from_mins(1));
        assert_eq!(child.try_wait().unwrap().and_then(|status| status.code()), Some(7));
        stop(&mut child, Duration::ZERO);
    }

    #[test]
    fn one_that_is_waited_for_is_stopped_with_whoever_waits() {
        let mut child = shell("exit 7");
        assert!(matches!(wait(&mut child, Duration::from_mins(1), || true), Ok(None)));
        assert_eq!(child.try_wait().unwrap().and_then(|status| status.code()), Some(7));
        let status = wait(&mut child, Duration::ZERO, || true).unwrap();
        assert_eq!(status.and_then(|status| status.code()), Some(7), "it has ended by itself");
    }

    #[test]
    fn one_that_will_not_go_is_killed() {
        let mut child = shell("");
        stop(&mut child, Duration::from_millis(100));
        let status = child.try_wait().unwrap().unwrap();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
    }
}
