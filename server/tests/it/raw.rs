//! A socket without manners: WebSocket bytes by hand, for peers that break the rules or never finish a sentence.

use std::net::SocketAddr;
use std::time::Duration;

use hubbub_loadtest::client::http::Target;
use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::frame::client::{Auth, ClientFrame};
use hubbub_protocol::frame::server::ServerFrame;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::PATIENCE;

/// Opcodes, with the bit that says that a frame is the last of its message.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;

/// The opcode of a message in this format.
pub(crate) const fn opcode(format: Format) -> u8 {
    match format {
        Format::Json => TEXT,
        Format::MessagePack => BINARY,
    }
}

/// A frame as a client has to write it: masked, with the shortest length.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = header(first, 0x80, payload.len() as u64);
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The beginning of a frame, up to its length.
pub(crate) fn header(first: u8, mask_bit: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..=125 => header.push(mask_bit | u8::try_from(length).unwrap()),
        126..=0xffff => {
            header.push(mask_bit | 0x7e);
            header.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            header.push(mask_bit | 0x7f);
            header.extend_from_slice(&length.to_be_bytes());
        }
    }
    header
}

/// A frame's whole header, of whose payload nothing follows yet.
pub(crate) fn claim(first: u8, length: u64) -> Vec<u8> {
    [header(first, 0x80, length), vec![0; 4]].concat()
}

/// What a server's frame was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawFrame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl RawFrame {
    /// The code of a close.
    pub(crate) fn close_code(&self) -> Option<u16> {
        (self.first == CLOSE).then(|| self.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)))
    }
}

/// The socket.
pub(crate) struct Raw<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
    format: Format,
}

impl Raw {
    /// A connection, on which nothing was said yet.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("accepted"))
    }

    /// The same with a receive buffer of this many bytes.
    pub(crate) async fn connect_narrow(address: SocketAddr, receive_buffer: u32) -> Self {
        Self::over(narrow(address, receive_buffer).await)
    }

    /// A socket that is logged in; what follows `auth.ok` is still to be read.
    pub(crate) async fn login(target: &Target, format: Format, token: &str) -> Self {
        Self::connect(target.address).await.enter(format, token).await
    }

    /// The same with as small a receive buffer as can be had, so that not reading is soon felt.
    pub(crate) async fn login_narrow(target: &Target, format: Format, token: &str) -> Self {
        Self::connect_narrow(target.address, 4_096).await.enter(format, token).await
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().expect("a connection can be reset");
    }
}

/// A connection with a receive buffer of this many bytes.
pub(crate) async fn narrow(address: SocketAddr, receive_buffer: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(receive_buffer).unwrap();
    socket.connect(address).await.expect("accepted")
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    /// A connection that was made elsewhere.
    pub(crate) const fn over(stream: S) -> Self {
        Self { stream, read: Vec::new(), format: Format::Json }
    }

    /// What it is over.
    pub(crate) const fn stream(&self) -> &S {
        &self.stream
    }

    /// The same, for other use.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// Upgrades; panics unless that is taken.
    pub(crate) async fn upgrade(mut self, format: Format) -> Self {
        self.format = format;
        let answer = self.ask(&upgrade("/ws", &format!("sec-websocket-protocol: {}\r\n", format.subprotocol()))).await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        self
    }

    /// Upgrades and logs in.
    pub(crate) async fn enter(self, format: Format, token: &str) -> Self {
        let mut raw = self.upgrade(format).await;
        raw.write(&auth_frame(format, token)).await;
        match raw.frame().await {
            Some(ServerFrame::AuthOk(_)) => raw,
            other => panic!("{other:?} instead of auth.ok"),
        }
    }

    /// Says a frame of the protocol.
    pub(crate) async fn say(&mut self, frame: impl Into<ClientFrame>) {
        let bytes = codec::encode(&frame.into(), self.format).expect("it can be written");
        self.write(&masked(opcode(self.format), &bytes)).await;
    }

    /// Ends its own side of the connection, and leaves the other's unread.
    pub(crate) async fn end_here(&mut self) {
        self.stream.shutdown().await.expect("its side can be ended");
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the socket takes it");
        self.stream.flush().await.expect("the socket takes it");
    }

    /// Writes as long as the other side takes it; whether it took all.
    pub(crate) async fn try_write(&mut self, bytes: &[u8], patience: Duration) -> bool {
        matches!(timeout(patience, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Says an HTTP request, and reads its answer up to the end of the head.
    pub(crate) async fn ask(&mut self, request: &str) -> String {
        self.write(request.as_bytes()).await;
        loop {
            if let Some(end) = self.read.windows(4).position(|end| end == b"\r\n\r\n") {
                let rest = self.read.split_off(end + 4);
                return String::from_utf8(std::mem::replace(&mut self.read, rest)).expect("text");
            }
            assert!(self.fill().await, "no answer, but the end");
        }
    }

    /// Reads more; false at the end.
    async fn fill(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await.expect("something comes");
        matches!(read, Ok(1..))
    }

    /// The next WebSocket frame; nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<RawFrame> {
        loop {
            if let Some((header, length)) = self.head()
                && self.read.len() >= header + length
            {
                let rest = self.read.split_off(header + length);
                let frame = std::mem::replace(&mut self.read, rest);
                return Some(RawFrame { first: frame[0], payload: frame[header..].to_vec() });
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The bytes of the header that was read, and of its payload.
    fn head(&self) -> Option<(usize, usize)> {
        match self.read.get(1)? & 0x7f {
            126 => self.read.get(2..4).map(|length| (4, usize::from(u16::from_be_bytes(length.try_into().unwrap())))),
            127 => {
                let length = u64::from_be_bytes(self.read.get(2..10)?.try_into().unwrap());
                Some((10, usize::try_from(length).unwrap()))
            }
            length => Some((2, usize::from(length))),
        }
    }

    /// The next frame of the protocol; nothing at the close or the end.
    pub(crate) async fn frame(&mut self) -> Option<ServerFrame> {
        loop {
            let frame = self.next().await.filter(|frame| frame.first != CLOSE)?;
            if frame.first == opcode(self.format) {
                return Some(codec::decode_server(&frame.payload, self.format).expect("it can be read"));
            }
        }
    }

    /// All frames up to the close, and its code; 1006 for an end without one.
    pub(crate) async fn out(&mut self) -> (Vec<ServerFrame>, u16) {
        let mut frames = Vec::new();
        loop {
            let Some(frame) = self.next().await else { return (frames, 1006) };
            if let Some(code) = frame.close_code() {
                return (frames, code);
            }
            if frame.first == opcode(self.format) {
                frames.push(codec::decode_server(&frame.payload, self.format).expect("it can be read"));
            }
        }
    }

    /// Waits until the other side has ended the connection; what it said before is dropped.
    pub(crate) async fn ended(&mut self) {
        while self.fill().await {
            self.read.clear();
        }
    }

    /// The same; whether the other side said that it ends it.
    pub(crate) async fn ended_in_form(&mut self) -> bool {
        loop {
            self.read.clear();
            match timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await.expect("something comes") {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}

/// The request of an upgrade, with more headers.
pub(crate) fn upgrade(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// The login, as a WebSocket frame.
pub(crate) fn auth_frame(format: Format, token: &str) -> Vec<u8> {
    let auth = Auth { token: token.to_owned(), resume: Vec::new() };
    masked(opcode(format), &codec::encode(&auth, format).expect("it can be written"))
}
