//! Socket.IO's wire: Engine.IO 4 over WebSocket alone, one packet a frame. Its server is `peers/socketio.mjs`.

use super::{Ack, Door, Frame, Heard, Publish, Unreadable, Wire};

/// The acknowledgement with this number is that of a join; a publish has its own plus one.
const JOIN: u64 = 0;

/// A connection to Socket.IO.
#[derive(Default)]
pub(crate) struct SocketIo;

impl Wire for SocketIo {
    fn door(&self) -> Door {
        Door::at("/socket.io/?EIO=4&transport=websocket")
    }

    fn hello(&mut self) -> Option<Frame> {
        None
    }

    fn join(&mut self, room: &str) -> Option<Frame> {
        Some(Frame::Text(format!(r#"42{JOIN}["join","{room}"]"#)))
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Frame {
        let Publish { room, number, payload, ack } = publish;
        Frame::Text(match ack {
            Ack::Wanted => format!(r#"42{}["send","{room}","{payload}"]"#, number + 1),
            Ack::Unwanted => format!(r#"42["send","{room}","{payload}"]"#),
        })
    }

    fn read(&mut self, frame: &[u8], tell: &mut dyn FnMut(Heard<'_>)) -> Result<(), Unreadable> {
        let unreadable = || Unreadable::frame(frame);
        match frame {
            [b'4', b'2', packet @ ..] => {
                let payload = packet.strip_prefix(br#"["m",""#).and_then(|rest| rest.strip_suffix(br#""]"#));
                tell(Heard::Payload(payload.ok_or_else(unreadable)?));
            }
            [b'4', b'3', packet @ ..] => {
                let digits = packet.split(|byte| *byte == b'[').next().and_then(|id| str::from_utf8(id).ok());
                match digits.and_then(|id| id.parse().ok()).ok_or_else(unreadable)? {
                    JOIN => tell(Heard::Joined),
                    number => tell(Heard::Acked { number: number - 1, place: None }),
                }
            }
            [b'4', b'0', ..] => tell(Heard::Ready),
            // Engine.IO's own: opened, ping, no-op.
            [b'0', ..] => tell(Heard::Say(Frame::Text("40".to_owned()))),
            [b'2', ..] => tell(Heard::Say(Frame::Text("3".to_owned()))),
            [b'6', ..] => {}
            [b'4', b'1' | b'4', ..] | [b'1', ..] => tell(Heard::refused(frame)),
            _ => return Err(unreadable()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{heard, is_unreadable, published, text};
    use super::*;

    #[test]
    fn a_session_of_socket_io_is_read_packet_by_packet() {
        let mut wire = SocketIo;
        let said = [
            r#"0{"sid":"9c2Q","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#,
            r#"40{"sid":"fq3c"}"#,
            "430[]",
            "2",
            "6",
            r#"42["m","hub-7"]"#,
            "438[]",
            "41",
        ];
        let expected = ["say 40", "ready", "joined", "say 3", "payload hub-7", "acked 7 at None", "refused 41"];
        assert_eq!(heard(&mut wire, &said), expected);
        for odd in ["", "7", r#"42["n","hub-7"]"#, "43[]", "hello"] {
            assert!(is_unreadable(&mut wire, odd), "{odd}");
        }
    }

    #[test]
    fn a_publish_asks_for_its_own_acknowledgement_and_never_for_that_of_a_join() {
        let mut wire = SocketIo;
        assert_eq!(wire.join("room").map(|frame| text(&frame)), Some(r#"420["join","room"]"#.to_owned()));
        assert_eq!(published(&mut wire, Ack::Unwanted), r#"42["send","room","hub-7"]"#);
        assert_eq!(published(&mut wire, Ack::Wanted), r#"428["send","room","hub-7"]"#);
    }
}
