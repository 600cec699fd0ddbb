//! A connection at the door, and of HTTP: what was read ahead, and then the socket, whatever is spoken over it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Transport;
use crate::connection::outbox::TryWrite;

/// A connection with its peer.
pub struct Stream {
    transport: Transport,
    /// Read ahead, and to be read again.
    ahead: Bytes,
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self::new(Transport::Plain(tcp))
    }
}

impl Stream {
    pub(super) const fn new(transport: Transport) -> Self {
        Self { transport, ahead: Bytes::new() }
    }

    /// Whether nobody between here and the client can read along.
    pub const fn is_encrypted(&self) -> bool {
        self.transport.is_encrypted()
    }

    /// Gives back what was read, to be read again before all else.
    #[must_use]
    pub fn with_ahead(self, ahead: Bytes) -> Self {
        Self { ahead, ..self }
    }

    pub(crate) fn into_transport(self) -> Transport {
        self.transport
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.has_remaining() {
            let given = self.ahead.remaining().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(given));
            return Poll::Ready(Ok(()));
        }
        self.transport.poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.transport.poll_write_ready(context))?;
            match self.transport.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_end(context)
    }
}
