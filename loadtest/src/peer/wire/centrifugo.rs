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
