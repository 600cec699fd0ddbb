//! How bytes come from a client and go to it, without waiting: one enum, so that the plain kind pays for no other.
//!
//! What is written may be taken before it is sent: [`Transport::try_flush`] sends on, and as long as [`Transport::has_unsent`]
//! says so, it has to be called again when the socket can take more.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::connection::outbox::TryWrite;

/// A socket with what is spoken over it.
pub(crate) enum Transport {
    /// TCP, as it is.
    Plain(TcpStream),
}

impl Transport {
    const fn tcp(&self) -> &TcpStream {
        let Self::Plain(tcp) = self;
        tcp
    }

    /// Ready when it is worth a try to read.
    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_read_ready(context)
    }

    /// Reads what is there; 0 at the end.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self::Plain(tcp) = self;
        tcp.try_read(buffer)
    }

    /// Ready when it is worth a try to write or to flush.
    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_write_ready(context)
    }

    /// Whether some of what was taken is still to be sent.
    pub(crate) const fn has_unsent(&self) -> bool {
        let Self::Plain(_) = self;
        false
    }

    /// Sends on what was taken, as much as the socket takes now.
    #[expect(clippy::unnecessary_wraps, reason = "other kinds may fail")]
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        let Self::Plain(_) = self;
        Ok(())
    }

    /// Sends the end of the stream, and reads to the client's.
    pub(crate) async fn hear_out(&self) {
        let tcp = self.tcp();
        if SockRef::from(tcp).shutdown(Shutdown::Write).is_err() {
            return;
        }
        let mut unread = [0; 1024];
        loop {
            if tcp.readable().await.is_err() {
                return;
            }
            match tcp.try_read(&mut unread) {
                Ok(0) => return,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {}
            }
        }
    }
}

impl TryWrite for Transport {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Self::Plain(tcp) = self;
        tcp.try_write_vectored(slices)
    }
}

const _: () = assert!(size_of::<Transport>() == size_of::<TcpStream>(), "the plain kind pays for no other");
