//! Which cores a server and its generator run on: apart, so that neither takes the other's time.
//!
//! A server that was given its cores keeps them; else it is put on the first half, and the generator on the others. On
//! one core, or where the system does not let, nobody is moved. Threads that a process starts later stay where it is.

use std::process::{Child, Command};
use std::{fs, io};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Who runs where. Undone when dropped.
#[derive(Debug, Default)]
pub struct Cores {
    server: Option<CpuSet>,
    generator: Option<CpuSet>,
    moved: Vec<(u32, CpuSet)>,
}

impl Cores {
    /// Puts these servers and this process apart. Without a server nobody is moved.
    pub fn part(servers: &[u32]) -> Self {
        Self::try_part(servers).unwrap_or_default()
    }

    fn try_part(servers: &[u32]) -> Option<Self> {
        let all = sched_getaffinity(None).ok()?;
        let given = sched_getaffinity(Pid::from_raw(i32::try_from(*servers.first()?).ok()?)).ok()?;
        let (server, generator) = halves(&all, &given)?;
        let mut cores = Self { server: Some(server), generator: Some(generator), moved: Vec::new() };
        for pid in servers {
            cores.put(*pid, &server)?;
        }
        cores.put(std::process::id(), &generator)?;
        Some(cores)
    }

    /// Those for a server to be started on and for this process, which goes there now.
    pub fn for_a_server() -> Self {
        let Some((server, generator)) = sched_getaffinity(None).ok().and_then(|all| halves(&all, &all)) else {
            return Self::default();
        };
        let mut cores = Self { server: Some(server), generator: Some(generator), moved: Vec::new() };
        cores.put(std::process::id(), &generator);
        cores
    }

    /// Starts a process where the server is to be, so that it finds as many cores as it has.
    ///
    /// # Errors
    ///
    /// The system gives no thread or no process.
    pub fn spawn(&self, mut command: Command) -> io::Result<Child> {
        let cores = self.server;
        // What a thread starts runs where the thread does.
        let starts = std::thread::Builder::new().spawn(move || {
            if let Some(cores) = cores {
                sched_setaffinity(None, &cores).ok();
            }
            command.spawn()
        })?;
        starts.join().map_err(|_| io::Error::other("a thread panicked"))?
    }

    /// Puts a process where the server is; it is not put back.
    pub fn with_server(&self, pid: u32) {
        if let Some(cores) = &self.server {
            put(pid, cores);
        }
    }

    fn put(&mut self, pid: u32, to: &CpuSet) -> Option<()> {
        let before = sched_getaffinity(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
        put(pid, to);
        self.moved.push((pid, before));
        Some(())
    }

    /// The server's cores, and the generator's, in words; `None` if nobody was moved.
    pub fn words(&self) -> Option<(String, String)> {
        Some((words(self.server.as_ref()?), words(self.generator.as_ref()?)))
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        for (pid, before) in &self.moved {
            put(*pid, before);
        }
    }
}

/// Puts all threads of a process there, as far as the system lets.
fn put(pid: u32, to: &CpuSet) {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return };
    for thread in threads.flatten() {
        let number = thread.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        if number.is_some() {
            // A thread that ended meanwhile is nowhere.
            sched_setaffinity(number, to).ok();
        }
    }
}

/// The server's cores and the generator's, of all that this process may use and those that the server was given.
fn halves(all: &CpuSet, given: &CpuSet) -> Option<(CpuSet, CpuSet)> {
    let (ours, theirs) = (list(all), list(given));
    if !theirs.iter().any(|core| ours.contains(core)) {
        return Some((*given, *all));
    }
    if ours.len() < 2 {
        return None;
    }
    let is_given = ours.iter().any(|core| !theirs.contains(core));
    let server = if is_given { theirs } else { ours.iter().take(ours.len() / 2).copied().collect() };
    let generator: Vec<usize> = ours.into_iter().filter(|core| !server.contains(core)).collect();
    Some((set(&server), set(&generator)))
}

fn list(cores: &CpuSet) -> Vec<usize> {
    (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core)).collect()
}

fn set(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    set
}

fn words(cores: &CpuSet) -> String {
    let cores: Vec<String> = list(cores).iter().map(ToString::to_string).collect();
    cores.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_with_cores_of_its_own_keeps_them_and_one_without_gets_the_first_half() {
        let halves = |all: &[usize], given: &[usize]| halves(&set(all), &set(given)).map(|(a, b)| (list(&a), list(&b)));
        assert_eq!(halves(&[0, 1], &[0, 1]), Some((vec![0], vec![1])));
        assert_eq!(halves(&[0, 1, 2, 3], &[0, 1, 2, 3]), Some((vec![0, 1], vec![2, 3])));
        assert_eq!(halves(&[0, 1, 2, 3], &[3]), Some((vec![3], vec![0, 1, 2])));
        assert_eq!(halves(&[1], &[0]), Some((vec![0], vec![1])), "they are apart already");
        assert_eq!(halves(&[0], &[0]), None, "there is nothing to part");
    }

    #[test]
    fn without_a_server_nobody_is_moved() {
        assert_eq!(Cores::part(&[]).words(), None);
    }
}
