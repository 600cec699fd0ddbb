//! What the kernel says of this process: its threads' time on a core, and its memory.

use std::fs;
use std::time::Duration;

/// Nanoseconds on a core, by what the threads do.
#[derive(Default, Clone, Copy)]
pub(crate) struct Cpu {
    shard: u64,
    door: u64,
    floor: u64,
}

/// The threads' time until now.
pub(crate) fn hub() -> Cpu {
    let mut cpu = Cpu::default();
    for entry in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let text = |name| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let nanos = text("schedstat").split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0);
        match text("comm").trim() {
            "shard-0" => cpu.shard += nanos,
            "door" => cpu.door += nanos,
            "floor" => cpu.floor += nanos,
            _ => {}
        }
    }
    cpu
}

impl Cpu {
    pub(crate) const fn since(&self, before: &Self) -> Self {
        Self { shard: self.shard - before.shard, door: self.door - before.door, floor: self.floor - before.floor }
    }

    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of minutes fit")]
    pub(crate) const fn total(&self) -> f64 {
        (self.shard + self.door + self.floor) as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a bench fit")]
    pub(crate) fn print(&self, what: &str, count: usize, elapsed: Duration) {
        let each = self.total() / count as f64 / 1e3;
        println!(
            "{what}: {count} in {elapsed:.2?}, {each:.3} µs of CPU each ({:.0} a core and second), door {:.3} µs",
            1e6 / each,
            self.door as f64 / count as f64 / 1e3,
        );
    }
}

/// This process's resident memory, in KiB.
pub(crate) fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
