//! Binds the address to listen on, with some patience for a process before that was just killed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use crate::start_error::StartError;

/// How long a port that is in use is waited for.
const BIND_PATIENCE: Duration = Duration::from_secs(1);
const BIND_AGAIN: Duration = Duration::from_millis(20);

/// Connections that wait to be accepted: a storm of returning clients comes within a second, and what the queue does not
/// hold is tried again by the client's system a second later. The system's own limit may be lower.
const LISTEN_QUEUE: u32 = 4096;

/// An address that nobody else can take, and where nobody is heard yet.
pub(crate) struct Bound {
    socket: TcpSocket,
    wanted: SocketAddr,
}

impl Bound {
    /// Hears from now on.
    pub(crate) fn listen(self) -> Result<TcpListener, StartError> {
        self.socket.listen(LISTEN_QUEUE).map_err(|error| not_listening(self.wanted, error))
    }
}

/// Where somebody listens: the port is real where 0 was asked for.
pub(crate) fn address_of(listener: &TcpListener, wanted: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| not_listening(wanted, error))
}

/// Binds the address; a process before that was just killed is given a moment to let it go.
pub(crate) async fn bind_patiently(address: SocketAddr) -> Result<Bound, StartError> {
    let patience = tokio::time::Instant::now() + BIND_PATIENCE;
    loop {
        match bind(address) {
            Err(StartError::PortInUse(_)) if tokio::time::Instant::now() < patience => {
                tokio::time::sleep(BIND_AGAIN).await;
            }
            bound => return bound.map(|socket| Bound { socket, wanted: address }),
        }
    }
}

fn bind(address: SocketAddr) -> Result<TcpSocket, StartError> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // So that a restart need not wait for the last connections of the process before; somebody who listens is still
        // found out.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    bound().map_err(|error| not_listening(address, error))
}

fn not_listening(address: SocketAddr, source: io::Error) -> StartError {
    match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse(address),
        _ => StartError::Listen { address, source },
    }
}
