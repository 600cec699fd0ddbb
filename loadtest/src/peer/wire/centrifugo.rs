//! Centrifugo's wire in JSON: commands and replies by number, pushes, several to a frame with line ends between.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Door, Frame, Heard, Publish, Unreadable, Wire};

/// Who connects, signed with the secret of `peers/centrifugo.json` and without an end: `{"sub":"load"}`.
const TOKEN: &str =
    concat!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJsb2FkIn0", ".CIE1nCFXZ5f8z3aLBvcXArImiojOkAwqegZ9ieDieGw");
/// The numbers of the commands that come once; a publish has its own plus [`PUBLISH`].
const CONNECT: u64 = 1;
const JOIN: u64 = 2;
const PUBLISH: u64 = 3;

/// A connection to Centrifugo.
#[derive(Default)]
pub(crate) struct Centrifugo;

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(default)]
    id: u64,
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default)]
    disconnect: Option<IgnoredAny>,
    #[serde(default, borrow)]
    push: Option<Push<'a>>,
}

#[derive(Deserialize)]
struct Push<'a> {
    #[serde(default, borrow, rename = "pub")]
    publication: Option<Publication<'a>>,
    #[serde(default)]
    disconnect: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Publication<'a> {
    data: &'a str,
}

impl Wire for Centrifugo {
    fn door(&self) -> Door {
        Door::at("/connection/websocket")
    }

    fn hello(&mut self) -> Option<Frame> {
        Some(Frame::Text(format!(r#"{{"id":{CONNECT},"connect":{{"token":"{TOKEN}"}}}}"#)))
    }

    fn join(&mut self, room: &str) -> Option<Frame> {
        Some(Frame::Text(format!(r#"{{"id":{JOIN},"subscribe":{{"channel":"{room}"}}}}"#)))
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Frame {
        let Publish { room, number, payload, ack: _ } = publish;
        let id = number + PUBLISH;
        Frame::Text(format!(r#"{{"id":{id},"publish":{{"channel":"{room}","data":"{payload}"}}}}"#))
    }

    fn read(&mut self, frame: &[u8], tell: &mut dyn FnMut(Heard<'_>)) -> Result<(), Unreadable> {
        for line in frame.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            // A ping is an empty reply, and so is its answer.
            if line == b"{}" {
                tell(Heard::Say(Frame::Text("{}".to_owned())));
                continue;
            }
            let reply: Reply<'_> = serde_json::from_slice(line).map_err(|_| Unreadable::frame(line))?;
            if reply.error.is_some() || reply.disconnect.is_some() {
                tell(Heard::refused(line));
                continue;
            }
            match (reply.push, reply.id) {
                (Some(Push { publication: Some(publication), .. }), _) => {
                    tell(Heard::Payload(publication.data.as_bytes()));
                }
                (Some(Push { disconnect: Some(_), .. }), _) => tell(Heard::refused(line)),
                // Presence and the like.
                (Some(_), _) | (None, 0) => {}
                (None, CONNECT) => tell(Heard::Ready),
                (None, JOIN) => tell(Heard::Joined),
                (None, id) => tell(Heard::Acked { number: id - PUBLISH, place: None }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ack;
    use super::super::testing::{heard, is_unreadable, published};
    use super::*;

    #[test]
    fn replies_pushes_and_pings_are_told_apart_also_where_they_share_a_frame() {
        let mut wire = Centrifugo;
        let said = [
            r#"{"id":1,"connect":{"client":"c2","version":"6.9.1","ping":25,"pong":true}}"#,
            r#"{"id":2,"subscribe":{}}"#,
            "{\"push\":{\"channel\":\"all\",\"pub\":{\"data\":\"hub-7\"}}}\n{\"push\":{\"channel\":\"all\",\"pub\":{\"data\":\"hub-8\",\"offset\":9}}}\n{}",
            r#"{"id":10,"publish":{}}"#,
            r#"{"push":{"channel":"all","join":{"info":{"user":"load"}}}}"#,
        ];
        let expected = ["ready", "joined", "payload hub-7", "payload hub-8", "say {}", "acked 7 at None"];
        assert_eq!(heard(&mut wire, &said), expected);
    }

    #[test]
    fn what_is_refused_is_told_in_its_own_words() {
        let mut wire = Centrifugo;
        let refused = [
            r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#,
            r#"{"push":{"disconnect":{"code":3500,"reason":"invalid token"}}}"#,
        ];
        assert_eq!(heard(&mut wire, &refused), refused.map(|words| format!("refused {words}")));
        assert!(is_unreadable(&mut wire, "hello"));
        assert_eq!(published(&mut wire, Ack::Wanted), r#"{"id":10,"publish":{"channel":"room","data":"hub-7"}}"#);
    }
}
