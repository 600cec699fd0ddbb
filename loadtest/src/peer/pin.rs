//! Where a peer starts: on the first half of the cores, since what it starts with decides how many threads it makes.
//!
//! What runs already, and the generator, are put in place by [`crate::host::cores`].

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Does this on the cores of servers; a process that it starts stays there. On one core, as it is.
pub(super) fn on_server_cores<T>(start: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None).ok();
    let half = before.as_ref().and_then(first_half);
    let moved = half.is_some_and(|half| sched_setaffinity(None, &half).is_ok());
    let done = start();
    if let Some(before) = before.filter(|_| moved)
        && sched_setaffinity(None, &before).is_err()
    {
        eprintln!("the generator stays on the cores of the servers");
    }
    done
}

fn first_half(all: &CpuSet) -> Option<CpuSet> {
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
    let mut half = CpuSet::new();
    for core in cores.iter().take(cores.len() / 2) {
        half.set(*core);
    }
    (cores.len() > 1).then_some(half)
}
