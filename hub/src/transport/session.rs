//! TLS without a socket: ciphertext in, plaintext out, and back. Pure but for the keys.
//!
//! rustls keeps no buffer for a session here. What it works on lies in [`Scratch`], one a thread, and a session owns only
//! what is left over between two calls: the beginning of a record that has not come whole, plaintext that nobody has taken
//! yet, ciphertext that the socket did not take. So an idle session owns none (BOUNDED: each of them is one record, or
//! what was read at once).

use std::io::{self, IoSlice};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};

/// Plaintext of one record, at the most (RFC 8446 section 5.1).
const MAX_PLAIN: usize = 16 * 1024;
/// A record with its header and what encryption adds, at the most (RFC 5246 section 6.2.3, RFC 8446 section 5.2). A
/// client's first flight has to fit too: with its keys and tickets it has 2 KiB.
const MAX_RECORD: usize = 5 + MAX_PLAIN + 2_048;
/// Room for a record and for what has to go before it: a few tickets, or an answer to a change of keys.
const OUTGOING: usize = MAX_RECORD + 4_096;
/// Ciphertext that answers what the client says, such as certificates: more may not wait for a client that does not read.
const MAX_UNSENT: usize = 256 * 1024;

/// Where a thread works on records.
pub(super) struct Scratch {
    incoming: Box<[u8]>,
    joined: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            incoming: vec![0; MAX_RECORD].into(),
            joined: Vec::with_capacity(MAX_PLAIN),
            outgoing: vec![0; OUTGOING],
        }
    }
}

/// One client's session.
pub(super) struct Session {
    rustls: UnbufferedServerConnection,
    /// The beginning of a record.
    partial: Vec<u8>,
    /// Plaintext that was not taken, and how much of it was.
    plain: Vec<u8>,
    taken: usize,
    /// Ciphertext that is to be sent before any other, and how much of it was.
    unsent: Vec<u8>,
    sent: usize,
    /// The client said that it says no more.
    heard_end: bool,
    said_end: bool,
    /// It broke: rustls may not be asked any more.
    over: bool,
}

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        let rustls = UnbufferedServerConnection::new(config).map_err(broken)?;
        let (partial, plain, unsent) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { rustls, partial, plain, taken: 0, unsent, sent: 0, heard_end: false, said_end: false, over: false })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.rustls.is_handshaking()
    }

    /// Whether a read gives something without the socket.
    pub(super) const fn has_plain(&self) -> bool {
        self.taken < self.plain.len() || self.heard_end
    }

    pub(super) const fn has_unsent(&self) -> bool {
        self.sent < self.unsent.len()
    }

    /// Gives what was decrypted before: 0 at the end, nothing if the socket has to be read.
    pub(super) fn give(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if !self.has_plain() {
            return None;
        }
        let left = &self.plain[self.taken..];
        let given = left.len().min(buffer.len());
        buffer[..given].copy_from_slice(&left[..given]);
        self.taken += given;
        if self.taken == self.plain.len() {
            (self.plain, self.taken) = (Vec::new(), 0);
        }
        Some(given)
    }

    /// Reads what `read` gives and decrypts it, into the buffer as much as fits; 0 if that was no plaintext.
    pub(super) fn read(
        &mut self,
        scratch: &mut Scratch,
        buffer: &mut [u8],
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.over {
            return Err(over());
        }
        let held = self.partial.len();
        let Some(room) = scratch.incoming.get_mut(held..).filter(|room| !room.is_empty()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a TLS message is too long"));
        };
        let read = read(room)?;
        if read == 0 {
            // Without the session's own end: whatever came last may have been cut.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        scratch.incoming[..held].copy_from_slice(&self.partial);
        self.decrypt(&mut scratch.incoming[..held + read], buffer)
    }

    fn decrypt(&mut self, bytes: &mut [u8], buffer: &mut [u8]) -> io::Result<usize> {
        let (mut from, mut given) = (0, 0);
        loop {
            let UnbufferedStatus { mut discard, state } = self.rustls.process_tls_records(&mut bytes[from..]);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(broken)?;
                        discard += record.discard;
                        let fits = record.payload.len().min(buffer.len() - given);
                        buffer[given..given + fits].copy_from_slice(&record.payload[..fits]);
                        given += fits;
                        self.plain.extend_from_slice(&record.payload[fits..]);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let end = self.unsent.len();
                    fit(&mut self.unsent, end, |room| Ok(data.encode(room)?)).map(drop)?;
                }
                // It is sent in order with all else.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.heard_end = true,
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) | ConnectionState::Closed) => {
                    from += discard;
                    break;
                }
                Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "early data was not asked for")),
                Err(error) => {
                    self.queue_alert();
                    return Err(broken(error));
                }
            }
            from += discard;
            if self.unsent.len() - self.sent > MAX_UNSENT {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not take what it asks for"));
            }
        }
        self.partial = if self.heard_end { Vec::new() } else { bytes[from..].to_vec() };
        Ok(given)
    }

    /// Queues what rustls has to say of an error, and asks it for nothing more: it would stumble over the same again.
    fn queue_alert(&mut self) {
        self.over = true;
        while self.rustls.wants_write() {
            match self.rustls.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let end = self.unsent.len();
                    if fit(&mut self.unsent, end, |room| Ok(data.encode(room)?)).is_err() {
                        return;
                    }
                }
                // Nobody reads on.
                Ok(ConnectionState::ReadTraffic(mut traffic)) => while traffic.next_record().is_some() {},
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Sends what is to be sent before all else, as much as `write` takes.
    pub(super) fn flush(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        while self.has_unsent() {
            match write(&self.unsent[self.sent..])? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.sent += written,
            }
        }
        (self.unsent, self.sent) = (Vec::new(), 0);
        Ok(())
    }

    /// Encrypts the beginning of `slices` as one record, sends what `write` takes of it and keeps the rest. Answers how
    /// much plaintext that was. Everything before has to be sent.
    pub(super) fn write(
        &mut self,
        scratch: &mut Scratch,
        slices: &[IoSlice<'_>],
        write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        debug_assert!(!self.has_unsent(), "IN-ORDER: a record that was begun is finished first");
        let Scratch { joined, outgoing, .. } = scratch;
        let plain = join(slices, joined);
        let record = self.say(outgoing, |traffic, room| Ok(traffic.encrypt(plain, room)?))?;
        self.send(&outgoing[..record], write)?;
        Ok(plain.len())
    }

    /// Says that nothing more will be said.
    pub(super) fn end(
        &mut self,
        scratch: &mut Scratch,
        write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        if self.said_end || self.is_handshaking() {
            return Ok(());
        }
        self.said_end = true;
        let outgoing = &mut scratch.outgoing;
        let length = self.say(outgoing, |traffic, room| Ok(traffic.queue_close_notify(room)?))?;
        if self.has_unsent() {
            self.unsent.extend_from_slice(&outgoing[..length]);
            return Ok(());
        }
        self.send(&outgoing[..length], write)
    }

    fn send(&mut self, bytes: &[u8], mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        let sent = match write(bytes) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.unsent = bytes[sent..].to_vec();
        Ok(())
    }

    /// Comes to where something may be said, and says it into `outgoing`, behind what has to go before it. Answers how
    /// long all of that is.
    fn say(
        &mut self,
        outgoing: &mut Vec<u8>,
        mut words: impl FnMut(&mut WriteTraffic<'_, ServerConnectionData>, &mut [u8]) -> Result<usize, Unfit>,
    ) -> io::Result<usize> {
        if self.over {
            return Err(over());
        }
        let mut length = 0;
        loop {
            // No whole record is in there, so nothing new is heard.
            let UnbufferedStatus { discard, state } = self.rustls.process_tls_records(&mut self.partial);
            match state.map_err(broken)? {
                ConnectionState::EncodeTlsData(mut data) => {
                    length = fit(outgoing, length, |room| Ok(data.encode(room)?))?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(mut traffic) => {
                    return fit(outgoing, length, |room| words(&mut traffic, room));
                }
                _ => return Err(over()),
            }
            self.partial.drain(..discard);
        }
    }
}

/// Why nothing was written.
enum Unfit {
    /// For want of room: this much is needed.
    Needs(usize),
    /// It never will be.
    Never,
}

impl From<EncodeError> for Unfit {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(size) => Self::Needs(size.required_size),
            EncodeError::AlreadyEncoded => Self::Never,
        }
    }
}

impl From<EncryptError> for Unfit {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(size) => Self::Needs(size.required_size),
            EncryptError::EncryptExhausted => Self::Never,
        }
    }
}

/// Has something written at this place, where room is made for it; answers where it ends.
fn fit(bytes: &mut Vec<u8>, at: usize, mut write: impl FnMut(&mut [u8]) -> Result<usize, Unfit>) -> io::Result<usize> {
    loop {
        match write(&mut bytes[at..]) {
            Ok(written) => return Ok(at + written),
            Err(Unfit::Needs(more)) if more > bytes.len() - at => bytes.resize(at + more, 0),
            Err(_) => return Err(io::Error::other("the keys of a TLS session are used up")),
        }
    }
}

/// Up to a record's plaintext of these.
fn join<'b>(slices: &'b [IoSlice<'_>], joined: &'b mut Vec<u8>) -> &'b [u8] {
    if let [only] = slices {
        return &only[..only.len().min(MAX_PLAIN)];
    }
    joined.clear();
    for slice in slices {
        let fits = slice.len().min(MAX_PLAIN - joined.len());
        joined.extend_from_slice(&slice[..fits]);
    }
    joined
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the TLS session is over")
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
