//! The CPU that processes used, and how long they waited for it.
//!
//! The scheduler counts each thread in nanoseconds; a process's own sum is told in hundredths of a second, but does not
//! forget threads that are gone. Whichever is more is right: the first as long as no thread ended, the second else.

use std::fs;
use std::ops::{AddAssign, Sub};

/// Clock ticks a second in `/proc/PID/stat`: the same on every Linux that Rust runs on.
const TICK_NS: u64 = 10_000_000;

/// CPU up to a moment, or between two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    /// In user and in system mode.
    pub used_ns: u64,
    /// Ready to run while others ran.
    pub waited_ns: u64,
}

impl Cpu {
    /// Looks at a process now; `None` if it is gone or cannot be read.
    pub fn look(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut cpu = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            // A thread that ends meanwhile has nothing to read.
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            cpu += of_thread(&text).unwrap_or_default();
        }
        cpu.used_ns = cpu.used_ns.max(in_ticks(&stat)?);
        Some(cpu)
    }

    /// Looks at several processes; `None` if there are none, or one is gone.
    pub fn of_all(pids: &[u32]) -> Option<Self> {
        let mut all = Self::default();
        for pid in pids {
            all += Self::look(*pid)?;
        }
        (!pids.is_empty()).then_some(all)
    }

    /// Looks at the process that runs this.
    pub fn own() -> Option<Self> {
        Self::look(std::process::id())
    }
}

impl AddAssign for Cpu {
    fn add_assign(&mut self, other: Self) {
        self.used_ns += other.used_ns;
        self.waited_ns += other.waited_ns;
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            used_ns: self.used_ns.saturating_sub(earlier.used_ns),
            waited_ns: self.waited_ns.saturating_sub(earlier.waited_ns),
        }
    }
}

/// A thread's `schedstat`: nanoseconds on a processor, nanoseconds waiting for one, turns.
fn of_thread(schedstat: &str) -> Option<Cpu> {
    let mut fields = schedstat.split_ascii_whitespace();
    Some(Cpu { used_ns: fields.next()?.parse().ok()?, waited_ns: fields.next()?.parse().ok()? })
}

/// CPU of a `/proc/PID/stat`: fields 14 and 15. The name, field 2, may hold anything, so counting starts behind it.
fn in_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * TICK_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_found_behind_a_name_with_blanks_and_brackets() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 10 0";
        assert_eq!(in_ticks(stat), Some(3_000_000_000));
        assert_eq!(of_thread("12345 678 9\n"), Some(Cpu { used_ns: 12_345, waited_ns: 678 }));
        assert_eq!(of_thread(""), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_none() {
        assert_eq!(Cpu::look(u32::MAX), None);
        assert_eq!(Cpu::of_all(&[]), None);
        assert!(Cpu::own().is_some_and(|cpu| cpu.used_ns > 0));
    }
}
