//! Accept, answer the upgrade, see the other side go: what a connection costs before anybody says who they are.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use socket2::SockRef;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::poll::Poll;
use super::{Counted, connect};

/// The listener's number among what is watched.
const LISTENER: usize = usize::MAX;
/// A request head is no longer.
const HEAD_BYTES: usize = 1_024;
const KEY: &str = "sec-websocket-key: ";
const REQUEST: &[u8] = b"GET /ws HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-protocol: hubbub.v1.json\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The server's side: runs until its process is ended.
pub(super) fn serve(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poll = Poll::new()?;
    poll.add(listener, LISTENER)?;
    let mut open: Vec<Option<TcpStream>> = Vec::new();
    let mut free = Vec::new();
    let mut ready = Vec::new();
    let mut head = [0; HEAD_BYTES];
    loop {
        poll.wait(None, &mut ready)?;
        for number in &ready {
            if *number == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    socket.set_nodelay(true)?;
                    socket.set_nonblocking(true)?;
                    let place = free.pop().unwrap_or_else(|| {
                        open.push(None);
                        open.len() - 1
                    });
                    poll.add(&socket, place)?;
                    if let Some(place) = open.get_mut(place) {
                        *place = Some(socket);
                    }
                }
            } else if let Some(place) = open.get_mut(*number)
                && !place.as_mut().is_some_and(|socket| answer(socket, &mut head))
            {
                *place = None;
                free.push(*number);
            }
        }
    }
}

/// Answers an upgrade; `false` if the other side is gone. A head comes whole, as it is written at once.
fn answer(socket: &mut TcpStream, head: &mut [u8]) -> bool {
    let count = match socket.read(head) {
        Ok(count) if count > 0 => count,
        _ => return false,
    };
    let Some(text) = head.get(..count).and_then(|bytes| std::str::from_utf8(bytes).ok()) else { return false };
    let Some(key) = text.lines().find_map(|line| line.strip_prefix(KEY)) else { return false };
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-protocol: hubbub.v1.json\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    socket.write_all(answer.as_bytes()).is_ok()
}

/// The client's side: so many at a time knock, are let in, and go without a goodbye.
pub(super) struct Knockers {
    address: SocketAddr,
    at_once: usize,
}

impl Knockers {
    pub(super) const fn new(address: SocketAddr, at_once: usize) -> Self {
        Self { address, at_once }
    }

    pub(super) fn run(&self, until: Instant, counted: &mut Counted) -> io::Result<()> {
        let mut answer = [0; HEAD_BYTES];
        while Instant::now() < until {
            let began = Instant::now();
            let sockets = (0..self.at_once).map(|_| connect(self.address)).collect::<io::Result<Vec<_>>>()?;
            for mut socket in &sockets {
                socket.write_all(REQUEST)?;
            }
            for mut socket in &sockets {
                let mut count = 0;
                while !answer.get(..count).is_some_and(|bytes| bytes.ends_with(b"\r\n\r\n")) {
                    count += match socket.read(answer.get_mut(count..).unwrap_or_default())? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        more => more,
                    };
                }
                // A reset leaves no port behind that has to wait.
                SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO))?;
            }
            counted.count += self.at_once as u64;
            counted.latencies.took(began.elapsed());
        }
        Ok(())
    }
}
