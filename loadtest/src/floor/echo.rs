//! Requests of one size answered with answers of another: the bare round trip, with or without a synced write.
//!
//! Both sides are one `epoll` loop. All that a wait finds is read before anything is answered, so that one
//! `fdatasync` serves the whole group, and the answers of one socket leave joined.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::poll::Poll;
use super::{Counted, READ_BYTES, Spec, accept, connect};

/// After the end of a round so long is waited at most for the last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// One socket and the part of a request or answer that came so far.
struct Side {
    socket: TcpStream,
    part: usize,
    /// When what waits for its answer was written.
    asked: Instant,
}

impl Side {
    /// Reads what is there. Gives how many whole ones of this size that makes; `None` at the end.
    fn read(&mut self, buffer: &mut [u8], size: usize) -> io::Result<Option<(usize, usize)>> {
        let count = (&self.socket).read(buffer)?;
        if count == 0 {
            return Ok(None);
        }
        let have = self.part + count;
        self.part = have % size;
        Ok(Some((have / size, count)))
    }
}

/// The server's side: ends when a client goes.
pub(super) fn serve(listener: &TcpListener, spec: &Spec, synced: Option<&Path>) -> io::Result<()> {
    let mut file = synced.map(|path| OpenOptions::new().create(true).append(true).open(path)).transpose()?;
    let (poll, mut sides) = watched(spec.sockets, || accept(listener))?;
    let mut buffer = vec![0; READ_BYTES];
    let answer = vec![b'y'; spec.answer * READ_BYTES.div_ceil(spec.request)];
    let (mut ready, mut group, mut due) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        poll.wait(None, &mut ready)?;
        group.clear();
        due.clear();
        for number in &ready {
            let Some(side) = sides.get_mut(*number) else { continue };
            let Some((whole, count)) = side.read(&mut buffer, spec.request)? else { return Ok(()) };
            if file.is_some() {
                group.extend_from_slice(&buffer[..count]);
            }
            due.push((*number, whole));
        }
        if let Some(file) = file.as_mut().filter(|_| !group.is_empty()) {
            append(file, &group)?;
        }
        for (number, whole) in &due {
            if let (Some(side), Some(bytes)) = (sides.get(*number), answer.get(..whole * spec.answer)) {
                (&side.socket).write_all(bytes)?;
            }
        }
    }
}

fn append(file: &mut File, group: &[u8]) -> io::Result<()> {
    file.write_all(group)?;
    file.sync_data()
}

/// So many sockets, all watched.
fn watched(count: usize, mut open: impl FnMut() -> io::Result<TcpStream>) -> io::Result<(Poll, Vec<Side>)> {
    let poll = Poll::new()?;
    let mut sides = Vec::with_capacity(count);
    for number in 0..count {
        let socket = open()?;
        poll.add(&socket, number)?;
        sides.push(Side { socket, part: 0, asked: Instant::now() });
    }
    Ok((poll, sides))
}

/// The client's side: each socket keeps so many requests out.
pub(super) struct Askers {
    sides: Vec<Side>,
    poll: Poll,
    buffer: Vec<u8>,
    request: Vec<u8>,
    size: usize,
    answer: usize,
    depth: usize,
}

impl Askers {
    pub(super) fn connect(address: SocketAddr, spec: &Spec) -> io::Result<Self> {
        let (poll, sides) = watched(spec.sockets, || connect(address))?;
        Ok(Self {
            sides,
            poll,
            buffer: vec![0; READ_BYTES],
            request: vec![b'x'; spec.request * spec.depth],
            size: spec.request,
            answer: spec.answer,
            depth: spec.depth,
        })
    }

    /// Asks until then, and takes what is still owed.
    pub(super) fn run(&mut self, until: Instant, counted: &mut Counted) -> io::Result<()> {
        let mut owed = self.sides.len() * self.depth;
        for side in &mut self.sides {
            side.asked = Instant::now();
            (&side.socket).write_all(&self.request)?;
        }
        let mut ready = Vec::new();
        while owed > 0 && Instant::now() < until + LAST_ANSWERS {
            self.poll.wait(Some(LAST_ANSWERS), &mut ready)?;
            let asks = Instant::now() < until;
            for number in &ready {
                let Some(side) = self.sides.get_mut(*number) else { continue };
                let read = side.read(&mut self.buffer, self.answer)?;
                let (whole, _) = read.ok_or(io::ErrorKind::UnexpectedEof)?;
                counted.count += whole as u64;
                counted.latencies.took(side.asked.elapsed());
                if let Some(requests) = self.request.get(..whole * self.size).filter(|_| asks) {
                    side.asked = Instant::now();
                    (&side.socket).write_all(requests)?;
                } else {
                    owed = owed.saturating_sub(whole);
                }
            }
        }
        Ok(())
    }
}
