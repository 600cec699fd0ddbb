//! NATS' own protocol inside WebSocket frames, which may end anywhere in it; and JetStream's acknowledgements.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Ack, Door, Frame, Heard, Publish, Unreadable, Wire};

/// What is said before the numbered subjects of acknowledgements.
const INBOX: &str = "_INBOX.";
const LINE_END: &[u8] = b"\r\n";

/// A connection to NATS.
pub(crate) struct Nats {
    /// Acknowledgements come to subjects of their own, which end in the number of the publish.
    inbox: Option<u64>,
    /// Pongs that came: the first answers the login, the second a join.
    pongs: u32,
    /// What came of a message whose end is in the next frame.
    begun: Vec<u8>,
}

/// What JetStream answers a publish, or a request to make a stream.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

impl Nats {
    /// With an inbox, acknowledgements can be had.
    pub(crate) const fn new(inbox: Option<u64>) -> Self {
        Self { inbox, pongs: 0, begun: Vec::new() }
    }

    /// Tells all whole messages, and gives how many bytes they were.
    fn take(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Heard<'_>)) -> Result<usize, Unreadable> {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let Some(end) = rest.windows(2).position(|pair| pair == LINE_END) else { break };
            let (line, after) = (&rest[..end], &rest[end + 2..]);
            used += end + 2;
            let Some(arguments) = line.strip_prefix(b"MSG ") else {
                self.line(line, tell)?;
                continue;
            };
            let unreadable = || Unreadable::frame(line);
            let arguments = str::from_utf8(arguments).map_err(|_| unreadable())?;
            let (subject, length) = arguments.split_once(' ').ok_or_else(unreadable)?;
            let length = length.rsplit(' ').next().and_then(|size| size.parse::<usize>().ok()).ok_or_else(unreadable)?;
            let Some(body) = after.get(..length + 2) else {
                // Begun again with the next frame, from its first line on.
                used -= end + 2;
                break;
            };
            message(subject, &body[..length], tell)?;
            used += length + 2;
        }
        Ok(used)
    }

    fn line(&mut self, line: &[u8], tell: &mut dyn FnMut(Heard<'_>)) -> Result<(), Unreadable> {
        match line {
            b"PING" => tell(Heard::Say(Frame::Binary(b"PONG\r\n".to_vec()))),
            b"PONG" => {
                self.pongs += 1;
                tell(if self.pongs == 1 { Heard::Ready } else { Heard::Joined });
            }
            [b'-', ..] => tell(Heard::refused(line)),
            _ if line.starts_with(b"INFO") || line == b"+OK" => {}
            _ => return Err(Unreadable::frame(line)),
        }
        Ok(())
    }
}

fn message(subject: &str, body: &[u8], tell: &mut dyn FnMut(Heard<'_>)) -> Result<(), Unreadable> {
    let Some(inbox) = subject.strip_prefix(INBOX) else {
        tell(Heard::Payload(body));
        return Ok(());
    };
    let number = inbox.rsplit('.').next().and_then(|number| number.parse().ok());
    let answer: Answer = serde_json::from_slice(body).map_err(|_| Unreadable::frame(body))?;
    match (answer.error, number) {
        (None, Some(number)) => tell(Heard::Acked { number, place: answer.seq }),
        _ => tell(Heard::refused(body)),
    }
    Ok(())
}

impl Wire for Nats {
    fn door(&self) -> Door {
        Door::at("/")
    }

    fn hello(&mut self) -> Option<Frame> {
        let mut said = String::from(
            "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false,\"user\":\"load\",\"pass\":\"load\",\
             \"lang\":\"rust\",\"version\":\"1\"}\r\n",
        );
        if let Some(inbox) = self.inbox {
            said.push_str(&format!("SUB {INBOX}{inbox}.* 1\r\n"));
        }
        said.push_str("PING\r\n");
        Some(Frame::Binary(said.into_bytes()))
    }

    fn join(&mut self, room: &str) -> Option<Frame> {
        Some(Frame::Binary(format!("SUB {room} 2\r\nPING\r\n").into_bytes()))
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Frame {
        let Publish { room, number, payload, ack } = publish;
        let size = payload.len();
        let said = match (ack, self.inbox) {
            (Ack::Wanted, Some(inbox)) => format!("PUB {room} {INBOX}{inbox}.{number} {size}\r\n{payload}\r\n"),
            _ => format!("PUB {room} {size}\r\n{payload}\r\n"),
        };
        Frame::Binary(said.into_bytes())
    }

    fn read(&mut self, frame: &[u8], tell: &mut dyn FnMut(Heard<'_>)) -> Result<(), Unreadable> {
        if self.begun.is_empty() {
            let used = self.take(frame, tell)?;
            self.begun.extend_from_slice(&frame[used..]);
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(frame);
        let used = self.take(&bytes, tell)?;
        bytes.drain(..used);
        self.begun = bytes;
        Ok(())
    }
}
