//! How long a soft stop may take.

use std::time::Duration;

use super::form::Count;
use super::reader::Reader;

/// Settings below `[stop]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopSection {
    /// For accepted commands to be answered and clients to be told when to come back (DRAINED).
    pub drain: Duration,
    /// For all of the stop, closing the store included; then the process ends whatever is left.
    pub grace: Duration,
}

impl StopSection {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let count = Count { min: 100, max: 600_000 };
        Self {
            drain: Duration::from_millis(reader.setting(
                "stop.drain_ms",
                "Milliseconds after SIGTERM in which accepted commands are answered and clients are told when to return.",
                5_000,
                &count,
            )),
            grace: Duration::from_millis(reader.setting(
                "stop.grace_ms",
                "Milliseconds for the whole stop, the drain and the closing of the store included. Then the process ends.",
                15_000,
                &count,
            )),
        }
    }

    pub(super) fn check(self, reader: &mut Reader) {
        if self.drain > self.grace {
            reader.refuse_beside("stop.drain_ms", "at most", "stop.grace_ms");
        }
    }
}
