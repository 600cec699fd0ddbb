//! What the machine says of the server: memory and descriptors of its process, and the kernel's socket memory. Its CPU
//! is in [`cpu`], where it runs in [`cores`]; how one that was started here is stopped, in [`child`]; how this process is
//! asked to, in [`stop`].
//!
//! Everything comes from `/proc`, by process id; what cannot be read is `None` and never guessed.

pub(crate) mod child;
pub mod cores;
pub mod cpu;
pub(crate) mod stop;

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The caches of the kernel that hold what an open TCP socket costs, apart from its buffers.
const SOCKET_CACHES: [&str; 7] =
    ["TCP", "TCPv6", "sock_inode_cache", "filp", "dentry", "eventpoll_epi", "eventpoll_pwq"];
/// The kernel's page, in KiB, in which `/proc/net/sockstat` counts buffers.
const PAGE_KIB: u64 = 4;

/// One look at a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Process {
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
        let status = fs::read_to_string(format!("{folder}/status")).ok()?;
        Some(Self {
            rss_kib: field_kib(&status, "VmRSS:")?,
            pss_kib: fs::read_to_string(format!("{folder}/smaps_rollup"))
                .ok()
                .and_then(|text| field_kib(&text, "Pss:")),
            descriptors: fs::read_dir(format!("{folder}/fd")).ok().map(|entries| entries.count() as u64),
        })
    }

    /// Looks at several processes, all together; `None` if there are none, or one is gone.
    pub fn of_all(pids: &[u32]) -> Option<Self> {
        let mut all = pids.iter().map(|pid| Self::look(*pid));
        let first = all.next()??;
        all.try_fold(first, |sum, one| {
            let one = one?;
            Some(Self {
                rss_kib: sum.rss_kib + one.rss_kib,
                pss_kib: sum.pss_kib.zip(one.pss_kib).map(|(a, b)| a + b),
                descriptors: sum.descriptors.zip(one.descriptors).map(|(a, b)| a + b),
            })
        })
    }

    /// Looks at the process that runs this.
    pub fn own() -> Option<Self> {
        Self::look(std::process::id())
    }
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
        assert_eq!(Process::of_all(&[std::process::id(); 2]).map(|two| two.rss_kib > own.rss_kib), Some(true));
        assert!(own.rss_kib > 0 && own.descriptors.is_some_and(|count| count > 0));
    }

    #[test]
    fn a_process_that_is_not_there_is_none() {
        assert_eq!(Process::look(u32::MAX), None);
    }
}
