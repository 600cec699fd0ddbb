//! The plain room over `ws`, whose server is `peers/ws.mjs`.

use serde::Deserialize;

use super::{Ack, Door, Frame, Heard, Publish, Unreadable, Wire};

/// A connection to the room server.
#[derive(Default)]
pub(crate) struct Room {
    /// The first join was answered.
    entered: bool,
}

#[derive(Deserialize)]
struct Said<'a> {
    is: &'a str,
    #[serde(default)]
    data: Option<&'a str>,
    #[serde(default)]
    id: Option<u64>,
}

impl Wire for Room {
    fn door(&self) -> Door {
        Door::at("/")
    }

    /// There is no login. Joining a room in which nothing is said shows that the server has the connection.
    fn hello(&mut self) -> Option<Frame> {
        Some(Frame::Text(r#"{"do":"join","room":"hall"}"#.to_owned()))
    }

    fn join(&mut self, room: &str) -> Option<Frame> {
        Some(Frame::Text(format!(r#"{{"do":"join","room":"{room}"}}"#)))
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Frame {
        let Publish { room, number, payload, ack } = publish;
        Frame::Text(match ack {
            Ack::Wanted => format!(r#"{{"do":"send","room":"{room}","data":"{payload}","id":{number}}}"#),
            Ack::Unwanted => format!(r#"{{"do":"send","room":"{room}","data":"{payload}"}}"#),
        })
    }

    fn read(&mut self, frame: &[u8], tell: &mut dyn FnMut(Heard<'_>)) -> Result<(), Unreadable> {
        let unreadable = || Unreadable::frame(frame);
        let said: Said<'_> = serde_json::from_slice(frame).map_err(|_| unreadable())?;
        match said.is {
            "message" => tell(Heard::Payload(said.data.ok_or_else(unreadable)?.as_bytes())),
            "ack" => tell(Heard::Acked { number: said.id.ok_or_else(unreadable)?, place: None }),
            "joined" => tell(if std::mem::replace(&mut self.entered, true) { Heard::Joined } else { Heard::Ready }),
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
    fn what_the_room_says_and_hears_is_what_its_script_does() {
        let mut wire = Room::default();
        assert!(wire.hello().is_some());
        assert_eq!(wire.join("room").map(|frame| text(&frame)), Some(r#"{"do":"join","room":"room"}"#.to_owned()));
        let said = [
            r#"{"is":"joined"}"#,
            r#"{"is":"joined"}"#,
            r#"{"is":"message","room":"room","data":"hub-7"}"#,
            r#"{"is":"ack","id":7}"#,
        ];
        assert_eq!(heard(&mut wire, &said), ["ready", "joined", "payload hub-7", "acked 7 at None"]);
        assert_eq!(published(&mut wire, Ack::Unwanted), r#"{"do":"send","room":"room","data":"hub-7"}"#);
        assert_eq!(published(&mut wire, Ack::Wanted), r#"{"do":"send","room":"room","data":"hub-7","id":7}"#);
        assert!(is_unreadable(&mut wire, r#"{"is":"message"}"#));
        assert!(is_unreadable(&mut wire, r#"{"is":"else"}"#));
    }
}
