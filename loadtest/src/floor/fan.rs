//! One frame to many sockets, with nothing else done: a `send()` for each message, or one for all that wait.
//!
//! The server's side waits for a word on a control connection, then writes so many messages to every socket; the
//! client's side reads until all came, then asks for the next. So one round's messages are out at a time, as they are in
//! a scenario with the same window.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use super::poll::Poll;
use super::{Counted, Kind, READ_BYTES, Spec, accept, connect};

/// The server's side: ends when the control connection does.
pub(super) fn serve(listener: &TcpListener, spec: &Spec) -> io::Result<()> {
    let mut control = accept(listener)?;
    let sockets = (0..spec.sockets).map(|_| accept(listener)).collect::<io::Result<Vec<_>>>()?;
    let joined = if spec.kind == Kind::Joined { spec.depth } else { 1 };
    let bytes = vec![b'x'; spec.answer * joined];
    let mut word = [0];
    while control.read(&mut word)? == 1 {
        for _ in 0..spec.depth / joined {
            for mut socket in &sockets {
                socket.write_all(&bytes)?;
            }
        }
    }
    Ok(())
}

/// The client's side.
pub(super) struct Readers {
    control: TcpStream,
    sockets: Vec<TcpStream>,
    poll: Poll,
    buffer: Vec<u8>,
    /// Bytes of one round, over all sockets.
    due: usize,
    /// Messages of one round, over all sockets.
    each: u64,
}

impl Readers {
    pub(super) fn connect(address: SocketAddr, spec: &Spec) -> io::Result<Self> {
        let control = connect(address)?;
        let poll = Poll::new()?;
        let mut sockets = Vec::with_capacity(spec.sockets);
        for number in 0..spec.sockets {
            let socket = connect(address)?;
            socket.set_nonblocking(true)?;
            poll.add(&socket, number)?;
            sockets.push(socket);
        }
        let each = spec.sockets * spec.depth;
        Ok(Self { control, sockets, poll, buffer: vec![0; READ_BYTES], due: each * spec.answer, each: each as u64 })
    }

    /// Round after round until then.
    pub(super) fn run(&mut self, until: Instant, counted: &mut Counted) -> io::Result<()> {
        let mut ready = Vec::new();
        while Instant::now() < until {
            let began = Instant::now();
            self.control.write_all(b"!")?;
            let mut due = self.due;
            while due > 0 {
                self.poll.wait(None, &mut ready)?;
                for number in &ready {
                    let Some(mut socket) = self.sockets.get(*number) else { continue };
                    match socket.read(&mut self.buffer)? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        count => due = due.saturating_sub(count),
                    }
                }
            }
            counted.count += self.each;
            counted.latencies.took(began.elapsed());
        }
        Ok(())
    }
}
