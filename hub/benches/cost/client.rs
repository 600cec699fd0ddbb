//! A socket's other end, as cheap as it can be: frames that were made before, answers that are counted and not read.

use std::io::{Read, Write};
use std::net::TcpStream;

use hubbub_protocol::{ClientMessageId, ConversationId};

use crate::Outcome;
use crate::house::{House, Person};

/// A message's payload, in base64: 128 bytes.
const PAYLOAD: usize = 172;

/// A socket.
pub(crate) struct Client {
    stream: TcpStream,
    room: Option<ConversationId>,
    buffer: Vec<u8>,
    out: Vec<u8>,
}

/// All sockets.
#[derive(Default)]
pub(crate) struct Clients(pub(crate) Vec<Client>);

impl Client {
    /// Opens a socket and logs in.
    pub(crate) fn connect(house: &House, person: &Person) -> Outcome<Self> {
        let mut client = Self::begin(house)?;
        client.log_in(person)?;
        Ok(client)
    }

    /// Opens a socket.
    pub(crate) fn begin(house: &House) -> Outcome<Self> {
        let mut stream = TcpStream::connect(house.address)?;
        stream.set_nodelay(true)?;
        stream.write_all(
            b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
              sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0; 1];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        Ok(Self { stream, room: None, buffer: Vec::new(), out: Vec::new() })
    }

    pub(crate) fn log_in(&mut self, person: &Person) -> Outcome<()> {
        self.write(&format!(r#"{{"type":"auth","token":"{}"}}"#, person.tokens.access_token))
    }

    pub(crate) fn unsubscribe(&mut self, room: ConversationId) -> Outcome<()> {
        self.write(&format!(r#"{{"type":"unsubscribe","id":"1","conversation_id":"{room}"}}"#))?;
        self.read_frames(1)
    }

    pub(crate) const fn sends_to(&mut self, room: ConversationId) {
        self.room = Some(room);
    }

    fn write(&mut self, text: &str) -> Outcome<()> {
        self.out.clear();
        frame(text, &mut self.out);
        Ok(self.stream.write_all(&self.out)?)
    }

    /// Sends so many messages in one write.
    pub(crate) fn send(&mut self, count: usize) -> Outcome<()> {
        let room = self.room.ok_or("it has no room")?;
        self.out.clear();
        for number in 0..count {
            let (id, payload) = (ClientMessageId::generate(), "A".repeat(PAYLOAD));
            let text = format!(
                r#"{{"type":"message.send","id":"{number}","conversation_id":"{room}","client_message_id":"{id}","content_type":"text","encrypted_payload":"{payload}"}}"#
            );
            frame(&text, &mut self.out);
        }
        Ok(self.stream.write_all(&self.out)?)
    }

    /// Gives its memory back, so that only the hub's is measured.
    pub(crate) fn rest(&mut self) {
        (self.buffer, self.out) = (Vec::new(), Vec::new());
    }

    /// Reads so many frames.
    pub(crate) fn read_frames(&mut self, count: usize) -> Outcome<()> {
        self.read(count, 0).map(drop)
    }

    /// Reads so many frames of each kind, and says how many bytes the last had.
    fn read(&mut self, count: usize, skip: usize) -> Outcome<usize> {
        let (mut left, mut last) = (count + skip, 0);
        while left > 0 {
            match frame_bytes(&self.buffer) {
                Some(bytes) if bytes <= self.buffer.len() => {
                    self.buffer.drain(..bytes);
                    (left, last) = (left - 1, bytes);
                }
                _ => {
                    let mut read = [0; 16 * 1024];
                    let count = self.stream.read(&mut read)?;
                    if count == 0 {
                        return Err("the hub has closed a socket".into());
                    }
                    self.buffer.extend_from_slice(&read[..count]);
                }
            }
        }
        Ok(last)
    }
}

impl Clients {
    /// Every socket sends, then every socket reads its acks.
    pub(crate) fn ack_round(&mut self, depth: usize) -> Outcome<()> {
        self.0.iter_mut().try_for_each(|client| client.send(depth))?;
        self.0.iter_mut().try_for_each(|client| client.read_frames(depth))
    }

    /// The first sends, and all read; how many bytes one message has.
    pub(crate) fn deliver_round(&mut self, depth: usize) -> Outcome<usize> {
        self.0[0].send(depth)?;
        let mut bytes = 0;
        for client in &mut self.0[1..] {
            bytes = client.read(depth, 0)?;
        }
        self.0[0].read(depth, depth)?;
        Ok(bytes)
    }
}

/// A client's text frame, masked with zeros.
fn frame(text: &str, out: &mut Vec<u8>) {
    out.push(0x81);
    if let Ok(short @ ..=125) = u8::try_from(text.len()) {
        out.push(0x80 + short);
    } else {
        out.push(0x80 + 126);
        out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(text.as_bytes());
}

/// How long the first frame is that begins here, once its head is there.
fn frame_bytes(read: &[u8]) -> Option<usize> {
    Some(match *read.get(1)? {
        126 => 4 + usize::from(u16::from_be_bytes([*read.get(2)?, *read.get(3)?])),
        127 => return None,
        short => 2 + usize::from(short),
    })
}
