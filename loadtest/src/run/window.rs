//! What counts in the measured time alone, which may come in several pieces.

use super::Run;
use crate::host::cpu::Cpu;
use crate::host::{Process, SocketMemory};
use crate::measure::Latencies;

/// The measured time, and what happened in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    pub(crate) acked: u64,
    pub(crate) delivered: u64,
    /// Whatever else a scenario counts.
    pub(crate) others: u64,
    /// When the present piece began.
    pub(super) began_ns: u64,
    /// How long all pieces took.
    pub(crate) spent_ns: u64,
    /// CPU in all pieces.
    pub(crate) server: Option<Cpu>,
    pub(crate) own: Option<Cpu>,
    /// Ack latencies of the present round.
    pub(super) acks: Latencies,
    /// The server and the kernel at the end of the last piece.
    pub(super) at_end: (Option<Process>, Option<SocketMemory>),
    /// CPU when the present piece began.
    before: (Option<Cpu>, Option<Cpu>),
}

impl Window {
    fn add(&mut self, server: Option<Cpu>, own: Option<Cpu>) {
        for (sum, before, after) in [(&mut self.server, self.before.0, server), (&mut self.own, self.before.1, own)] {
            if let (Some(before), Some(after)) = (before, after) {
                *sum.get_or_insert_default() += after - before;
            }
        }
    }
}

impl Run {
    pub(crate) fn begin_measuring(&self) {
        if !self.measuring.replace(true) {
            let mut window = self.window.borrow_mut();
            window.before = (self.server_cpu(), Cpu::own());
            window.began_ns = self.clock.now_ns();
        }
    }

    pub(crate) fn end_measuring(&self) {
        if self.measuring.replace(false) {
            let mut window = self.window.borrow_mut();
            window.spent_ns += self.clock.now_ns().saturating_sub(window.began_ns);
            window.add(self.server_cpu(), Cpu::own());
            window.at_end = (self.server(), SocketMemory::look());
        }
    }

    pub(crate) const fn is_measuring(&self) -> bool {
        self.measuring.get()
    }

    fn server_cpu(&self) -> Option<Cpu> {
        Cpu::of_all(&self.common.server_pid)
    }

    /// A look at the servers' processes, if they were named.
    pub(crate) fn server(&self) -> Option<Process> {
        Process::of_all(&self.common.server_pid)
    }
}
