//! NATS' own protocol inside WebSocket frames, which may end anywhere in it; and the acknowledgements of
//! its streams.

use std::fmt::Write as _;

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

/// What a stream answers a publish, or a request to make a stream.
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
            let length =
                length.rsplit(' ').next().and_then(|size| size.parse::<usize>().ok()).ok_or_else(unreadable)?;
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
            // Writing into a string cannot fail.
            let _written = write!(said, "SUB {INBOX}{inbox}.* 1\r\n");
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

#[cfg(test)]
mod tests {
    use super::super::testing::{heard, heard_in_bytes, is_unreadable, published, text};
    use super::*;

    const SAID: [&str; 6] = [
        "INFO {\"server_id\":\"NB\",\"version\":\"2.15.2\",\"max_payload\":1048576}\r\n",
        "PONG\r\n",
        "PONG\r\nMSG all 2 5\r\nhub-7\r\nMSG all 2 _INBOX.x 0\r\n\r\n",
        "PING\r\n",
        "MSG _INBOX.3.7 1 52\r\n{\"stream\":\"hubbub-peers-disk\", \"seq\":41,\"domain\":\"\"}\r\n",
        "-ERR 'Authorization Violation'\r\n",
    ];
    const HEARD: [&str; 7] = [
        "ready",
        "joined",
        "payload hub-7",
        "payload ",
        "say PONG\r\n",
        "acked 7 at Some(41)",
        "refused -ERR 'Authorization Violation'",
    ];

    #[test]
    fn messages_are_read_whatever_frames_they_come_in() {
        assert_eq!(heard(&mut Nats::new(Some(3)), &SAID), HEARD);
        assert_eq!(heard(&mut Nats::new(Some(3)), &[&SAID.concat()]), HEARD);
        assert_eq!(heard_in_bytes(&mut Nats::new(Some(3)), &SAID.concat()), HEARD);
    }

    #[test]
    fn a_stream_that_will_not_have_it_is_heard() {
        let error = "{\"error\":{\"code\":503,\"err_code\":10077,\"description\":\"maximum messages exceeded\"}}";
        let said = format!("MSG _INBOX.3.7 1 {}\r\n{error}\r\n", error.len());
        assert_eq!(heard(&mut Nats::new(Some(3)), &[&said]), [format!("refused {error}")]);
        for odd in ["HELLO\r\n", "MSG all\r\n", "MSG all 2 x\r\n", "MSG _INBOX.3.7 1 2\r\nno\r\n"] {
            assert!(is_unreadable(&mut Nats::new(None), odd), "{odd}");
        }
    }

    #[test]
    fn a_publish_names_where_its_answer_goes_if_it_wants_one() {
        let mut wire = Nats::new(Some(3));
        assert_eq!(published(&mut wire, Ack::Unwanted), "PUB room 5\r\nhub-7\r\n");
        assert_eq!(published(&mut wire, Ack::Wanted), "PUB room _INBOX.3.7 5\r\nhub-7\r\n");
        let hello = wire.hello().map(|frame| text(&frame)).unwrap_or_default();
        assert!(hello.starts_with("CONNECT {") && hello.ends_with("SUB _INBOX.3.* 1\r\nPING\r\n"), "{hello}");
        assert_eq!(wire.join("all").map(|frame| text(&frame)), Some("SUB all 2\r\nPING\r\n".to_owned()));
    }
}
