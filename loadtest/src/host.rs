//! What the machine says of the server: CPU, memory and descriptors of its process, and the kernel's socket memory.
//!
//! Everything comes from `/proc`, by process id; what cannot be read is `None` and never guessed.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The caches of the kernel that hold what an open TCP socket costs, apart from its buffers.
const SOCKET_CACHES: [&str; 7] =
    ["TCP", "TCPv6", "sock_inode_cache", "filp", "dentry", "eventpoll_epi", "eventpoll_pwq"];
/// The kernel's page, in KiB, in which `/proc/net/sockstat` counts buffers.
const PAGE_KIB: u64 = 4;
/// Clock ticks a second in `/proc/PID/stat`: the same on every Linux that Rust runs on.
const TICK_US: u64 = 10_000;

/// One look at a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Process {
    /// CPU that it used so far, in user and in system mode, in microseconds.
    pub cpu_us: u64,
    /// Resident memory, in KiB.
    pub rss_kib: u64,
    /// Its proportional share of resident memory, in KiB, where it can be read.
    pub pss_kib: Option<u64>,
    /// Open descriptors, where they can be counted.
    pub descriptors: Option<u64>,
}

impl Process {
    /// Looks at a process now; `None` if it is gone or cannot be read.
    pub fn look(pid: u32) -> Option<Self> {
        let folder = format!("/proc/{pid}");
        let stat = fs::read_to_string(format!("{folder}/stat")).ok()?;
        let status = fs::read_to_string(format!("{folder}/status")).ok()?;
        Some(Self {
            cpu_us: cpu_us(&stat)?,
            rss_kib: field_kib(&status, "VmRSS:")?,
            pss_kib: fs::read_to_string(format!("{folder}/smaps_rollup"))
                .ok()
                .and_then(|text| field_kib(&text, "Pss:")),
            descriptors: fs::read_dir(format!("{folder}/fd")).ok().map(|entries| entries.count() as u64),
        })
    }

    /// Looks at the process that runs this.
    pub fn own() -> Option<Self> {
        Self::look(std::process::id())
    }
}

/// CPU of a `/proc/PID/stat`: fields 14 and 15. The name, field 2, may hold anything, so counting starts behind it.
fn cpu_us(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * TICK_US)
}

fn field_kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The kernel's memory for all sockets of the machine, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SocketMemory {
    /// Buffers.
    pub buffers_kib: u64,
    /// The sockets themselves, their inodes and poll entries; `None` where the slab cannot be read.
    pub structures_kib: Option<u64>,
}

impl SocketMemory {
    /// Looks now; `None` if the kernel does not tell.
    pub fn look() -> Option<Self> {
        let sockstat = fs::read_to_string("/proc/net/sockstat").ok()?;
        let slab = fs::read_to_string("/proc/slabinfo").ok();
        Some(Self { buffers_kib: buffers_kib(&sockstat)?, structures_kib: slab.and_then(|text| structures_kib(&text)) })
    }

    /// All of it.
    pub fn total_kib(&self) -> u64 {
        self.buffers_kib + self.structures_kib.unwrap_or(0)
    }
}

/// The number after `mem` in the line of TCP.
fn buffers_kib(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_ascii_whitespace().skip_while(|word| *word != "mem");
    let pages: u64 = words.nth(1)?.parse().ok()?;
    Some(pages * PAGE_KIB)
}

/// Active objects times their size, over the caches of sockets.
fn structures_kib(slabinfo: &str) -> Option<u64> {
    let mut found = false;
    let mut bytes = 0;
    for line in slabinfo.lines() {
        let mut words = line.split_ascii_whitespace();
        if words.next().is_some_and(|name| SOCKET_CACHES.contains(&name)) {
            let active: u64 = words.next()?.parse().ok()?;
            let size: u64 = words.nth(1)?.parse().ok()?;
            found = true;
            bytes += active * size;
        }
    }
    found.then_some(bytes / 1024)
}

/// Raises the limit of open files as far as the system lets. Gives what it is now; `None` for no limit.
pub fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_found_behind_a_name_with_blanks_and_brackets() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 10 0";
        assert_eq!(cpu_us(stat), Some(3_000_000));
    }

    #[test]
    fn socket_memory_is_read_from_both_files() {
        let sockstat = "sockets: used 9\nTCP: inuse 5 orphan 0 tw 2 alloc 7 mem 3\nUDP: inuse 1 mem 4\n";
        assert_eq!(buffers_kib(sockstat), Some(12));
        let slab = "# name <active_objs> <num_objs> <objsize>\nTCP 10 20 2048 8 4 : tunables\nother 5 5 100 1 1 :\n";
        assert_eq!(structures_kib(slab), Some(20));
        assert_eq!(structures_kib("other 5 5 100 1 1\n"), None);
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let own = Process::own().expect("its own files");
        assert!(own.rss_kib > 0 && own.descriptors.is_some_and(|count| count > 0));
    }

    #[test]
    fn a_process_that_is_not_there_is_none() {
        assert_eq!(Process::look(u32::MAX), None);
    }
}
