//! A login and nothing after it, as bare as it can be: connect, upgrade, `auth`, `auth.ok`, gone.
//!
//! A generator that counts logins must spend less on one than the server does, so there is no WebSocket library here: the
//! request is prepared, the frame's mask is zero, and of the answers only their ends are looked for. Leaves everything
//! else about sockets to [`super::socket`].

use std::time::{Duration, Instant};

use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::frame::client::Auth;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ClientError;
use super::http::Target;
use super::tcp::connect;

/// An answer is no longer: the upgrade's head, and `auth.ok` with its limits.
const ANSWER_BYTES: usize = 8 * 1024;
/// A login that takes longer failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is said to log in with one token.
#[derive(Debug, Clone)]
pub(crate) struct Knock {
    upgrade: Vec<u8>,
    auth: Vec<u8>,
}

/// How long each step took, from the first packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Knocked {
    /// Until the upgrade was answered.
    pub(crate) upgraded: Duration,
    /// Until `auth.ok`.
    pub(crate) logged_in: Duration,
}

impl Knock {
    pub(crate) fn new(target: &Target, token: &str) -> Result<Self, ClientError> {
        let upgrade = format!(
            "GET /ws HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-protocol: {}\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            target.authority,
            Format::Json.subprotocol()
        );
        let auth = Auth { token: token.to_owned(), resume: Vec::new() };
        let auth = codec::encode(&auth, Format::Json).map_err(|error| ClientError::Unreadable(error.to_string()))?;
        Ok(Self { upgrade: upgrade.into_bytes(), auth: text_frame(&auth)? })
    }

    /// Logs in and goes without a goodbye, so that no port stays behind that has to wait.
    pub(crate) async fn once(&self, target: &Target) -> Result<Knocked, ClientError> {
        timeout(PATIENCE, self.log_in(target)).await.map_err(|_| ClientError::Lost("no login in time".to_owned()))?
    }

    async fn log_in(&self, target: &Target) -> Result<Knocked, ClientError> {
        let began = Instant::now();
        let mut tcp = connect(target.address, None, None).await?;
        tcp.set_nodelay(true)?;
        SockRef::from(&tcp).set_linger(Some(Duration::ZERO))?;
        let mut answer = [0; ANSWER_BYTES];
        tcp.write_all(&self.upgrade).await?;
        let head = read_until(&mut tcp, &mut answer, |bytes| bytes.ends_with(b"\r\n\r\n")).await?;
        if !head.starts_with(b"HTTP/1.1 101") {
            let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            return Err(ClientError::UpgradeRefused(status.unwrap_or(0)));
        }
        let upgraded = began.elapsed();
        tcp.write_all(&self.auth).await?;
        let frame = read_until(&mut tcp, &mut answer, is_whole).await?;
        if contains(frame, b"\"auth.ok\"") {
            Ok(Knocked { upgraded, logged_in: began.elapsed() })
        } else {
            Err(ClientError::LoginRefused(String::from_utf8_lossy(frame).into_owned()))
        }
    }
}

/// A text frame as a client sends it, with a mask that changes nothing.
fn text_frame(payload: &[u8]) -> Result<Vec<u8>, ClientError> {
    let length =
        u16::try_from(payload.len()).map_err(|_| ClientError::Unreadable("the token is too long".to_owned()))?;
    let mut frame = vec![0x81];
    match u8::try_from(length) {
        Ok(short) if short < 126 => frame.push(0x80 | short),
        _ => {
            frame.push(0xfe);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    Ok(frame)
}

/// Whether these bytes hold one whole frame of a server.
fn is_whole(bytes: &[u8]) -> bool {
    match *bytes {
        [_, length, ..] if length < 126 => bytes.len() >= 2 + usize::from(length),
        [_, 126, high, low, ..] => bytes.len() >= 4 + usize::from(u16::from_be_bytes([high, low])),
        _ => false,
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

async fn read_until<'a>(
    tcp: &mut TcpStream,
    buffer: &'a mut [u8],
    is_done: impl Fn(&[u8]) -> bool,
) -> Result<&'a [u8], ClientError> {
    let mut count = 0;
    while !is_done(buffer.get(..count).unwrap_or_default()) {
        let rest = buffer.get_mut(count..).unwrap_or_default();
        match tcp.read(rest).await? {
            0 => return Err(ClientError::Lost("the server hung up".to_owned())),
            more => count += more,
        }
    }
    Ok(buffer.get(..count).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_long_as_they_say() {
        assert_eq!(text_frame(b"hi").expect("short"), [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(text_frame(&[b'x'; 300]).expect("long").get(..4), Some([0x81, 0xfe, 1, 44].as_slice()));
        assert!(is_whole(&[0x81, 1, b'x']) && !is_whole(&[0x81, 2, b'x']) && !is_whole(&[0x81]));
        assert!(!is_whole(&[0x81, 126, 0, 200, b'x']));
    }
}
