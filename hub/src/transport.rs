//! How bytes come from a client and go to it: one enum, so that the plain kind pays for no other.
//!
//! What is written may be taken before it is sent: [`Transport::try_flush`] sends on, and as long as [`Transport::has_unsent`]
//! says so, it has to be called again when the socket can take more.

mod entrance;
#[cfg(test)]
mod kit;
mod session;
mod stream;
mod tls;

use std::future::poll_fn;
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

pub use self::entrance::Tls;
pub use self::stream::Stream;

use self::session::Session;
use self::tls::TlsSocket;
use crate::connection::outbox::TryWrite;

/// A socket with what is spoken over it.
pub(crate) enum Transport {
    /// TCP, as it is.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsSocket>),
}

const _: () = assert!(size_of::<Transport>() == size_of::<TcpStream>(), "the plain kind pays for no other");

impl Transport {
    pub(crate) const fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    const fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.tcp(),
        }
    }

    /// Ready when it is worth a try to read.
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => tcp.poll_read_ready(context),
            Self::Tls(tls) => tls.poll_read_ready(context),
        }
    }

    /// Reads what is there; 0 at the end.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => read_all(tcp, buffer),
            Self::Tls(tls) => tls.try_read(buffer),
        }
    }

    /// Reads what is there, or lets the task be woken when something is; nothing is read at the end.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.poll_read_ready(context)?.is_pending() {
                // What the client said last may want an answer that nobody but rustls knows of.
                if self.has_unsent() {
                    let _later = self.poll_flush(context)?;
                }
                return Poll::Pending;
            }
            match self.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Ready when it is worth a try to write or to flush.
    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_write_ready(context)
    }

    /// Whether some of what was taken is still to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.has_unsent(),
        }
    }

    /// Sends on what was taken, as much as the socket takes now.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.try_flush(),
        }
    }

    /// Ready when all that was taken is sent.
    fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => tls.poll_flush(context),
        }
    }

    /// Says the end of the session, if there is one and it is not said yet.
    pub(crate) fn try_end(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.try_end(),
        }
    }

    /// Says the end of the session and of the stream.
    fn poll_end(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.try_end()?;
        ready!(self.poll_flush(context))?;
        Poll::Ready(SockRef::from(self.tcp()).shutdown(Shutdown::Write))
    }

    /// Says the end, and reads to the client's.
    pub(crate) async fn hear_out(&self) {
        if poll_fn(|context| self.poll_end(context)).await.is_err() {
            return;
        }
        let tcp = self.tcp();
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

    /// Takes it out of its runtime, on its way to another.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        Ok(match self {
            Self::Plain(tcp) => Detached { tcp: tcp.into_std()?, session: None },
            Self::Tls(tls) => {
                let (tcp, session) = tls.split();
                Detached { tcp: tcp.into_std()?, session: Some(Box::new(session)) }
            }
        })
    }
}

/// Where a read that leaves room in its buffer has taken all there was, and what comes later is told (epoll(7), questions
/// and answers, 9).
const TELLS_OF_MORE: bool = cfg!(any(target_os = "linux", target_os = "macos"));

/// Reads what is there. After a read that took all, the system is asked again only when it has told of more: as tokio does
/// in its `poll_read`, which wants the socket for itself, and not in its `try_read`. What was told since the read began is
/// not forgotten, nor ever is the end of the stream. Behind a byte that is marked urgent (RFC 6093) more may lie; it is
/// read with what comes next.
fn read_all(tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let (room, mut read) = (buffer.len(), 0);
    let result = tcp.try_io(Interest::READABLE, || {
        read = (&*SockRef::from(tcp)).read(buffer)?;
        let took_all = TELLS_OF_MORE && 0 < read && read < room;
        if took_all { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    if read > 0 { Ok(read) } else { result.map(|()| 0) }
}

impl TryWrite for Transport {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => match slices {
                [only] => tcp.try_write(only),
                slices => tcp.try_write_vectored(slices),
            },
            Self::Tls(tls) => tls.try_write_vectored(slices),
        }
    }
}

/// A transport between two runtimes.
pub(crate) struct Detached {
    tcp: std::net::TcpStream,
    session: Option<Box<Session>>,
}

impl Detached {
    /// Brings it to this runtime.
    pub(crate) fn attach(self) -> io::Result<Transport> {
        let tcp = TcpStream::from_std(self.tcp)?;
        Ok(match self.session {
            None => Transport::Plain(tcp),
            Some(session) => Transport::Tls(Box::new(TlsSocket::join(tcp, *session))),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    const ROOM: usize = 64;

    async fn pair() -> (Transport, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Transport::Plain(listener.accept().await.unwrap().0), theirs)
    }

    /// What one read gives; nothing at the end.
    async fn read(transport: &Transport) -> io::Result<Vec<u8>> {
        let read = poll_fn(|context| {
            let mut room = [0; ROOM];
            let mut buffer = ReadBuf::new(&mut room);
            ready!(transport.poll_read(context, &mut buffer))?;
            Poll::Ready(Ok(buffer.filled().to_vec()))
        });
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("a read that was told of ends")
    }

    async fn read_exactly(transport: &Transport, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            let read = read(transport).await.unwrap().len();
            assert!(read > 0 && read <= left, "{read} of {left}");
            left -= read;
        }
    }

    #[tokio::test]
    async fn what_comes_after_a_read_that_took_all_is_read_and_so_is_the_end() {
        for bytes in [1, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM, 100 * ROOM - 1] {
            let (transport, mut theirs) = pair().await;
            for _ in 0..3 {
                theirs.write_all(&vec![1; bytes]).await.unwrap();
                read_exactly(&transport, bytes).await;
            }
            theirs.write_all(&vec![1; bytes]).await.unwrap();
            theirs.shutdown().await.unwrap();
            // Both are there before the first look.
            tokio::time::sleep(Duration::from_millis(5)).await;
            read_exactly(&transport, bytes).await;
            assert_eq!(read(&transport).await.unwrap().len(), 0, "the end, after {bytes} bytes");
        }
    }

    #[tokio::test]
    async fn a_reset_is_told_also_right_behind_bytes() {
        let (transport, mut theirs) = pair().await;
        theirs.write_all(&[1; ROOM / 2]).await.unwrap();
        read_exactly(&transport, ROOM / 2).await;
        theirs.write_all(&[1; ROOM / 2]).await.unwrap();
        SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
        drop(theirs);
        while let Ok(bytes) = read(&transport).await {
            assert!(!bytes.is_empty(), "a reset is no end");
        }
    }
}
