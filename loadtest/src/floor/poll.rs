//! A bare `epoll` loop: which sockets can be read now.
//!
//! Level-triggered, one thread, nothing between the program and the kernel, as a floor should be.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};

/// Sockets that one wait tells of.
const READY_MAX: usize = 512;

/// The sockets that are watched.
pub(super) struct Poll {
    epoll: OwnedFd,
}

impl Poll {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Watches a socket, which goes by this number.
    pub(super) fn add(&self, socket: &impl AsFd, number: usize) -> io::Result<()> {
        let data = epoll::EventData::new_u64(number as u64);
        Ok(epoll::add(&self.epoll, socket, data, epoll::EventFlags::IN)?)
    }

    /// Waits, for a bounded time, until something can be read. Puts the numbers of the sockets into `ready`.
    pub(super) fn wait(&self, patience: Option<Duration>, ready: &mut Vec<usize>) -> io::Result<()> {
        ready.clear();
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; READY_MAX];
        let patience = patience.map(|time| Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        });
        match epoll::wait(&self.epoll, &mut events, patience.as_ref()) {
            Ok((events, _)) => {
                ready.extend(events.iter().filter_map(|event| usize::try_from(event.data.u64()).ok()));
                Ok(())
            }
            Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
