//! What a node wants to say, until its link takes it: bounded in number and in bytes.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::bus::{MAX_SAID_BYTES, Topic};

/// One thing to be said.
pub(super) struct Said {
    pub(super) topic: Topic,
    pub(super) body: Bytes,
}

/// Where things to be said are put; taken from the receiver made with it.
pub(super) struct Outbox {
    sender: mpsc::Sender<Said>,
    bytes: AtomicUsize,
    max_bytes: usize,
}

impl Outbox {
    pub(super) fn new(most: usize, max_bytes: usize) -> (Self, mpsc::Receiver<Said>) {
        let (sender, receiver) = mpsc::channel(most);
        (Self { sender, bytes: AtomicUsize::new(0), max_bytes }, receiver)
    }

    /// Puts it at the end, or says why not; never waits.
    pub(super) fn put(&self, topic: Topic, body: Bytes) -> Result<(), &'static str> {
        let size = body.len();
        if size > MAX_SAID_BYTES {
            return Err("too_large");
        }
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size > self.max_bytes {
            self.taken(size);
            return Err("full");
        }
        self.sender.try_send(Said { topic, body }).map_err(|_| {
            self.taken(size);
            "full"
        })
    }

    /// So many bytes have been taken from the receiver.
    pub(super) fn taken(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(outbox: &Outbox, size: usize) -> Result<(), &'static str> {
        outbox.put(Topic::Cluster, vec![0; size].into())
    }

    #[test]
    fn bounded_in_number_in_bytes_and_in_each_size() {
        let (outbox, mut receiver) = Outbox::new(3, 100);
        assert_eq!(put(&outbox, MAX_SAID_BYTES + 1), Err("too_large"), "BOUNDED");
        assert_eq!([put(&outbox, 60), put(&outbox, 60), put(&outbox, 40)], [Ok(()), Err("full"), Ok(())], "BOUNDED");
        assert_eq!([put(&outbox, 0), put(&outbox, 0)], [Ok(()), Err("full")], "BOUNDED");
        let said = receiver.try_recv().unwrap();
        outbox.taken(said.body.len());
        assert_eq!(put(&outbox, 60), Ok(()));
    }
}
