//! The least that a delivery can cost: a loop of `send()`, joined where several messages are out at once.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use crate::Outcome;
use crate::cpu::{self, Cpu};

/// The loop, and the sockets' other ends.
pub(crate) struct Floor {
    orders: mpsc::Sender<()>,
    readers: Vec<TcpStream>,
    scratch: Vec<u8>,
}

impl Floor {
    /// So many sockets, each of which gets so many messages of so many bytes in one write.
    pub(crate) fn open(sockets: usize, bytes: usize, joined: usize) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (mut writers, mut readers) = (Vec::new(), Vec::new());
        for _ in 0..sockets {
            readers.push(TcpStream::connect(listener.local_addr()?)?);
            let (writer, _) = listener.accept()?;
            writer.set_nodelay(true)?;
            writers.push(writer);
        }
        let (orders, ordered) = mpsc::channel();
        let message = vec![7; bytes * joined];
        let scratch = message.clone();
        thread::Builder::new().name("floor".to_owned()).spawn(move || {
            while ordered.recv().is_ok() {
                for writer in &mut writers {
                    if writer.write_all(&message).is_err() {
                        return;
                    }
                }
            }
        })?;
        Ok(Self { orders, readers, scratch })
    }

    /// What so many rounds cost the writer.
    pub(crate) fn run(&mut self, rounds: usize) -> Outcome<Cpu> {
        let before = cpu::hub();
        for _ in 0..rounds {
            self.orders.send(())?;
            for reader in &mut self.readers {
                reader.read_exact(&mut self.scratch)?;
            }
        }
        let after = cpu::hub();
        Ok(after.since(&before))
    }
}
