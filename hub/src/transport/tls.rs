//! A socket with a TLS session over it.
//!
//! Reads and writes never wait. A record that was written in part is finished before anything else is written, so no frame
//! is ever cut (IN-ORDER), and until it is, nothing more is encrypted (BOUNDED).

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::net::TcpStream;

use super::read_all;
use super::session::{Scratch, Session};

thread_local! {
    /// What one call works on; nothing is in it between two.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The socket.
pub(crate) struct TlsSocket {
    tcp: TcpStream,
    session: RefCell<Session>,
}

impl TlsSocket {
    pub(super) fn new(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        Ok(Self::join(tcp, Session::new(config)?))
    }

    pub(super) const fn join(tcp: TcpStream, session: Session) -> Self {
        Self { tcp, session: RefCell::new(session) }
    }

    pub(super) fn split(self) -> (TcpStream, Session) {
        (self.tcp, self.session.into_inner())
    }

    pub(super) const fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Comes to an understanding with the client.
    pub(super) fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_flush(context))?;
            if !self.session.get_mut().is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.tcp.poll_read_ready(context))?;
            match self.read(&mut []) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                Ok(_) | Err(_) => {}
            }
        }
    }

    pub(super) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.session.borrow().has_plain() { Poll::Ready(Ok(())) } else { self.tcp.poll_read_ready(context) }
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(given) = self.session.borrow_mut().give(buffer) {
            return Ok(given);
        }
        match self.read(buffer)? {
            0 if !self.session.borrow().has_plain() => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        let read = SCRATCH.with_borrow_mut(|scratch| session.read(scratch, buffer, |room| read_all(&self.tcp, room)));
        // An answer to what was read, also one that says why that was the last. What does not go out now is flushed by
        // whoever writes; a socket that broke is told by the next read.
        if session.has_unsent() {
            drop(session.flush(|bytes| self.tcp.try_write(bytes)));
        }
        read
    }

    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        let write = |bytes: &[u8]| self.tcp.try_write(bytes);
        session.flush(write)?;
        SCRATCH.with_borrow_mut(|scratch| session.write(scratch, slices, write))
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.session.borrow().has_unsent()
    }

    pub(super) fn try_flush(&self) -> io::Result<()> {
        match self.session.borrow_mut().flush(|bytes| self.tcp.try_write(bytes)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            flushed => flushed,
        }
    }

    pub(super) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.try_flush()?;
            if !self.has_unsent() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.tcp.poll_write_ready(context))?;
        }
    }

    /// Says that nothing more will be said, so that the client knows that nothing was cut off.
    pub(super) fn try_end(&self) -> io::Result<()> {
        let mut session = self.session.borrow_mut();
        SCRATCH.with_borrow_mut(|scratch| session.end(scratch, |bytes| self.tcp.try_write(bytes)))
    }
}
