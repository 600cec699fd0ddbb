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
